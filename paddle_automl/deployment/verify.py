"""Verification that a bundle is unchanged since it was exported and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paddle_automl.core.errors import AutoMLError, BundleError, UnsupportedError
from paddle_automl.core.paths import located
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.integrity import file_problems, read_info
from paddle_automl.deployment.records import ParityRecord
from paddle_automl.deployment.samples import DEFAULT_DIFFERENCE, SampleCheck, check_samples


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
    """Formats that cannot be run on this machine, with the reason."""
    problems: tuple[str, ...]
    """Problems, a sentence each."""

    @property
    def passed(self) -> bool:
        """Whether everything that could be checked is correct."""
        return not self.problems

    def describe(self) -> str:
        """Return the checks and problems, a line each."""
        lines = [f"files: {self.files} compared with their recorded hashes"]
        lines += [f"parity of {name}: {text}" for name, text in self.parity.items()]
        lines += [f"samples by {name}: {check.describe()}" for name, check in self.samples.items()]
        lines += [f"not run: {name}: {reason}" for name, reason in self.skipped.items()]
        lines += [f"problem: {text}" for text in self.problems]
        return "\n".join([*lines, "passed" if self.passed else f"FAILED: {len(self.problems)} problems"])


def verify_bundle(
    folder: str | Path, *, max_difference: float = DEFAULT_DIFFERENCE, device: str = "cpu", threads: int = 1
) -> Verification:
    """Compare a bundle with the record of its export.

    It checks the record's own hash, every file's size and hash, files that are not recorded, the verdicts of the
    parity checks against their values, and the samples with each format on this machine; for `max_difference` see
    `check_samples`. Raises BundleError for a folder that is not a bundle, or whose record cannot be read.
    """
    root = located(folder)
    info = read_info(root)
    problems = file_problems(root, info)
    records = {info.exporter.name: info.parity} | {item.exporter.name: item.parity for item in info.formats}
    for name, record in records.items():
        problems += _verdict_problems(name, record)
    samples: dict[str, SampleCheck] = {}
    skipped: dict[str, str] = {}
    try:
        bundle = Bundle.open(root)
    except BundleError as error:
        # Outputs of damaged files are meaningless.
        problems = problems or [str(error)]
    else:
        for name in bundle.formats:
            try:
                samples[name] = check_samples(
                    bundle, max_difference=max_difference, device=device, threads=threads, runtime=name
                )
            except UnsupportedError as error:
                skipped[name] = str(error)
            except AutoMLError as error:
                problems.append(f"{name}: {error}")
    problems += [f"{name}: {check.describe()}" for name, check in samples.items() if not check.passed]
    parity = {name: "not compared" if item is None else item.describe() for name, item in records.items()}
    return Verification(root, len(info.files), parity, samples, skipped, tuple(problems))


def _verdict_problems(name: str, record: ParityRecord | None) -> list[str]:
    if record is None:
        return [f"{name}: was never compared with the trained network; export the bundle again"]
    if record.verified and not record.within_limits:
        return [f"{name}: is recorded as verified, but its values contradict that: {record.describe()}"]
    if not record.verified:
        return [f"{name}: {record.describe()}"]
    return []
