"""Teachers of a distillation: a network, an exported bundle, or several of them together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.compression.context import Context, TrainedNetwork
from paddle_automl.compression.views import View
from paddle_automl.core.errors import AutoMLError, ConfigError
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.integrity import INFO
from paddle_automl.deployment.runtime import lasting
from paddle_automl.inputs.base import Input, TensorSpec
from paddle_automl.models import kernels
from paddle_automl.models.views import TestTimeAugmentation, averaged
from paddle_automl.tasks.base import Final, Task
from paddle_automl.training.final import final_tensor

ORIGINAL = "original"
SMALLEST_CLASS = 1e-12
"""Smallest probability of a class; smaller ones are raised to it before the logarithm."""
SMALLEST_LABEL = 1e-7
"""The same for a label, for which the distance to 1 counts too; float32 cannot represent a smaller distance."""


class Teacher(ABC):
    """Provides soft targets of a batch, which a student learns in addition to the true targets."""

    network: nn.Layer | None = None
    """The network whose middle layers the student can learn from, if there is one."""
    specs: Sequence[TensorSpec] | None = None
    """The arrays that `network` takes; None: those of the student."""

    @abstractmethod
    def soft_targets(self, inputs: Sequence[Tensor], temperature: float) -> Tensor:
        """Return the soft targets [N, K] for the student's arrays [N, ...], without gradient.

        For classes softmax(raw / temperature) of the teacher's raw outputs, for labels sigmoid(raw / temperature).
        Numbers have no temperature: they are raw outputs, standardized as in the student's task.
        """


class NetworkTeacher(Teacher):
    """A trained network; each call puts it in evaluation mode.

    `task` is the student's. A network of another training needs a `view` that knows its input and its task; without
    one its inputs and outputs are those of the student.
    """

    def __init__(self, network: nn.Layer, task: Task, view: View | None = None) -> None:
        self.network = network
        self.specs = None if view is None else view.specs
        self._view = view
        self._final = task.final

    def soft_targets(self, inputs: Sequence[Tensor], temperature: float) -> Tensor:  # noqa: D102
        assert self.network is not None
        activation, view = self._final.activation, self._view
        self.network.eval()
        with paddle.no_grad(), kernels.use("float32"):
            raw = self.network(*(inputs if view is None else view.inputs(inputs)))
            if activation == "softmax":
                found = F.softmax(raw / temperature, axis=-1)
            elif activation == "sigmoid":
                found = F.sigmoid(raw / temperature)
            else:
                # Another training has its own standardization of targets, so convert through the user's unit.
                return raw if view is None else raw_of(view.outputs(final_tensor(raw, view.final)), self._final)
            return found if view is None else view.outputs(found)


class BundleTeacher(Teacher):
    """An exported network. Its raw outputs are computed from its outputs; see `raw_of`."""

    def __init__(self, folder: Path, ours: tuple[Input, Task], threads: int = 1) -> None:
        bundle = Bundle.open(folder)
        self._view = View((bundle.input, bundle.task), ours, f"the bundle {folder}")
        self._final = ours[1].final
        self._names = [spec.name for spec in bundle.input.specs]
        self._session = bundle.session(threads=threads)

    def soft_targets(self, inputs: Sequence[Tensor], temperature: float) -> Tensor:  # noqa: D102
        with paddle.no_grad():
            seen = self._view.inputs(inputs)
            arrays = {name: tensor.numpy() for name, tensor in zip(self._names, seen, strict=True)}
            # In its own thread: otherwise the training's thread would be left with one math thread.
            found = paddle.to_tensor(lasting(self._session)(arrays))
            final = replace(self._final, temperature=self._view.final.temperature)
            raw = raw_of(self._view.outputs(found), final)
            if self._final.activation == "softmax":
                return F.softmax(raw / temperature, axis=-1)
            return F.sigmoid(raw / temperature) if self._final.activation == "sigmoid" else raw


def raw_of(outputs: Tensor, final: Final) -> Tensor:
    """Return raw outputs [N, K] that `final` maps to `outputs` [N, K].

    For a softmax these are the logarithms of the probabilities, because adding a constant does not change it.
    """
    if final.shift is not None:
        outputs = outputs - paddle.to_tensor(final.shift, dtype=outputs.dtype)
    if final.scale is not None:
        outputs = outputs / paddle.to_tensor(final.scale, dtype=outputs.dtype)
    if final.activation == "softmax":
        return paddle.log(paddle.clip(outputs, min=SMALLEST_CLASS)) * final.temperature
    if final.activation == "sigmoid":
        probabilities = paddle.clip(outputs, min=SMALLEST_LABEL, max=1 - SMALLEST_LABEL)
        return paddle.log(probabilities) - paddle.log(1 - probabilities)
    return outputs


class Ensemble(Teacher):
    """The mean of several teachers' soft targets."""

    def __init__(self, members: Sequence[Teacher]) -> None:
        self.members = tuple(members)

    def soft_targets(self, inputs: Sequence[Tensor], temperature: float) -> Tensor:  # noqa: D102
        found = [member.soft_targets(inputs, temperature) for member in self.members]
        return paddle.stack(found).mean(axis=0)


class Viewing(Teacher):
    """The mean of a teacher's soft targets over several views of each image."""

    def __init__(self, teacher: Teacher, views: TestTimeAugmentation) -> None:
        self.network, self.specs = teacher.network, teacher.specs
        self._teacher, self._views = teacher, views

    def soft_targets(self, inputs: Sequence[Tensor], temperature: float) -> Tensor:  # noqa: D102
        return averaged(self._views, lambda images: self._teacher.soft_targets([images], temperature), inputs)


def find_teacher(names: Sequence[str], best_trials: int, context: Context) -> Teacher:
    """Return the teacher that the options name; several teach as an ensemble.

    A name is ``original``, the folder of a bundle, or the folder of a trained run; `best_trials` of the study teach
    as well. Raises ConfigError for a folder that is neither, and for a teacher with another task or other names.
    """
    teachers = [_find(name, context) for name in names]
    if best_trials:
        if context.best_networks is None:
            raise ConfigError(
                "teacher: best_trials needs a study: compress a search's output folder, or name the teachers"
            )
        teachers += [_viewed(trial, "a best trial", context) for trial in context.best_networks(best_trials)]
    if not teachers:
        raise ConfigError(f"teacher: name at least one: {ORIGINAL}, a bundle, a run, or set best_trials")
    return teachers[0] if len(teachers) == 1 else Ensemble(teachers)


def _find(name: str, context: Context) -> Teacher:
    if name == ORIGINAL:
        return NetworkTeacher(context.original, context.task)
    folder = Path(name)
    if not folder.is_dir():
        raise ConfigError(
            f"teacher: '{name}' is not a folder; valid: {ORIGINAL}, the folder of a bundle or of a trained run"
        )
    reason = "runs cannot be opened here; name a bundle"
    if not (folder / INFO).is_file() and context.load_network is not None:
        try:
            trained = context.load_network(folder)
        except AutoMLError as error:
            reason = str(error)
        else:
            return _viewed(trained, f"the run {name}", context)
    # A network can also teach its middle layers; the bundle next to it cannot.
    for candidate in (folder, folder / "model"):
        if (candidate / INFO).is_file():
            return BundleTeacher(candidate, (context.data.input, context.task))
    raise ConfigError(f"teacher: '{name}' holds no {INFO}, and no run that can be opened: {reason}")


def _viewed(trained: TrainedNetwork, what: str, context: Context) -> Teacher:
    view = View((trained.input, trained.task), (context.data.input, context.task), what)
    return NetworkTeacher(trained.network, context.task, view)
