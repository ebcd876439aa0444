"""PaddleX 3 loads a bundle's folder as it is: the files ``inference.yml`` and ``pipeline.yaml``.

`create_model` reads ``inference.yml`` beside the network in Paddle's format; the command line and the server of
PaddleX start from ``pipeline.yaml``. PaddleX decodes and resizes images itself, with OpenCV and Pillow, so its
answers may differ for images whose probabilities are close: `measure_agreement` states how often.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_text
from paddle_automl.core.paths import readable
from paddle_automl.core.yaml_io import dump_yaml
from paddle_automl.data.splits import Split
from paddle_automl.deployment.exporters.base import EXPORTERS, Session
from paddle_automl.deployment.runtime import import_paddle, lasting
from paddle_automl.inputs.base import Input, TensorSpec
from paddle_automl.inputs.image.decoding import BROKEN
from paddle_automl.inputs.image.input import ImageInput
from paddle_automl.tasks.base import Task, spread

logger = logging.getLogger(__name__)

INFERENCE, PIPELINE = "inference.yml", "pipeline.yaml"
MODEL_NAME = "PP-LCNet_x1_0"
"""PaddleX only loads models with a name that it knows. The name of a small classifier chooses its code for
classification; the network is the one in the folder."""
LUMA = (0.299, 0.587, 0.114)
"""Parts of red, green and blue in a grey value (ITU-R BT.601), as Pillow converts color images."""
MOST_CLASSES = 5
MOST_ITEMS = 1000
"""Most validation items on which the agreement is measured."""
BATCH = 16
ALIKE = 1e-4
"""Largest difference of normalized pixels that are the same up to rounding."""
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Agreement:
    """For how many of the validation images PaddleX's reading of the file gives the same class."""

    items: int
    same: int

    def describe(self) -> str:
        """Return one sentence for users."""
        return f"same class as this package for {self.same} of {self.items} validation images"


def obstacle(input: Input, task: Task, exporter: str) -> str | None:  # noqa: A002, RUF100
    """Return why PaddleX cannot load such a bundle, or None if it can."""
    if not isinstance(input, ImageInput):
        return f"PaddleX classifies images; this network takes {input.name} input"
    if task.final.activation != "softmax" or task.final.scale is not None or task.outputs != len(task.names):
        return f"PaddleX's image classification gives one class of several; this task is {task.name}"
    if EXPORTERS[exporter].runtime != "paddle":
        return f"PaddleX looks for Paddle's format in the folder; deployment.exporter is {exporter}"
    fitted = input.fitted
    if fitted.fit == "pad":
        return "PaddleX's image classification cannot pad (data.input.fit: pad); use crop or stretch"
    if fitted.fit == "crop" and fitted.size[0] != fitted.size[1]:
        return f"PaddleX crops to squares, not to {fitted.size[0]} x {fitted.size[1]}; use fit: stretch or one side"
    if fitted.range is not None:
        return f"PaddleX reads 8 bits per channel, without the range {list(fitted.range)} (data.input.range)"
    return None


def for_any_channels(model: Any, input: Input, exporter: str) -> tuple[Any, Sequence[TensorSpec]]:  # noqa: A002, RUF100
    """Return the network and its arrays in the form in which Paddle's format is exported.

    PaddleX always feeds three channels. A network of grey images gets the sum over its channels as its first step,
    so that its file takes one channel, without any change, or three that ``inference.yml`` weights as a grey value.
    """
    specs = input.specs
    if not isinstance(input, ImageInput) or input.channels != 1 or EXPORTERS[exporter].runtime != "paddle":
        return model, specs
    paddle = import_paddle()

    class AnyChannels(paddle.nn.Layer):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network

        def forward(self, image):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, RUF100
            return self.network(paddle.sum(image, axis=1, keepdim=True))

    layer = AnyChannels(model)
    layer.training = model.training
    return layer, (TensorSpec(specs[0].name, (None, *specs[0].shape[1:]), specs[0].dtype),)


def inference_yml(input: ImageInput, task: Task, agreement: Agreement | None = None) -> dict[str, Any]:  # noqa: A002, RUF100
    """Return the content of ``inference.yml``: steps before the network, and the names of the classes."""
    fitted = input.fitted
    height, width = fitted.size
    resize: dict[str, Any] = {"backend": "pil", "interpolation": fitted.interpolation.upper()}
    if fitted.fit == "stretch":
        steps: list[dict[str, Any]] = [{"ResizeImage": {"size": [width, height], **resize}}]
    else:
        steps = [{"ResizeImage": {"resize_short": height, **resize}}, {"CropImage": {"size": [width, height]}}]
    mean, std = _three_channels(input)
    steps += [{"NormalizeImage": {"scale": 1 / 255, "mean": mean, "std": std, "channel_num": 3, "order": ""}}]
    found: dict[str, Any] = {
        "Global": {"model_name": MODEL_NAME},
        "PreProcess": {"transform_ops": [*steps, {"ToCHWImage": None}]},
        "PostProcess": {"Topk": {"topk": min(MOST_CLASSES, task.outputs), "label_list": list(task.names)}},
    }
    if agreement is not None:
        found["Agreement"] = {"validation_images": agreement.items, "same_class": agreement.same}
    return found


def pipeline_yaml(task: Task, place: str) -> dict[str, Any]:
    """Return the content of ``pipeline.yaml``; `place` is the bundle's folder as PaddleX is to find it."""
    module = {
        "module_name": "image_classification",
        "model_name": MODEL_NAME,
        "model_dir": place,
        "batch_size": 1,
        "topk": min(MOST_CLASSES, task.outputs),
    }
    return {"pipeline_name": "image_classification", "SubModules": {"ImageClassification": module}}


def place_of(folder: str | Path) -> str:
    """Return the bundle's folder for `model_dir`: relative to the working directory if it is below, else ``.``.

    PaddleX takes it relative to the directory in which it is started. An absolute path would tell of this machine,
    and would be wrong on any other.
    """
    relative = os.path.relpath(os.path.realpath(folder), os.path.realpath(os.getcwd()))
    if relative.split(os.sep)[0] == os.pardir:
        return "."
    # With the prefix no name is taken for a number, as PaddleX does with such texts.
    return "." if relative == os.curdir else f"./{Path(relative).as_posix()}"


def check_wanted(wanted: str, input: Input, task: Task, exporter: str) -> None:  # noqa: A002, RUF100
    """Raise ConfigError if the files are `wanted` ("required"), and PaddleX cannot load such a bundle."""
    reason = obstacle(input, task, exporter) if wanted == "required" else None
    if reason is not None:
        raise ConfigError(f"deployment.paddlex: {reason}; use deployment.paddlex: auto, which leaves the files out")


def add_files(
    folder: Path, exporter: str, session: Session, split: Split, target: str | Path, wanted: str = "auto"
) -> None:
    """Write both files into a bundle's `folder`, whose final place is `target`, if PaddleX can load it.

    `session` is the network in the bundle's first format, `exporter`; `split` holds the validation items; `wanted`
    is `deployment.paddlex`. Raises ConfigError if they are required and PaddleX cannot load the bundle.
    """
    if wanted == "none":
        return
    check_wanted(wanted, split.input, split.task, exporter)
    reason = obstacle(split.input, split.task, exporter)
    if reason is not None:
        logger.debug("no files for PaddleX: %s", reason)
        return
    agreement = measure_agreement(session, split) if len(split) else None
    if agreement is not None:
        logger.debug("PaddleX: %s", agreement.describe())
    write_files(folder, split.input, split.task, target=target, agreement=agreement)


def write_files(
    folder: Path,
    input: Input,  # noqa: A002, RUF100
    task: Task,
    *,
    target: str | Path,
    agreement: Agreement | None = None,
) -> None:
    """Write both files into `folder`, whose final place is `target`; the input must be without `obstacle`."""
    assert isinstance(input, ImageInput)
    words = "" if agreement is None else f"# With PaddleX's own reading of the files: {agreement.describe()}.\n"
    text = (
        "# For PaddleX 3: create_model(model_name=..., model_dir=<this folder>) with the model_name below.\n"
        "# The name only selects PaddleX's code for classification; the network is the one beside this file.\n"
        f"{words}"
    )
    write_text(folder / INFERENCE, text + dump_yaml(inference_yml(input, task, agreement)))
    write_pipeline(folder, task, target)


def write_pipeline(folder: Path, task: Task, target: str | Path) -> None:
    """Write ``pipeline.yaml`` into `folder`, whose final place is `target`."""
    text = (
        "# For PaddleX 3: paddlex --pipeline pipeline.yaml --input photo.jpg, or paddlex --serve --pipeline ...\n"
        "# model_dir is relative to the directory in which paddlex is started: after moving the folder, start it\n"
        "# in the same place relative to the folder, or use a copy of this file with another model_dir.\n"
    )
    write_text(folder / PIPELINE, text + dump_yaml(pipeline_yaml(task, place_of(target))))


# -- agreement -----------------------------------------------------------------------------------------------------
def measure_agreement(session: Session, split: Split) -> Agreement:
    """Run the network on validation images read as PaddleX reads them, and count equal answers.

    Files are decoded in full and resized as `inference_yml` says, instead of by `Input.read`; one that cannot be
    decoded so does not count as equal. Of a large split, `MOST_ITEMS` items evenly spread over the classes are
    taken. Items of array data sets are in memory.
    """
    assert isinstance(split.input, ImageInput)
    rows = spread(split.task.strata(split.codes), len(split), MOST_ITEMS)
    same, run = 0, lasting(session)
    for start in range(0, len(rows), BATCH):
        chunk = rows[start : start + BATCH]
        items = split.raw(chunk)
        found = [_read(split, int(row), item) for row, item in zip(chunk, items, strict=True)]
        items, read = items[[item is not None for item in found]], [item for item in found if item is not None]
        if not read:
            continue
        (name, ours), theirs = next(iter(split.input.batch(items).items())), normalized(np.stack(read), split.input)
        # Most images are read alike, and then the network need not be asked.
        other = np.flatnonzero((np.abs(theirs - ours) > ALIKE).reshape(len(read), -1).any(axis=1))
        same += len(read) - len(other)
        if len(other):
            expected, got = (run({name: arrays[other]}) for arrays in (ours, theirs))
            same += int(split.task.agree(expected, got).sum())
    return Agreement(len(rows), same)


def _read(split: Split, row: int, item: np.ndarray) -> np.ndarray | None:
    """Return one validation item as PaddleX sees it before normalization, uint8 [H, W, 3]; None if it cannot."""
    source = None if split.sources is None else split.sources[row]
    if not isinstance(source, str | Path):
        pixels = item.transpose(1, 2, 0)
        return np.ascontiguousarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)
    assert isinstance(split.input, ImageInput)
    try:
        return as_paddlex_reads(Path(source), split.input)
    except BROKEN as error:
        # Such as a PNG with a text of many MB, which `Decoder` leaves out.
        logger.debug("PaddleX: %s cannot be read: %s", readable(source), error)
        return None


def as_paddlex_reads(file: Path, input: ImageInput) -> np.ndarray:  # noqa: A002, RUF100
    """Return an image file's pixels after PaddleX's decoding, resizing and cropping, uint8 [H, W, 3]."""
    height, width = input.size
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    kind = _FILTERS[input.fitted.interpolation]
    if input.fitted.fit == "stretch":
        return np.asarray(image if image.size == (width, height) else image.resize((width, height), kind))
    ratio = height / min(image.size)
    size = (round(image.width * ratio), round(image.height * ratio))
    image = image if image.size == size else image.resize(size, kind)
    left, top = max(0, (size[0] - width) // 2), max(0, (size[1] - height) // 2)
    return np.asarray(image)[top : top + height, left : left + width]


def normalized(images: np.ndarray, input: ImageInput) -> np.ndarray:  # noqa: A002, RUF100
    """Return PaddleX's array, float32 [N, 3, H, W], of pixels, uint8 [N, H, W, 3]."""
    mean, std = _three_channels(input)
    result = images.transpose(0, 3, 1, 2).astype(np.float32)
    for channel in range(3):
        result[:, channel] *= 1 / 255 / std[channel]
        result[:, channel] += -mean[channel] / std[channel]
    return result


def _three_channels(input: ImageInput) -> tuple[list[float], list[float]]:  # noqa: A002, RUF100
    """Return mean and standard deviation of three channels, for pixels scaled to 0..1."""
    mean, std = list(input.fitted.mean), list(input.fitted.std)
    if len(mean) == 3:
        return mean, std
    # The sum of (x - mean) / std over the channels, in this form, is that of the grey value.
    return mean * 3, [std[0] / part for part in LUMA]
