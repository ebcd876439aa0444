"""VisualDL's pages about one trained network: augmented images, mistakes, precision and recall, the graph."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from paddle_automl.compression.copying import copy_of
from paddle_automl.core.display_text import shown
from paddle_automl.core.partial import prefix_of
from paddle_automl.data.splits import PreparedData, Split
from paddle_automl.deployment.network import final_layer
from paddle_automl.paddle_compat.visualdl import add_graph, add_pr_curve
from paddle_automl.pipeline.augmented import augmentation_told, augmented_batches
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.learning import Learnable
from paddle_automl.pipeline.progress.visualdl_log import tag_of
from paddle_automl.tasks.classification import NamedTask
from paddle_automl.training.evaluation import predict

NAME = "network"
"""Name of the log, beside those of the trials."""
IMAGES, VERSIONS = 32, 4
"""Images of a drawn batch, and how many batches: VisualDL's slider goes through them."""
MISTAKES = 24
GRAPH_S = 10.0
"""Shortest training whose network is drawn."""
CURVES = 20
"""Most classes with a curve of their own: those with the lowest precision on average."""
SIDE = 64
"""Smallest side of a drawn image; smaller ones are enlarged."""
logger = logging.getLogger(__name__)


def log_network(
    root: Path, config: RunConfig, train: Split, judged: Split, outputs: np.ndarray, split: str, network: Any = None
) -> None:
    """Write the pages of one network to ROOT/network, all at once.

    `outputs` [N, K] are those for the items of `judged`, which is the split named `split`. The graph is that of
    `network`, which cannot be used afterwards; None: no graph. A page that cannot be made is left out, with a line
    in the log file.
    """
    from visualdl import LogWriter

    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=prefix_of(root.name), dir=root.parent) as scratch:
        folder = Path(scratch) / NAME
        writer = LogWriter(logdir=str(folder), display_name=NAME)
        pages = {
            "augmented images": lambda: _augmented(writer, config, train),
            "mistakes": lambda: _mistakes(writer, judged, outputs, split),
            "precision and recall": lambda: _curves(writer, judged, outputs, split),
            "graph": lambda: _graph(writer, judged, network),
        }
        for name, make in pages.items():
            try:
                make()
            except Exception as error:  # noqa: BLE001  a page is worth no training
                logger.warning("VisualDL: no %s: %s: %s", name, type(error).__name__, shown(error))
        writer.close()
        (root / NAME).mkdir(exist_ok=True)
        # VisualDL shows the newest file of a folder; while it runs, it fails on every page without the older ones.
        for file in folder.iterdir():
            file.replace(root / NAME / file.name)


def log_training(root: Path, config: RunConfig, data: PreparedData, work: Learnable, seconds: float) -> None:
    """Write the pages of the network that was just trained, in `seconds`, judged on the validation split of `data`.

    The graph of a whole network takes 2 s, so one that was trained in a moment has none.
    """
    judged = data.validation
    if not len(judged):
        return
    outputs = predict(work.model, work.data.validation.with_task(data.task))
    network = None if work.frozen or seconds < GRAPH_S else copy_of(work.model)
    log_network(root, config, data.train, judged, outputs, "validation", network)


def _augmented(writer: Any, config: RunConfig, train: Split) -> None:
    """Write batches of training images as the network sees them, and what changes them."""
    if train.input.name != "image":
        return
    writer.add_text("augmentation of the batch", shown(augmentation_told(config)), 1)
    for number, pictures in enumerate(augmented_batches(config, train, IMAGES, VERSIONS), start=1):
        writer.add_image("augmented training batch", _sheet([picture.pixels for picture in pictures]), number)
        writer.add_text("targets of the augmented batch", "; ".join(shown(p.label) for p in pictures), number)


def _mistakes(writer: Any, judged: Split, outputs: np.ndarray, split: str) -> None:
    """Write the worst mistakes, as images or texts."""
    from paddle_automl.pipeline.jobs.answers import preview

    for rank, item in enumerate(judged.task.worst(outputs, judged.codes, MISTAKES), 1):
        told = f"true {item.truth}, predicted {item.answer}"
        raw = judged.raw([item.index])[0]
        if judged.input.name == "image":
            pixels = raw.transpose(1, 2, 0)
            writer.add_image(f"mistakes ({split})/{rank:02d} {tag_of(told)}", _sheet([_rgb(pixels)]), 0)
        else:
            _, text = preview(judged.input, raw)
            writer.add_text(f"mistakes ({split})/{rank:02d} {tag_of(told)}", text or "-", 0)


def _curves(writer: Any, judged: Split, outputs: np.ndarray, split: str) -> None:
    """Write a curve of precision over recall for each class or label, and one over all."""
    task = judged.task
    if not isinstance(task, NamedTask) or not len(outputs):
        return
    true = task.applying(judged.codes)
    add_pr_curve(writer, f"precision and recall ({split})/all", true.ravel(), outputs.ravel())
    for place in _hardest(true, outputs):
        name = tag_of(f"precision and recall ({split})/{task.names[place]}")
        add_pr_curve(writer, name, true[:, place], outputs[:, place])


def _hardest(true: np.ndarray, outputs: np.ndarray) -> list[int]:
    """Return the classes with the lowest average precision that have items, most difficult first."""
    from sklearn.metrics import average_precision_score

    present = [k for k in range(true.shape[1]) if true[:, k].any()]
    if len(present) <= CURVES:
        return present
    found = {k: float(average_precision_score(true[:, k], outputs[:, k])) for k in present}
    return sorted(present, key=lambda k: found[k])[:CURVES]


def _graph(writer: Any, judged: Split, network: Any) -> None:
    if network is None:
        return
    from paddle.static import InputSpec

    network.eval()
    specs = [InputSpec([None, *spec.shape], spec.dtype, spec.name) for spec in judged.input.specs]
    add_graph(writer, final_layer(network, judged.task.final), specs)


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """Return an image uint8 [H, W, C], C 1 or 3, with three channels."""
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels[..., :1], 3, axis=2)


def _sheet(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return images uint8 [H, W, 3] of one size in rows of eight, small ones enlarged, uint8 [H, W, 3]."""
    height, width = images[0].shape[:2]
    times = max(1, -(-SIDE // min(height, width)))
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    gap = 2
    sheet = Image.new("RGB", (columns * (width * times + gap) - gap, rows * (height * times + gap) - gap), "white")
    for place, pixels in enumerate(images):
        picture = Image.fromarray(np.ascontiguousarray(pixels)).resize((width * times, height * times), 0)
        at = (place % columns * (width * times + gap), place // columns * (height * times + gap))
        sheet.paste(picture, at)
    return np.asarray(sheet)
