"""Verification that a bundle is unchanged since it was exported and checked, and still does what it did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import AutoMLError, BundleError, UnsupportedError
from paddle_automl.core.paths import located
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.crosscheck import Comparison, Pair, Run, Speed, compare_speed
from paddle_automl.deployment.integrity import file_problems, read_info, subject_of
from paddle_automl.deployment.parity_record import ParityRecord
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.records import BundleInfo
from paddle_automl.deployment.samples import DEFAULT_DIFFERENCE, SampleCheck, check_samples, sample_items

BATCH_SIZE = 32


@dataclass(frozen=True)
class Verification:
    """Result of the verification of a bundle."""

    folder: Path
    files: int
    """Number of files whose size and hash were compared."""
    parity: dict[str, str]
    """The recorded parity check of each format, in words."""
    samples: dict[str, SampleCheck]
    """The check of the samples with each format."""
    skipped: dict[str, str]
    """Formats that cannot be run on this machine, and times that cannot be measured on it, with the reason."""
    problems: tuple[str, ...]
    """Problems, a sentence each."""
    pairs: tuple[Pair, ...] = ()
    """The formats compared with each other: on the data, or on the samples if there are none."""
    source: str = ""
    """The items of that comparison in words."""
    speed: tuple[Speed, ...] = ()
    """The times of the formats here and as recorded."""
    runs: tuple[Run, ...] = ()
    """What each format gave for the data; none if there were only the samples, which have a check of their own."""

    @property
    def passed(self) -> bool:
        """Whether everything that could be checked is correct."""
        return not self.problems

    def describe(self) -> str:
        """Return the checks and problems, a line each."""
        lines = [": ".join(row) for row in self.rows()]
        lines += [f"problem: {text}" for text in self.problems]
        return "\n".join([*lines, self.verdict])

    @property
    def verdict(self) -> str:
        """Return the result in words."""
        return "passed" if self.passed else f"FAILED: {len(self.problems)} problems"

    def rows(self) -> list[tuple[str, str]]:
        """Return what was checked, with the result."""
        rows = [("files", f"{self.files} compared with their recorded hashes")]
        rows += [(f"parity of {name}", text) for name, text in self.parity.items()]
        rows += [(f"samples by {name}", check.describe()) for name, check in self.samples.items()]
        rows += [(f"{run.name} on {self.source}", run.describe()) for run in self.runs]
        rows += [(f"formats on {self.source}", pair.describe()) for pair in self.pairs]
        rows += [(f"latency of {item.name}", item.describe()) for item in self.speed]
        return rows + [(f"not run: {name}", reason) for name, reason in self.skipped.items()]

    def as_dict(self) -> dict[str, Any]:
        """Return everything JSON-like, with the verdict of each check."""
        found = asdict(self) | {"folder": str(self.folder), "passed": self.passed, "problems": list(self.problems)}
        found["samples"] = {name: asdict(item) | {"passed": item.passed} for name, item in self.samples.items()}
        found["pairs"] = [asdict(item) | {"passed": item.passed} for item in self.pairs]
        found["runs"] = [asdict(item) | {"passed": item.passed} for item in self.runs]
        found["speed"] = [
            asdict(item) | {"ratio": item.ratio, "same_processor": item.same_processor} for item in self.speed
        ]
        return found


@dataclass(frozen=True)
class Checks:
    """Options of a verification."""

    max_difference: float = DEFAULT_DIFFERENCE
    """Largest difference of an output to the recorded one, in units of the outputs' scale; see `check_samples`."""
    device: str = "cpu"
    threads: int = 1
    latency: bool = True
    """Whether the formats are timed."""
    max_slowdown: float | None = None
    """Most times the recorded latency on the same processor; None: times are only stated."""


def verify_bundle(
    folder: str | Path,
    checks: Checks | None = None,
    *,
    data: Iterable[np.ndarray] | None = None,
    source: str = "",
) -> Verification:
    """Compare a bundle with the record of its export.

    It checks the record's own hash, every file's size and hash, files that are not recorded, that the parity checks
    are those of these files, their verdicts against their values, the samples with each format on this machine, the
    formats against each other, and their latency. `data` are batches of raw items, ``[n, ...]``, for which all
    formats are run and compared, `source` says where they are from; without them it is done on the samples. Raises
    BundleError for a folder that is not a bundle, or whose record cannot be read.
    """
    checks = checks or Checks()
    root = located(folder)
    info = read_info(root)
    problems = file_problems(root, info)
    records = {info.exporter.name: info.parity} | {item.exporter.name: item.parity for item in info.formats}
    for name, record in records.items():
        problems += _verdict_problems(name, record, info)
    found = _Found()
    try:
        bundle = Bundle.open(root)
    except BundleError as error:
        # Outputs of damaged files are meaningless.
        problems = problems or [str(error)]
    else:
        found = _run(bundle, checks, data)
    problems += found.problems
    problems += [f"{name}: {check.describe()}" for name, check in found.samples.items() if not check.passed]
    problems += [f"{run.name} on {source}: {run.describe()}" for run in found.runs if not run.passed]
    problems += [f"formats differ: {pair.describe()}" for pair in found.pairs if pair.items and not pair.passed]
    problems += _slow(found.speed, checks.max_slowdown)
    return Verification(
        root,
        len(info.files),
        {name: "not compared" if item is None else item.describe() for name, item in records.items()},
        found.samples,
        found.skipped,
        tuple(problems),
        tuple(found.pairs),
        source if data is not None else "the samples",
        tuple(found.speed),
        tuple(found.runs),
    )


@dataclass
class _Found:
    """What running the formats of a bundle gave; see `Verification`."""

    samples: dict[str, SampleCheck] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    speed: list[Speed] = field(default_factory=list)


def _run(bundle: Bundle, checks: Checks, data: Iterable[np.ndarray] | None) -> _Found:
    """Run all formats that can be run here."""
    predictors, skipped, failed = _predictors(bundle, checks)
    samples, broken = _check_samples(predictors, checks)
    found = _Found(samples, skipped, failed + broken)
    comparison = Comparison(predictors, bundle.task, max_difference=checks.max_difference)
    if data is not None and predictors:
        found.pairs, found.runs = comparison.run(data), list(comparison.runs.values())
    elif len(predictors) > 1 and not broken and (batches := _samples_of(bundle)):
        found.pairs = comparison.run(batches)
    if checks.latency:
        found.speed, untimed = compare_speed(bundle, predictors, device=checks.device)
        found.skipped |= untimed
    return found


def _predictors(bundle: Bundle, checks: Checks) -> tuple[dict[str, Predictor], dict[str, str], list[str]]:
    """Return the formats that can be run, why others cannot, and problems."""
    predictors: dict[str, Predictor] = {}
    skipped: dict[str, str] = {}
    problems: list[str] = []
    for name in bundle.formats:
        try:
            predictors[name] = Predictor(bundle, device=checks.device, threads=checks.threads, runtime=name)
        except UnsupportedError as error:
            skipped[name] = str(error)
        except AutoMLError as error:
            problems.append(f"{name}: {error}")
    if not predictors and not problems:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        problems.append(f"no format could be run here, so no answer was checked: {reasons}")
    return predictors, skipped, problems


def _check_samples(predictors: Mapping[str, Predictor], checks: Checks) -> tuple[dict[str, SampleCheck], list[str]]:
    """Return the check of the samples with each format, and why samples cannot be read or run."""
    found: dict[str, SampleCheck] = {}
    problems: list[str] = []
    for name, predictor in predictors.items():
        try:
            found[name] = check_samples(predictor, max_difference=checks.max_difference)
        except AutoMLError as error:
            problems.append(str(error))
    # Damaged samples are the same for all formats.
    return found, list(dict.fromkeys(problems))


def _samples_of(bundle: Bundle) -> list[np.ndarray]:
    items = sample_items(bundle)
    return [items] if len(items) else []


def _slow(speed: Iterable[Speed], most: float | None) -> list[str]:
    if most is None:
        return []
    return [
        f"{item.name}: is slower than allowed ({most:g} times the recorded time): {item.describe()}"
        for item in speed
        if item.same_processor and item.ratio > most
    ]


def _verdict_problems(name: str, record: ParityRecord | None, info: BundleInfo) -> list[str]:
    if record is None:
        return [f"{name}: was never compared with the trained network; export the bundle again"]
    if record.subject is not None and record.subject != subject_of(info, name):
        return [
            f"{name}: its parity check is that of other files, of another input or of another task; export the "
            "bundle again"
        ]
    if record.verified and not record.within_limits:
        return [f"{name}: is recorded as verified, but its values contradict that: {record.describe()}"]
    if not record.verified:
        return [f"{name}: {record.describe()}"]
    return []
