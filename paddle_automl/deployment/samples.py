"""A bundle's samples: a few items with the outputs of the trained network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
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
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.output import output_name
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.inputs.base import Arrays
from paddle_automl.tasks.base import spread

EXPECTED = "expected.json"
LARGEST_COPY = 5_000_000
"""Bytes; of a larger file the item that was read from it is stored, so that samples stay small."""

DEFAULT_DIFFERENCE = 1e-4
EIGHT_BITS = 2.0
"""Allowed difference of a format in 8 bits over that of its parity check: processors add up in different types."""


@dataclass(frozen=True)
class SampleCheck:
    """Result of running a bundle on its own samples."""

    samples: int
    largest_difference: float
    """In units of the outputs' scale."""
    max_difference: float
    worst: str

    @property
    def passed(self) -> bool:
        """Whether every output is within the allowed difference of the expected one."""
        return self.largest_difference <= self.max_difference

    def describe(self) -> str:
        """Return one sentence for users."""
        if not self.samples:
            return "the bundle has no samples"
        return (
            f"{'passed' if self.passed else 'FAILED'}: {self.samples} samples, largest difference of "
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


def check_samples(
    bundle: str | Path | Bundle | Predictor, *, max_difference: float = DEFAULT_DIFFERENCE
) -> SampleCheck:
    """Run a bundle on its samples and compare with the outputs of the trained network.

    It is the format of the predictor that is run, or the bundle's first. `max_difference` is in units of the
    outputs' scale, and larger than at the export, because another processor may round differently. A format in 8
    bits may differ twice as much as in its parity check. Raises BundleError for samples that are damaged.
    """
    if not isinstance(bundle, Predictor):
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        return check_samples(Predictor(opened, runtime=opened.info.exporter.name), max_difference=max_difference)
    predictor, bundle = bundle, bundle.bundle
    samples = _read_expected(bundle)
    if not samples:
        return SampleCheck(0, 0.0, max_difference, "")
    got = predictor.predict_items(sample_items(bundle))
    expected = np.array([outputs for _, outputs in samples], dtype=np.float64)
    # NaN counts as the largest possible difference.
    differences = np.nan_to_num(np.abs(got - expected) / bundle.task.scales, nan=1.0, posinf=1.0)
    row, column = divmod(int(differences.argmax()), differences.shape[1])
    worst = f"worst in {SAMPLES}/{shown(samples[row][0])}, {output_name(bundle.task, column)}"
    allowed = max(max_difference, _of_8_bits(bundle, predictor.format))
    return SampleCheck(len(samples), float(differences[row, column]), allowed, worst)


def sample_items(bundle: Bundle) -> np.ndarray:
    """Return the samples as the bundle's input reads them, ``[n, ...]``."""
    samples = _read_expected(bundle)
    if not samples:
        return np.zeros((0,))
    return np.stack([_read_item(bundle, file) for file, _ in samples])


def _of_8_bits(bundle: Bundle, name: str) -> float:
    if EXPORTERS[name].exact:
        return 0.0
    record = next((item.parity for item in bundle.info.formats if item.exporter.name == name), bundle.info.parity)
    return 0.0 if record is None else EIGHT_BITS * record.largest_difference


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


def _read_expected(bundle: Bundle) -> list[tuple[str, Sequence[float]]]:
    """Return the file and the outputs of each sample, the outputs in the order of the bundle's task."""
    path = bundle.folder / SAMPLES / EXPECTED
    if not path.is_file():
        return []
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        # Bundles of formats 1 and 2 call them class_names and probabilities.
        names = list(data["names"] if "names" in data else data["class_names"])
        samples: list[tuple[str, Sequence[float]]] = [
            (str(item["file"]), [float(value) for value in item.get("outputs", item.get("probabilities"))])
            for item in data["samples"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{readable(path)}: is damaged ({error}); export the bundle again") from None
    task = bundle.task
    if sorted(names) != sorted(task.names) or any(len(outputs) != task.outputs for _, outputs in samples):
        raise BundleError(f"{readable(path)}: belongs to another task than the bundle; export the bundle again")
    if len(names) != task.outputs:
        return samples
    order = [names.index(name) for name in task.names]
    return [(file, [outputs[column] for column in order]) for file, outputs in samples]


def _read_item(bundle: Bundle, file: str) -> np.ndarray:
    path = bundle.folder / SAMPLES / file
    try:
        return bundle.input.read(path)
    except (AutoMLError, OSError) as error:
        raise BundleError(f"{error}; export the bundle again") from None
