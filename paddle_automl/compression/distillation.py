"""The loss of a student that learns from a teacher."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F
from pydantic import Field

from paddle_automl.compression.maps import MapPoint, caught, map_points
from paddle_automl.compression.teachers import Teacher
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import Section

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


class Distillation:
    """Soft labels of a teacher, and optionally its middle layers; belongs to one training of one student.

    The student's layers are compared with the teacher's of the same resolution, the last of each. Raises
    ConfigError where there is none, or where the teacher is no network.
    """

    def __init__(
        self, config: DistillationConfig, teacher: Teacher, student: nn.Layer, input_shape: tuple[int, int, int]
    ) -> None:
        self.config = config
        self.teacher = teacher
        self._pairs: list[tuple[MapPoint, MapPoint]] = []
        self._hint: _Hint | None = None
        self._student_maps: dict[str, Tensor] = {}
        self._teacher_maps: dict[str, Tensor] = {}
        if config.hints != "none":
            self._pairs = _pairs(teacher, student, input_shape)
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

    def loss(self, images: Tensor, logits: Tensor, hard: Tensor) -> Tensor:
        """Return the whole loss, shape [], of the student's `logits` [N, K], `hard` being the recipe's own."""
        config = self.config
        taught = self.teacher.probabilities(images, config.temperature)
        total = (1 - config.weight) * hard
        if config.weight:
            total = total + config.weight * soft_label_loss(logits, taught, config.temperature)
        if self._hint is not None:
            maps = [
                (self._student_maps[ours.layer], self._teacher_maps[theirs.layer].detach())
                for ours, theirs in self._pairs
            ]
            total = total + config.hint_weight * self._hint.loss(maps)
        return total

    def after_step(self) -> None:
        """Let what the loss itself learns take a step."""
        if self._hint is not None:
            self._hint.after_step()


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

    def after_step(self) -> None:
        """Learn; most hints have nothing to learn."""
        return


class _FitNets(_Hint):
    """Romero et al., FitNets: Hints for Thin Deep Nets (2015), eq. 3: 1/2 ||u_h(x) - r(v_g(x))||^2.

    The regressor r is a 1 x 1 convolution from the student's channels to the teacher's. The mean over the map,
    not the sum, is taken, and each pair is divided by the teacher's mean square: weights then mean the same for
    every size of map.
    """

    def __init__(self, pairs: list[tuple[MapPoint, MapPoint]]) -> None:
        self.regressors = [nn.Conv2D(ours.channels, theirs.channels, 1) for ours, theirs in pairs]
        parameters = [p for regressor in self.regressors for p in regressor.parameters()]
        self.optimizer = paddle.optimizer.Adam(1e-3, parameters=parameters)

    def loss(self, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
        terms = []
        for regressor, (ours, theirs) in zip(self.regressors, maps, strict=True):
            scale = theirs.square().mean() + 1e-8
            terms.append((theirs - regressor(ours)).square().mean() / (2 * scale))
        return paddle.stack(terms).mean()

    def after_step(self) -> None:
        self.optimizer.step()
        self.optimizer.clear_grad()


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
