"""Teachers of a distillation: a network, an exported bundle, or several of them together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.compression.context import Context, TrainedNetwork
from paddle_automl.compression.views import View
from paddle_automl.core.errors import AutoMLError, ConfigError
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.deployment.bundle import INFO, Bundle
from paddle_automl.deployment.runtime import in_lasting_thread
from paddle_automl.models import kernels

ORIGINAL = "original"


class Teacher(ABC):
    """Says what the student should say about images."""

    network: nn.Layer | None = None
    """The network whose middle layers the student can learn from, if there is one."""
    input_shape: tuple[int, int, int] | None = None
    """(C, H, W) of that network's images; None: as the student's."""

    @abstractmethod
    def probabilities(self, images: Tensor, temperature: float) -> Tensor:
        """Return softmax(logits / temperature) [N, K] of normalized images [N, C, H, W], without gradient."""


class NetworkTeacher(Teacher):
    """A trained network; it is put in evaluation mode whenever it is asked.

    With a `view` it has classes and images of its own; without one it has the student's.
    """

    def __init__(self, network: nn.Layer, view: View | None = None) -> None:
        self.network = network
        self.view = view
        self.input_shape = None if view is None else view.theirs.input_shape

    def probabilities(self, images: Tensor, temperature: float) -> Tensor:  # noqa: D102
        assert self.network is not None
        self.network.eval()
        with paddle.no_grad(), kernels.use("float32"):
            if self.view is None:
                return F.softmax(self.network(images) / temperature, axis=-1)
            logits = self.network(self.view.images(images))
            return self.view.classes(F.softmax(logits / temperature, axis=-1))


class BundleTeacher(Teacher):
    """An exported network. Its probabilities p give p^(1/T), scaled to sum 1, at temperature T."""

    def __init__(self, folder: Path, preprocess: Preprocess, class_names: Sequence[str], threads: int = 1) -> None:
        bundle = Bundle.open(folder)
        self._view = View(
            bundle.info.preprocess, bundle.class_names, preprocess, class_names, f"the bundle {folder}"
        )
        self._session = bundle.session(threads=threads)

    def probabilities(self, images: Tensor, temperature: float) -> Tensor:  # noqa: D102
        with paddle.no_grad():
            pixels = self._view.images(images).numpy()
            # In its own thread: the training's would be left with one math thread.
            found = paddle.to_tensor(in_lasting_thread(lambda: self._session(pixels)))
            logits = paddle.log(paddle.clip(self._view.classes(found), min=1e-12)) / temperature
            return F.softmax(logits, axis=-1)


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
        teachers += [_seen(trial, "a best trial", context) for trial in context.best_networks(best_trials)]
    if not teachers:
        raise ConfigError(f"teacher: name at least one: {ORIGINAL}, a bundle, a run, or set best_trials")
    return teachers[0] if len(teachers) == 1 else Ensemble(teachers)


def _find(name: str, context: Context) -> Teacher:
    if name == ORIGINAL:
        return NetworkTeacher(context.original)
    folder = Path(name)
    if not folder.is_dir():
        raise ConfigError(
            f"teacher: '{name}' is no folder; valid: {ORIGINAL}, the folder of a bundle or of a trained run"
        )
    reason = "runs cannot be opened here; name a bundle"
    if not (folder / INFO).is_file() and context.load_network is not None:
        try:
            trained = context.load_network(folder)
        except AutoMLError as error:
            reason = str(error)
        else:
            return _seen(trained, f"the run {name}", context)
    # A network can teach its middle layers, too; the bundle beside it cannot.
    for candidate in (folder, folder / "model"):
        if (candidate / INFO).is_file():
            return BundleTeacher(candidate, context.data.preprocess, context.data.class_names)
    raise ConfigError(f"teacher: '{name}' holds no {INFO}, and no run that can be opened: {reason}")


def _seen(trained: TrainedNetwork, what: str, context: Context) -> Teacher:
    data = context.data
    view = View(trained.preprocess, trained.class_names, data.preprocess, data.class_names, what)
    return NetworkTeacher(trained.network, view)
