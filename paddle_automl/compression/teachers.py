"""Teachers of a distillation: a network, an exported bundle, or several of them together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.compression.context import Context, TrainedNetwork
from paddle_automl.compression.views import View
from paddle_automl.core.errors import AutoMLError, ConfigError
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.integrity import INFO
from paddle_automl.deployment.runtime import in_lasting_thread
from paddle_automl.inputs.base import Input, TensorSpec
from paddle_automl.models import kernels
from paddle_automl.tasks.base import Activation, Task

ORIGINAL = "original"


class Teacher(ABC):
    """Says what the student should say about a batch."""

    network: nn.Layer | None = None
    """The network whose middle layers the student can learn from, if there is one."""
    specs: Sequence[TensorSpec] | None = None
    """The arrays that network takes; None: as the student's."""

    @abstractmethod
    def soft_targets(self, inputs: Sequence[Tensor], temperature: float) -> Tensor:
        """Return what to learn, [N, K], of the student's arrays [N, ...], without gradient; see `softened`."""


def softened(raw: Tensor, activation: Activation, temperature: float) -> Tensor:
    """Return activation(raw / temperature) [N, K], or `raw` itself where the activation is the identity."""
    if activation == "softmax":
        return F.softmax(raw / temperature, axis=-1)
    return F.sigmoid(raw / temperature) if activation == "sigmoid" else raw


class NetworkTeacher(Teacher):
    """A trained network; it is put in evaluation mode whenever it is asked.

    `task` is that of the student. With a `view` the network has an input and an order of outputs of its own, and
    `specs` are the arrays that it takes; without one it has the student's. `theirs` is its own task, by which its
    outputs are scaled.
    """

    def __init__(
        self,
        network: nn.Layer,
        task: Task,
        view: View | None = None,
        specs: Sequence[TensorSpec] | None = None,
        theirs: Task | None = None,
    ) -> None:
        self.network = network
        self.view = view
        self.specs = specs
        self._task = task
        self._theirs = theirs or task

    def soft_targets(self, inputs: Sequence[Tensor], temperature: float) -> Tensor:  # noqa: D102
        assert self.network is not None
        self.network.eval()
        with paddle.no_grad(), kernels.use("float32"):
            raw = self.network(*(inputs if self.view is None else self.view.inputs(inputs)))
            found = softened(raw, self._task.final.activation, temperature)
            return found if self.view is None else rescaled(self.view.outputs(found), self._theirs, self._task)


class BundleTeacher(Teacher):
    """An exported network. Its probabilities p give p^(1/T), scaled to sum 1, at temperature T."""

    def __init__(self, folder: Path, ours: tuple[Input, Task], threads: int = 1) -> None:
        bundle = Bundle.open(folder)
        self._view = View((bundle.input, bundle.task), ours, f"the bundle {folder}")
        self._task = ours[1]
        self._names = [spec.name for spec in bundle.input.specs]
        self._session = bundle.session(threads=threads)

    def soft_targets(self, inputs: Sequence[Tensor], temperature: float) -> Tensor:  # noqa: D102
        with paddle.no_grad():
            arrays = {
                name: tensor.numpy() for name, tensor in zip(self._names, self._view.inputs(inputs), strict=True)
            }
            # In its own thread: the training's would be left with one math thread.
            found = paddle.to_tensor(in_lasting_thread(lambda: self._session(arrays)))
            outputs = self._view.outputs(found)
            activation = self._task.final.activation
            if activation == "softmax":
                return F.softmax(paddle.log(paddle.clip(outputs, min=1e-12)) / temperature, axis=-1)
            if activation == "sigmoid":
                p = paddle.clip(outputs, min=1e-7, max=1 - 1e-7)
                return F.sigmoid((paddle.log(p) - paddle.log(1 - p)) / temperature)
            return standardized(outputs, self._task)


def standardized(outputs: Tensor, task: Task) -> Tensor:
    """Return raw outputs [N, K] of a task whose last step is ``scale * x + shift``."""
    scale, shift = task.final.scale, task.final.shift
    if shift is not None:
        outputs = outputs - paddle.to_tensor(np.asarray(shift, np.float32))
    return outputs if scale is None else outputs / paddle.to_tensor(np.asarray(scale, np.float32))


def rescaled(raw: Tensor, theirs: Task, ours: Task) -> Tensor:
    """Return another training's targets [N, K], in our order, with our scale of numbers."""
    if ours.final.activation != "identity" or theirs.final == ours.final:
        return raw
    columns = ours.columns(theirs) or []
    final = theirs.final
    if final.scale is not None:
        raw = raw * paddle.to_tensor(np.asarray([final.scale[column] for column in columns], np.float32))
    if final.shift is not None:
        raw = raw + paddle.to_tensor(np.asarray([final.shift[column] for column in columns], np.float32))
    return standardized(raw, ours)


class Ensemble(Teacher):
    """The mean of several teachers' soft targets."""

    def __init__(self, members: Sequence[Teacher]) -> None:
        self.members = tuple(members)

    def soft_targets(self, inputs: Sequence[Tensor], temperature: float) -> Tensor:  # noqa: D102
        found = [member.soft_targets(inputs, temperature) for member in self.members]
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
        return NetworkTeacher(context.original, context.task)
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
            return BundleTeacher(candidate, (context.data.input, context.task))
    raise ConfigError(f"teacher: '{name}' holds no {INFO}, and no run that can be opened: {reason}")


def _seen(trained: TrainedNetwork, what: str, context: Context) -> Teacher:
    view = View((trained.input, trained.task), (context.data.input, context.task), what)
    return NetworkTeacher(trained.network, context.task, view, trained.input.specs, trained.task)
