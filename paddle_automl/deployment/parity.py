"""The parity certificate: does the bundle predict what the trained network predicts?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from paddle_automl.core.errors import ParityError
from paddle_automl.core.paths import readable
from paddle_automl.data.parts import Part
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.deployment.network import evaluating, network_probabilities
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.records import ParityCertificate
from paddle_automl.deployment.samples import spread, write_png

BATCH_SIZE = 64
TIE = 2e-5
"""Two classes closer than this are a tie: float32 rounding decides between them, on either side."""

RawSource = Literal["original files", "written images", "none"]


def check_parity(
    model: Any,
    predictor: Predictor,
    part: Part,
    preprocess: Preprocess,
    *,
    class_names: Sequence[str],
    max_difference: float = 1e-5,
    min_top1_agreement: float = 1.0,
    raw_files: int = 20,
    max_accuracy_drop: float | None = None,
) -> ParityCertificate:
    """Compare the trained network with the bundle, on the whole of `part` and on files.

    `model` maps normalized images to logits; it runs as a dynamic graph in evaluation mode on the batches
    that training sees, normalized by `preprocess`, the training's own. `predictor` gets decoded pixels, or
    file names, and does all else by the bundle's preprocessing and labels. Classes are compared by name.
    Up to `raw_files` images are decoded from files by the predictor: the part's own, or pixels of an array
    data set written as PNG. With `max_accuracy_drop` the bundle's accuracy on `part` must not be further
    below the network's.

    Raises ParityError where the bundle has other classes than the data.
    """
    comparison = _Comparison(class_names, predictor.class_names)
    with evaluating(model):
        _compare_part(model, predictor, part, comparison)
        source = _compare_files(model, predictor, part, preprocess, comparison, raw_files)
    worst = comparison.worst
    agreement = comparison.agreed / comparison.count if comparison.count else 0.0
    largest = max(comparison.part_largest, comparison.files_largest)
    verified = len(part) > 0 and agreement >= min_top1_agreement and largest <= max_difference
    expected, got = (correct / max(len(part), 1) for correct in comparison.correct)
    if max_accuracy_drop is not None:
        verified = verified and expected - got <= max_accuracy_drop + 1e-9
    return ParityCertificate(
        samples=len(part),
        top1_agreement=agreement,
        max_abs_difference=comparison.part_largest,
        raw_files=comparison.files,
        raw_source=source,
        raw_max_abs_difference=comparison.files_largest if comparison.files else None,
        max_difference=max_difference,
        min_top1_agreement=min_top1_agreement,
        worst_index=worst.index if worst else None,
        worst_file=worst.file if worst else None,
        worst=worst.text if worst else "no images to compare",
        accuracy=got,
        network_accuracy=expected,
        max_accuracy_drop=max_accuracy_drop,
        verified=verified,
    )


@dataclass(frozen=True)
class _Worst:
    index: int
    file: str | None
    text: str


class _Comparison:
    """Running figures over pairs of probabilities, [n, K] each, aligned by class name."""

    def __init__(self, class_names: Sequence[str], exported_names: Sequence[str]) -> None:
        if sorted(class_names) != sorted(exported_names):
            raise ParityError(
                f"labels.txt: the bundle's classes {_listed(exported_names)} are not the data's "
                f"{_listed(class_names)}; export the bundle again"
            )
        self.class_names = tuple(class_names)
        self._columns = [list(exported_names).index(name) for name in class_names]
        self.count = self.agreed = self.files = 0
        self.correct = [0, 0]
        """Images of the part that network and bundle classify correctly."""
        self.part_largest = self.files_largest = 0.0
        self.worst: _Worst | None = None
        self._worst_difference = -1.0

    def score(self, expected: np.ndarray, got: np.ndarray, labels: np.ndarray) -> None:
        """Count the right answers of both."""
        for side, answers in enumerate((expected, got[:, self._columns])):
            self.correct[side] += int((answers.argmax(axis=1) == labels).sum())

    def add(
        self,
        expected: np.ndarray,
        got: np.ndarray,
        indices: np.ndarray,
        files: Sequence[str] | None,
        raw: bool,
    ) -> None:
        """Take in the network's and the bundle's probabilities of the images at `indices` of the part."""
        got = got[:, self._columns]
        # What is not a number agrees with nothing: it counts as the largest possible difference.
        differences = np.nan_to_num(np.abs(expected.astype(np.float64) - got), nan=1.0, posinf=1.0)
        rows = np.arange(len(expected))
        first, second = expected.argmax(axis=1), got.argmax(axis=1)
        margins = expected[rows, first] - expected[rows, second]
        self.count += len(expected)
        self.agreed += int(((first == second) | (margins <= TIE)).sum())
        largest = float(differences.max())
        if raw:
            self.files_largest = max(self.files_largest, largest)
        else:
            self.part_largest = max(self.part_largest, largest)
        if largest > self._worst_difference:
            self._worst_difference = largest
            row, column = divmod(int(differences.argmax()), differences.shape[1])
            index, file = int(indices[row]), files[row] if files else None
            place = f"validation image {index}" + (f" ({file})" if file else "")
            self.worst = _Worst(
                index,
                file,
                f"{place}{' decoded from its file' if raw else ''}, class '{self.class_names[column]}': "
                f"network {expected[row, column]:.6f}, bundle {got[row, column]:.6f}",
            )


def _compare_part(model: Any, predictor: Predictor, part: Part, comparison: _Comparison) -> None:
    start, files = 0, part.files
    for batch in part.batches(BATCH_SIZE):
        indices = np.arange(start, start + len(batch.images))
        start += len(indices)
        expected = network_probabilities(model, batch.images)
        got = predictor.predict_arrays(part.raw(indices))
        comparison.score(expected, got, part.labels[indices])
        comparison.add(expected, got, indices, _names(files, indices), raw=False)


def _compare_files(
    model: Any, predictor: Predictor, part: Part, preprocess: Preprocess, comparison: _Comparison, limit: int
) -> RawSource:
    indices, files = spread(part.labels, limit), part.files
    if not len(indices):
        return "none"
    with tempfile.TemporaryDirectory(prefix="paddle_automl-parity-") as scratch:
        for chunk in _chunks(indices):
            pixels = part.raw(chunk)
            if files is not None:
                paths = [files[index] for index in chunk]
            else:
                paths = [
                    write_png(Path(scratch) / f"{i}.png", image) for i, image in zip(chunk, pixels, strict=True)
                ]
            got = _decoded_by(predictor, paths)
            fresh = np.stack([preprocess.decode(path) for path in paths])
            # Training may have kept its pixels in a cache: both they and the file's must give this answer.
            for source in (pixels,) if np.array_equal(pixels, fresh) else (pixels, fresh):
                expected = network_probabilities(model, preprocess.normalize(source))
                comparison.add(expected, got, chunk, _names(files, chunk), raw=True)
            comparison.files += len(chunk)
    return "original files" if files is not None else "written images"


def _decoded_by(predictor: Predictor, paths: Sequence[Path]) -> np.ndarray:
    rows = []
    for prediction in predictor.predict(paths):
        if prediction.probabilities is None:
            raise ParityError(f"the bundle cannot decode a file of the validation part: {prediction.error}")
        rows.append([prediction.probabilities[name] for name in predictor.class_names])
    return np.asarray(rows, dtype=np.float32)


def _names(files: Sequence[Path] | None, indices: np.ndarray) -> list[str] | None:
    return None if files is None else [readable(files[index]) for index in indices]


def _chunks(indices: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(indices), BATCH_SIZE):
        yield indices[start : start + BATCH_SIZE]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return f"{len(names)} ({shown}{', ...' if len(names) > 5 else ''})"
