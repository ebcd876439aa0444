"""A bundle's samples: a few items with the outputs of the trained network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import AutoMLError, BundleError
from paddle_automl.core.files import write_json
from paddle_automl.core.paths import readable
from paddle_automl.data.splits import Split
from paddle_automl.deployment.bundle import SAMPLES, SPLITS, Bundle
from paddle_automl.deployment.output import output_name
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.records import FormatRecord
from paddle_automl.deployment.runtime import lasting
from paddle_automl.inputs.base import Arrays
from paddle_automl.tasks.base import Task, spread

EXPECTED = "expected.json"
LARGEST_COPY = 5_000_000
"""Bytes; of a larger file the item that was read from it is stored, so that samples stay small."""

DEFAULT_DIFFERENCE = 1e-4
OTHER_PROCESSOR = 0.05
"""Largest difference of a format in 8 bits to its own outputs at the export, in units of the outputs' scale.

Another order of arithmetic may round a number inside of the network to the next of 256 values. On image networks
the graph optimizations of ONNX Runtime changed probabilities by up to 0.003, and another runtime by up to 0.022.
"""
UNSTORED = 2.0
"""Where a bundle of an earlier version lacks those outputs: allowed difference to the trained network's outputs
over that of the parity check."""
MOST_UNSTORED = 0.45
"""Most that this may be: a confident answer that becomes another one changes by more than 0.5."""


@dataclass(frozen=True)
class SampleCheck:
    """Result of running a bundle on its own samples."""

    samples: int
    largest_difference: float
    """In units of the outputs' scale."""
    max_difference: float
    worst: str
    not_finite: int = 0
    """Samples with an output that is NaN or infinite."""

    @property
    def passed(self) -> bool:
        """Whether every output is finite, and within the allowed difference of the expected one."""
        return not self.not_finite and self.largest_difference <= self.max_difference

    def describe(self) -> str:
        """Return one sentence for users."""
        if not self.samples:
            return "the bundle has no samples"
        broken = f"{self.not_finite} without finite outputs, " if self.not_finite else ""
        return (
            f"{'passed' if self.passed else 'FAILED'}: {self.samples} samples, {broken}largest difference of "
            f"outputs {self.largest_difference:.2e} (allowed {self.max_difference:g}), {self.worst}"
        )


def write_samples(bundle: Bundle, run: Callable[[Arrays], np.ndarray], split: Split, count: int) -> None:
    """Write `count` items of `split`, and the outputs of `run` for them, below ``samples/``.

    Beside them goes the list of the data's items, by content alone: what a network was trained on is no test of it.
    `run` maps arrays [N, ...] to outputs [N, K]; see `as_trained`. Files are copied; items of an array data set are
    written to files. Call `Bundle.updated` afterwards.
    """
    if split.everything.items is not None:
        split.everything.items.without_names().write(bundle.folder / SPLITS)
    positions = spread(split.task.strata(split.codes), len(split), count)
    if not len(positions):
        return
    folder = bundle.folder / SAMPLES
    folder.mkdir(exist_ok=True)
    items, sources = split.raw(positions), split.sources
    outputs = run(split.input.batch(items))
    records = [
        {
            "file": _write_item(folder / str(number), sources[position] if sources else None, item, split),
            "truth": split.task.truth(split.codes[position]),
            "answer": bundle.task.answer(row).text,
            "outputs": [_rounded(value) for value in row],
        }
        for number, (position, item, row) in enumerate(zip(positions, items, outputs, strict=True))
    ]
    write_json(folder / EXPECTED, {"names": list(bundle.task.names), "samples": records})


def with_own_outputs(bundle: Bundle, name: str) -> Bundle:
    """Store what a format in 8 bits gives for the samples, and return the bundle with its new hashes.

    Such a format differs from the trained network by what its parity check allows; what it gives itself should be
    the same everywhere. A format that is exact is left to the network's outputs.
    """
    path = bundle.folder / SAMPLES / EXPECTED
    if bundle.record_of(name).exact or not path.is_file():
        return bundle
    outputs = lasting(bundle.session(name=name))(bundle.input.batch(sample_items(bundle)))
    found = json.loads(path.read_text(encoding="utf-8"))
    found.setdefault("formats", {})[name] = [[_rounded(value) for value in row] for row in outputs]
    write_json(path, found)
    return bundle.updated()


def check_samples(
    bundle: str | Path | Bundle | Predictor, *, max_difference: float = DEFAULT_DIFFERENCE
) -> SampleCheck:
    """Run a bundle on its samples and compare with the outputs of the trained network.

    It is the format of the predictor that is run, or the bundle's first. `max_difference` is in units of the
    outputs' scale, and larger than at the export, because another processor may round differently. A format in 8
    bits is compared with what it gave itself at the export, within `OTHER_PROCESSOR`; in a bundle of an earlier
    version it may differ from the network twice as much as in its parity check, but not by `MOST_UNSTORED`. Outputs
    must be finite. Raises BundleError for samples that are damaged.
    """
    if not isinstance(bundle, Predictor):
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        return check_samples(Predictor(opened, runtime=opened.info.exporter.name), max_difference=max_difference)
    predictor, bundle = bundle, bundle.bundle
    samples = _read_expected(bundle)
    if not samples.files:
        return SampleCheck(0, 0.0, max_difference, "")
    got = predictor.predict_items(sample_items(bundle))
    expected, allowed = _expected_of(bundle.record_of(predictor.format), samples)
    # NaN counts as the difference of the whole scale.
    differences = np.nan_to_num(np.abs(got - expected) / bundle.task.scales, nan=1.0, posinf=1.0)
    row, column = divmod(int(differences.argmax()), differences.shape[1])
    worst = f"worst in {SAMPLES}/{shown(samples.files[row])}, {output_name(bundle.task, column)}"
    broken = int((~np.isfinite(got)).any(axis=1).sum())
    allowed = max(max_difference, allowed)
    return SampleCheck(len(samples.files), float(differences[row, column]), allowed, worst, broken)


def sample_items(bundle: Bundle) -> np.ndarray:
    """Return the samples as the bundle's input reads them, ``[n, ...]``."""
    samples = _read_expected(bundle)
    if not samples.files:
        return np.zeros((0,))
    items = [_read_item(bundle, file) for file in samples.files]
    if len({item.shape for item in items}) > 1:
        raise BundleError(f"{readable(bundle.folder / SAMPLES)}: its items have different shapes; export again")
    return np.stack(items)


@dataclass(frozen=True)
class _Expected:
    """Names of the files of N samples, with outputs, ``[N, K]`` in the order of the bundle's task."""

    files: tuple[str, ...]
    outputs: np.ndarray
    """Those of the trained network."""
    own: Mapping[str, np.ndarray]
    """Those of formats in 8 bits at the export."""


def _expected_of(record: FormatRecord, samples: _Expected) -> tuple[np.ndarray, float]:
    """Return the outputs that a format should give, and what it may differ from them as it is no exact format."""
    own = samples.own.get(record.exporter.name)
    if record.exact:
        return samples.outputs, 0.0
    if own is not None:
        return own, OTHER_PROCESSOR
    largest = 0.0 if record.parity is None else record.parity.largest_difference
    return samples.outputs, min(UNSTORED * largest, MOST_UNSTORED)


def _rounded(value: float) -> float:
    """Return an output rounded to the digits of a float32."""
    return float(f"{value:.9g}")


def _write_item(stem: Path, source: Any, item: np.ndarray, split: Split) -> str:
    """Store one item as a file; returns its name."""
    file = Path(source) if isinstance(source, (str, Path)) else None
    if file is not None and file.is_file() and file.stat().st_size <= LARGEST_COPY:
        target = stem.with_name(f"{stem.name}{file.suffix.lower()}")
        shutil.copyfile(file, target)
        return target.name
    return split.input.write(item, stem).name


def _read_expected(bundle: Bundle) -> _Expected:
    """Return the files and the outputs of the samples; raises BundleError."""
    path = bundle.folder / SAMPLES / EXPECTED
    task = bundle.task
    if not path.is_file():
        return _Expected((), np.zeros((0, task.outputs)), {})
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        # Bundles of formats 1 and 2 call them class_names and probabilities.
        names = [str(name) for name in (data["names"] if "names" in data else data["class_names"])]
        files = tuple(str(item["file"]) for item in data["samples"])
        outputs = _rows([item.get("outputs", item.get("probabilities")) for item in data["samples"]], task)
        own = {str(name): _rows(rows, task) for name, rows in data.get("formats", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise BundleError(f"{readable(path)}: is damaged ({shown(error)}); export the bundle again") from None
    for file in files:
        # Only these are known to lie in the bundle, and to be unchanged.
        if f"{SAMPLES}/{file}" not in bundle.info.files:
            raise BundleError(
                f"{readable(path)}: names a sample that is no file of the bundle, '{shown(file)}'; export again"
            )
    wanted = (len(files), task.outputs)
    if sorted(names) != sorted(task.names) or any(rows.shape != wanted for rows in (outputs, *own.values())):
        raise BundleError(f"{readable(path)}: belongs to another task than the bundle; export the bundle again")
    if len(names) != task.outputs:
        return _Expected(files, outputs, own)
    order = [names.index(name) for name in task.names]
    return _Expected(files, outputs[:, order], {name: rows[:, order] for name, rows in own.items()})


def _rows(values: Sequence[Sequence[float]], task: Task) -> np.ndarray:
    """Return outputs as float64 ``[N, K]``; raises ValueError for rows of different lengths."""
    rows = [[float(value) for value in row] for row in values]
    return np.array(rows, dtype=np.float64) if rows else np.zeros((0, task.outputs))


def _read_item(bundle: Bundle, file: str) -> np.ndarray:
    path = bundle.folder / SAMPLES / file
    try:
        return bundle.input.read(path)
    except (AutoMLError, OSError) as error:
        raise BundleError(f"{error}; export the bundle again") from None
