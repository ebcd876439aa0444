"""Distillation: the loss of a student network that learns from a teacher."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, ClassVar

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F
from pydantic import BeforeValidator, Field, field_validator, model_validator

from paddle_automl.compression.context import Context
from paddle_automl.compression.copying import copy_of
from paddle_automl.compression.hints import HINTS, Hint, HintName
from paddle_automl.compression.teachers import ORIGINAL, NetworkTeacher, Teacher, Viewing
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import Section, Sequence
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.models.network import Network
from paddle_automl.models.views import TestTimeAugmentation, check_views
from paddle_automl.paddle_compat.device import seed_everything
from paddle_automl.tasks.base import Activation
from paddle_automl.training.callback import Callback, ForwardPass


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class DistillationConfig(Section):
    """How a student learns from a teacher."""

    temperature: float = Field(4.0, gt=0)
    """Temperature T: raw outputs of teacher and student are divided by it; no effect on regression."""
    weight: float = Field(0.7, ge=0, le=1)
    """Weight of the teacher's soft targets in the loss; the loss on the true targets gets 1 - weight."""
    hints: HintName = "none"
    """What the student learns from the teacher's middle layers: none, fitnets (feature maps, through a learned 1 x
    1 convolution), attention (the positions where feature maps are large) or relations (distances and angles
    between the items of a batch in the features before the head)."""
    hint_weight: float = Field(1.0, gt=0)
    """Factor of the hints' loss, which is added to the rest."""
    test_time_augmentation: TestTimeAugmentation = "none"
    """Views of an image over which the teacher's soft targets are averaged: the student learns, at its own cost,
    what the teacher knows only from several views. See model.test_time_augmentation."""

    @model_validator(mode="after")
    def _hints_of_one_view(self) -> DistillationConfig:
        if self.hints != "none" and self.test_time_augmentation != "none":
            raise ValueError(
                "test_time_augmentation: must be none with hints, which compare feature maps of the same view"
            )
        return self


class TeachingConfig(DistillationConfig):
    """Teachers of a training, and how the network learns from them; with weight 0 and no hints it does not."""

    teacher: Annotated[Sequence[str], BeforeValidator(_listed)] = Field(min_length=1)
    """Folders of bundles, trained runs or searches' outputs; several teach as an ensemble."""
    best_trials: int = Field(0, ge=0)
    """Number of best trials that teach instead of the winner, for each teacher that is a search's output."""

    path_options: ClassVar[tuple[str, ...]] = ("teacher",)

    @field_validator("teacher")
    @classmethod
    def _no_original(cls, teacher: tuple[str, ...]) -> tuple[str, ...]:
        if ORIGINAL in teacher:
            raise ValueError(f"'{ORIGINAL}' is the network before a compression; name a bundle or a trained run")
        return teacher

    @property
    def active(self) -> bool:
        """Whether the teachers contribute to the loss."""
        return self.weight > 0 or self.hints != "none"


def soft_target_loss(raw: Tensor, taught: Tensor, temperature: float, activation: Activation) -> Tensor:
    """Return the loss, shape [], between a student's raw outputs [N, K] and soft targets [N, K].

    For classes `soft_label_loss`, for labels `soft_multi_label_loss`, for numbers the mean squared error in
    standard deviations of the targets, like the loss ``mse``.
    """
    if activation == "softmax":
        return soft_label_loss(raw, taught, temperature)
    if activation == "sigmoid":
        return soft_multi_label_loss(raw, taught, temperature)
    return (raw - taught).square().mean()


def soft_label_loss(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(taught || softmax(logits / T)), mean over the batch, shape [].

    Hinton et al., Distilling the Knowledge in a Neural Network (2015), section 2; T^2 keeps the gradients' size
    when T changes. `logits` [N, K], `taught` [N, K] at temperature T.
    """
    log_student = F.log_softmax(logits / temperature, axis=-1)
    log_taught = paddle.log(paddle.clip(taught, min=1e-12))
    return temperature**2 * (taught * (log_taught - log_student)).sum(axis=-1).mean()


def soft_multi_label_loss(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(taught || sigmoid(logits / T)) of each label, mean over items and labels, shape [].

    The divergence of two Bernoulli distributions, as `soft_label_loss` is that of two categorical ones: 0 if the
    student's probabilities equal the teacher's. `logits` [N, K], `taught` [N, K] at temperature T.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits / temperature, taught)
    yes, no = paddle.clip(taught, min=1e-12), paddle.clip(1 - taught, min=1e-12)
    entropy = -(taught * paddle.log(yes) + (1 - taught) * paddle.log(no)).mean()
    return temperature**2 * (cross_entropy - entropy)


class Distillation(Callback):
    """Adds the distance between student and teacher to a training's loss: in outputs, optionally in middle layers.

    Belongs to one training of one student. `specs` are the arrays that the student takes, `activation` is that of
    its task's last step, `seed` that of the initial weights of the layers between feature maps. Raises ConfigError
    if this teacher cannot give hints.
    """

    def __init__(
        self,
        config: DistillationConfig,
        teacher: Teacher,
        student: nn.Layer,
        specs: Sequence[TensorSpec],
        activation: Activation = "softmax",
        *,
        seed: int = 0,
    ) -> None:
        self.config = config
        self.teacher = teacher
        self._activation: Activation = activation
        self._hint: Hint | None = None
        if config.hints != "none":
            if teacher.network is None:
                raise ConfigError(
                    "hints: the teacher must be one network, not a bundle or an ensemble, to teach its middle "
                    "layers; use hints: none"
                )
            seed_everything(seed, "distillation")
            self._hint = HINTS[config.hints](teacher.network, student, (teacher.specs or specs, specs))

    def parameters(self) -> tuple[Tensor, ...]:
        """Return the trained weights of the layers between feature maps."""
        return () if self._hint is None else tuple(self._hint.parameters())

    def watching(self) -> AbstractContextManager[object]:
        """Return the context in which the feature maps of student and teacher are recorded for the hints."""
        return nullcontext() if self._hint is None else self._hint.watching()

    def loss(self, step: ForwardPass, loss: Tensor) -> Tensor:
        """Return the whole loss, shape []; `loss` is the recipe's own on the true targets."""
        config = self.config
        total = (1 - config.weight) * loss
        taught = self.teacher.soft_targets(step.inputs, config.temperature)
        if config.weight:
            soft = soft_target_loss(step.outputs, step.blended(taught), config.temperature, self._activation)
            total = total + config.weight * soft
        if self._hint is not None:
            total = total + config.hint_weight * self._hint.loss(step)
        return total


def taught_by(
    network: Network, config: DistillationConfig | None, student: nn.Layer, context: Context
) -> list[Callback]:
    """Return the callbacks for a copy of `network` as the teacher of `student`; none without `config`."""
    if config is None:
        return []
    teacher = NetworkTeacher(copy_of(network), context.task)
    return [distillation_of(config, teacher, student, context)]


def distillation_of(
    config: DistillationConfig, teacher: Teacher, student: nn.Layer, context: Context
) -> Distillation:
    """Return the distillation from a teacher into a student with the inputs and the task of `context`."""
    activation, views = context.task.final.activation, config.test_time_augmentation
    check_views(views, context.specs, "test_time_augmentation")
    if views != "none":
        teacher = Viewing(teacher, views)
    return Distillation(config, teacher, student, context.specs, activation, seed=context.seed)
