"""The loss of a student that learns from a teacher."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F
from pydantic import Field

from paddle_automl.compression.context import Context
from paddle_automl.compression.copying import copy_of
from paddle_automl.compression.maps import MapPoint, caught, map_points
from paddle_automl.compression.teachers import NetworkTeacher, Teacher
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import Section
from paddle_automl.models import kernels
from paddle_automl.models.classifier import Classifier
from paddle_automl.paddle_compat.device import seed_everything
from paddle_automl.training.guide import ForwardPass, Guide

Hints = Literal["none", "fitnets", "attention"]


class DistillationConfig(Section):
    """How a student learns from a teacher."""

    temperature: float = Field(4.0, gt=0)
    """T: teacher's and student's logits are divided by it."""
    weight: float = Field(0.7, ge=0, le=1)
    """Share of the soft labels in the loss; the rest is the recipe's own loss on the true labels."""
    hints: Hints = "none"
    """What is learned from the teacher's middle layers: none, fitnets (its feature maps, through a learned 1 x 1
    convolution) or attention (where its feature maps are large)."""
    hint_weight: float = Field(1.0, gt=0)
    """Weight of that part beside the rest of the loss."""


def soft_label_loss(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(taught || softmax(logits / T)), mean over the batch, shape [].

    Hinton et al., Distilling the Knowledge in a Neural Network (2015), section 2; T^2 keeps the gradients' size
    when T changes. `logits` [N, K], `taught` [N, K] at temperature T.
    """
    log_student = F.log_softmax(logits / temperature, axis=-1)
    log_taught = paddle.log(paddle.clip(taught, min=1e-12))
    return temperature**2 * (taught * (log_taught - log_student)).sum(axis=-1).mean()


class Distillation(Guide):
    """Soft labels of a teacher, and optionally its middle layers; belongs to one training of one student.

    The student's layers are compared with the teacher's of the same resolution, the last of each; `seed` is that
    of the adapters' initial weights. Raises ConfigError where there is none, or where the teacher is no network.
    """

    def __init__(
        self,
        config: DistillationConfig,
        teacher: Teacher,
        student: nn.Layer,
        input_shape: tuple[int, int, int],
        *,
        seed: int = 0,
    ) -> None:
        self.config = config
        self.teacher = teacher
        self._pairs: list[tuple[MapPoint, MapPoint]] = []
        self._hint: _Hint | None = None
        self._student_maps: dict[str, Tensor] = {}
        self._teacher_maps: dict[str, Tensor] = {}
        if config.hints != "none":
            self._pairs = _pairs(teacher, student, input_shape)
            seed_everything(seed, "distillation")
            self._hint = _HINTS[config.hints](self._pairs)
        self._student = student

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Catch the feature maps of student and teacher inside the block, where they are needed."""
        with ExitStack() as stack:
            if self._pairs and self.teacher.network is not None:
                ours = [student.layer for student, _ in self._pairs]
                theirs = [taught.layer for _, taught in self._pairs]
                self._student_maps = stack.enter_context(caught(self._student, ours))
                self._teacher_maps = stack.enter_context(caught(self.teacher.network, theirs))
            yield

    def parameters(self) -> Sequence[Tensor]:
        """Return the weights of the adapters between feature maps."""
        return () if self._hint is None else self._hint.parameters()

    def loss(self, step: ForwardPass, loss: Tensor) -> Tensor:
        """Return the whole loss, shape []; `loss` is the recipe's own on the true labels."""
        config = self.config
        taught = self.teacher.probabilities(step.images, config.temperature)
        total = (1 - config.weight) * loss
        if config.weight:
            total = total + config.weight * soft_label_loss(step.logits, taught, config.temperature)
        if self._hint is not None:
            maps = [
                (_float32(self._student_maps[ours.layer]), _float32(self._teacher_maps[theirs.layer].detach()))
                for ours, theirs in self._pairs
            ]
            total = total + config.hint_weight * self._hint.loss(maps)
        return total


def _float32(feature_map: Tensor) -> Tensor:
    return kernels.plain(feature_map).astype("float32")


def taught_by(
    network: Classifier, config: DistillationConfig | None, student: nn.Layer, context: Context
) -> list[Guide]:
    """Return the guides of a training in which a copy of `network` teaches `student`; none without `config`."""
    if config is None:
        return []
    return [Distillation(config, NetworkTeacher(copy_of(network)), student, context.input_shape, seed=context.seed)]


def _pairs(
    teacher: Teacher, student: nn.Layer, input_shape: tuple[int, int, int]
) -> list[tuple[MapPoint, MapPoint]]:
    if teacher.network is None:
        raise ConfigError(
            "hints: the teacher must be one network, not a bundle or an ensemble, to teach its middle layers; "
            "use hints: none"
        )
    theirs = {point.size: point for point in map_points(teacher.network, input_shape)}
    pairs = [(point, theirs[point.size]) for point in map_points(student, input_shape) if point.size in theirs]
    if not pairs:
        raise ConfigError("hints: teacher and student have no feature maps of the same size; use hints: none")
    return pairs


class _Hint(ABC):
    @abstractmethod
    def loss(self, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the mean over pairs of maps (student's, teacher's), shape []."""

    def parameters(self) -> Sequence[Tensor]:
        """Return what is learned; most hints have nothing to learn."""
        return ()


class _FitNets(_Hint):
    """Romero et al., FitNets: Hints for Thin Deep Nets (2015), eq. 3: 1/2 ||u_h(x) - r(v_g(x))||^2.

    The regressor r is a 1 x 1 convolution from the student's channels to the teacher's. The mean over the map,
    not the sum, is taken, and each pair is divided by the teacher's mean square: weights then mean the same for
    every size of map.
    """

    def __init__(self, pairs: list[tuple[MapPoint, MapPoint]]) -> None:
        self.regressors = [nn.Conv2D(ours.channels, theirs.channels, 1) for ours, theirs in pairs]

    def loss(self, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
        terms = []
        for regressor, (ours, theirs) in zip(self.regressors, maps, strict=True):
            scale = theirs.square().mean() + 1e-8
            terms.append((theirs - regressor(ours)).square().mean() / (2 * scale))
        return paddle.stack(terms).mean()

    def parameters(self) -> Sequence[Tensor]:
        return [p for regressor in self.regressors for p in regressor.parameters()]


class _Attention(_Hint):
    """Zagoruyko and Komodakis, Paying More Attention to Attention (2017), eq. 2 with p = 2.

    || Q_S / ||Q_S|| - Q_T / ||Q_T|| ||_2 with Q = vec(sum_c A_c^2), mean over images and pairs.
    """

    def __init__(self, pairs: list[tuple[MapPoint, MapPoint]]) -> None:
        del pairs

    def loss(self, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
        terms = []
        for ours, theirs in maps:
            difference = _attention(ours) - _attention(theirs)
            terms.append(paddle.sqrt(difference.square().sum(axis=-1) + 1e-12).mean())
        return paddle.stack(terms).mean()


def _attention(feature_map: Tensor) -> Tensor:
    flat = feature_map.square().sum(axis=1).flatten(1)
    return flat / (paddle.sqrt(flat.square().sum(axis=-1, keepdim=True)) + 1e-8)


_HINTS: dict[str, type[_FitNets] | type[_Attention]] = {"fitnets": _FitNets, "attention": _Attention}
