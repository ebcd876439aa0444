"""Teachers of a distillation: a network, an exported bundle, or several of them together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.compression.context import Context
from paddle_automl.core.errors import ConfigError
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.deployment.bundle import INFO
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.models import kernels

ORIGINAL = "original"


class Teacher(ABC):
    """Says what the student should say about images."""

    network: nn.Layer | None = None
    """The network whose middle layers the student can learn from, if there is one."""

    @abstractmethod
    def probabilities(self, images: Tensor, temperature: float) -> Tensor:
        """Return softmax(logits / temperature) [N, K] of normalized images [N, C, H, W], without gradient."""


class NetworkTeacher(Teacher):
    """A trained network with the student's classes; it is put in evaluation mode whenever it is asked."""

    def __init__(self, network: nn.Layer) -> None:
        self.network = network

    def probabilities(self, images: Tensor, temperature: float) -> Tensor:  # noqa: D102
        assert self.network is not None
        self.network.eval()
        with paddle.no_grad(), kernels.use("float32"):
            return F.softmax(self.network(images) / temperature, axis=-1)


class BundleTeacher(Teacher):
    """An exported network. Its probabilities p give p^(1/T), scaled to sum 1, at temperature T."""

    def __init__(self, folder: Path, preprocess: Preprocess, class_names: Sequence[str], threads: int = 1) -> None:
        predictor = Predictor(folder, threads=threads)
        own = predictor.bundle.info.preprocess
        _require_classes(class_names, predictor.class_names, f"the bundle {folder}")
        if (own.image_size, own.channels) != (preprocess.image_size, preprocess.channels):
            raise ConfigError(
                f"teacher: the bundle {folder} takes images of {list(own.input_shape)} (channels, height, width), "
                f"the student of {list(preprocess.input_shape)}; choose a teacher of the student's size"
            )
        self._session = predictor.bundle.session(threads=threads)
        self._columns = [list(predictor.class_names).index(name) for name in class_names]
        self._scale = _per_channel(preprocess.std) / _per_channel(own.std)
        self._offset = (_per_channel(preprocess.mean) - _per_channel(own.mean)) / _per_channel(own.std)

    def probabilities(self, images: Tensor, temperature: float) -> Tensor:  # noqa: D102
        pixels = images.numpy() * self._scale + self._offset
        found = self._session(pixels.astype(np.float32))[:, self._columns]
        logits = np.log(np.maximum(found, 1e-12)) / temperature
        return F.softmax(paddle.to_tensor(logits.astype(np.float32)), axis=-1)


class Ensemble(Teacher):
    """The mean of several teachers' softened probabilities."""

    def __init__(self, members: Sequence[Teacher]) -> None:
        self.members = tuple(members)

    def probabilities(self, images: Tensor, temperature: float) -> Tensor:  # noqa: D102
        found = [member.probabilities(images, temperature) for member in self.members]
        return paddle.stack(found).mean(axis=0)


def find_teacher(names: Sequence[str], best_trials: int, context: Context) -> Teacher:
    """Return the teacher that the options name; several ones teach together.

    A name is ``original``, the folder of a bundle, or the folder of a trained run. Raises ConfigError for a
    folder that is neither, and for a teacher of other classes.
    """
    teachers = [_find(name, context) for name in names]
    if best_trials:
        if context.best_networks is None:
            raise ConfigError(
                "teacher: best_trials needs a study: compress a search's output folder, or name the teachers"
            )
        teachers += [_checked(network, "a best trial", context) for network in context.best_networks(best_trials)]
    if not teachers:
        raise ConfigError(f"teacher: name at least one: {ORIGINAL}, a bundle, a run, or set best_trials")
    return teachers[0] if len(teachers) == 1 else Ensemble(teachers)


def _find(name: str, context: Context) -> Teacher:
    if name == ORIGINAL:
        return NetworkTeacher(context.original)
    folder = Path(name)
    for candidate in (folder, folder / "model"):
        if (candidate / INFO).is_file():
            return BundleTeacher(candidate, context.data.preprocess, context.data.class_names)
    if not folder.is_dir():
        raise ConfigError(
            f"teacher: '{name}' is no folder; valid: {ORIGINAL}, the folder of a bundle or of a trained run"
        )
    if context.load_network is None:
        raise ConfigError(f"teacher: '{name}' holds no {INFO}, and runs cannot be opened here; name a bundle")
    return _checked(context.load_network(folder), f"the run {name}", context)


def _checked(network: nn.Layer, what: str, context: Context) -> Teacher:
    classes = getattr(network, "num_classes", context.data.num_classes)
    if classes != context.data.num_classes:
        raise ConfigError(
            f"teacher: {what} knows {classes} classes, the data has {context.data.num_classes}; "
            "choose a teacher of the same classes"
        )
    return NetworkTeacher(network)


def _require_classes(expected: Sequence[str], got: Sequence[str], what: str) -> None:
    if sorted(expected) != sorted(got):
        missing = sorted(set(expected) - set(got))
        raise ConfigError(
            f"teacher: {what} knows {len(got)} classes, not the {len(expected)} of the data"
            f"{': ' + ', '.join(missing[:5]) + ' missing' if missing else ''}; choose a teacher of the same classes"
        )


def _per_channel(values: Sequence[float]) -> Any:
    return np.asarray(values, dtype=np.float32).reshape(1, -1, 1, 1)
