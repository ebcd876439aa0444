"""A bundle's samples: a few inputs with the probabilities that the trained network gave them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from paddle_automl.core.errors import BundleError
from paddle_automl.core.files import write_json
from paddle_automl.core.paths import readable
from paddle_automl.data.parts import Part
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.deployment.bundle import SAMPLES, Bundle
from paddle_automl.deployment.network import evaluating, network_probabilities
from paddle_automl.deployment.predictor import Predictor

EXPECTED = "expected.json"
LARGEST_COPY = 5_000_000
"""Bytes; a larger image file is kept as the decoded pixels, so that samples do not outgrow the network."""

DEFAULT_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class SampleCheck:
    """Outcome of running a bundle on its own samples."""

    samples: int
    max_abs_difference: float
    max_difference: float
    worst: str

    @property
    def passed(self) -> bool:
        """Whether every probability is as expected, within the allowed difference."""
        return self.max_abs_difference <= self.max_difference

    def describe(self) -> str:
        """Return one sentence for people."""
        if not self.samples:
            return "the bundle has no samples"
        return (
            f"{'passed' if self.passed else 'FAILED'}: {self.samples} samples, largest difference of "
            f"probabilities {self.max_abs_difference:.2e} (allowed {self.max_difference:g}), {self.worst}"
        )


def spread(labels: np.ndarray, count: int) -> np.ndarray:
    """Return up to `count` indices, int64, rising, spread evenly over the classes, without any chance."""
    order = np.argsort(labels, kind="stable")
    picks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.int64)
    return np.sort(order[picks])


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """Write decoded pixels, uint8 [C, H, W] with C 1 or 3, as a PNG file; returns its path."""
    image = pixels[0] if pixels.shape[0] == 1 else pixels.transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(image)).save(path, "PNG")
    return path


def write_samples(bundle: Bundle, model: Any, part: Part, preprocess: Preprocess, count: int) -> None:
    """Write `count` images of `part` and what the dynamic graph says about them below ``samples/``.

    An image file is copied; of an array data set the pixels are written as PNG. Call `Bundle.updated`
    afterwards.
    """
    indices = spread(part.labels, count)
    if not len(indices):
        return
    folder = bundle.folder / SAMPLES
    folder.mkdir(exist_ok=True)
    pixels, files = part.raw(indices), part.files
    with evaluating(model):
        probabilities = network_probabilities(model, preprocess.normalize(pixels))
    names = [
        _write_input(folder, number, files[index] if files else None, image)
        for number, (index, image) in enumerate(zip(indices, pixels, strict=True))
    ]
    records = [
        {
            "file": name,
            "label": bundle.class_names[part.labels[index]],
            "probabilities": [round(float(value), 9) for value in row],
        }
        for name, index, row in zip(names, indices, probabilities, strict=True)
    ]
    write_json(folder / EXPECTED, {"class_names": list(bundle.class_names), "samples": records})


def check_samples(
    bundle: str | Path | Bundle,
    *,
    max_difference: float = DEFAULT_DIFFERENCE,
    device: str = "cpu",
    threads: int = 1,
) -> SampleCheck:
    """Run a bundle on its samples and compare with what the trained network gave.

    The allowed difference is wider than at the export, as another processor may round otherwise. Raises
    BundleError for a damaged bundle.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    predictor = Predictor(opened, device=device, threads=threads, runtime=opened.info.exporter.name)
    largest, worst = 0.0, ""
    records, class_names = _read_expected(opened)
    for record in records:
        path = opened.folder / SAMPLES / record["file"]
        got = _run(predictor, path)
        for name, expected in zip(class_names, record["probabilities"], strict=True):
            difference = abs(got.get(name, np.nan) - expected)
            difference = 1.0 if np.isnan(difference) else difference
            if not worst or difference > largest:
                largest = max(largest, difference)
                worst = f"worst in {SAMPLES}/{record['file']}, class '{name}'"
    return SampleCheck(len(records), largest, max_difference, worst)


def _write_input(folder: Path, number: int, source: Path | None, pixels: np.ndarray) -> str:
    if source is not None and source.stat().st_size <= LARGEST_COPY:
        name = f"{number}{source.suffix.lower()}"
        shutil.copyfile(source, folder / name)
        return name
    return write_png(folder / f"{number}.png", pixels).name


def _read_expected(bundle: Bundle) -> tuple[list[dict[str, Any]], list[str]]:
    path = bundle.folder / SAMPLES / EXPECTED
    if not path.is_file():
        return [], []
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return list(data["samples"]), list(data["class_names"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{readable(path)}: is damaged ({error}); export the bundle again") from None


def _run(predictor: Predictor, path: Path) -> dict[str, float]:
    prediction = predictor.predict([path])[0]
    if prediction.probabilities is None:
        raise BundleError(f"{prediction.error}; export the bundle again")
    return prediction.probabilities
