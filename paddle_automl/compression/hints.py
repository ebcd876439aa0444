"""Hints: losses between the middle layers of a teacher and of its student."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import paddle
from paddle import Tensor, nn

from paddle_automl.compression.maps import MapPoint, map_points, recorded
from paddle_automl.core.errors import ConfigError
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.models import kernels
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.slim.distances import relational_loss
from paddle_automl.training.callback import ForwardPass

HintName = Literal["none", "fitnets", "attention", "relations"]
Specs = Sequence[TensorSpec]


class Hint(ABC):
    """A loss between middle layers of two networks, for one training of `student`.

    `specs` are the arrays that teacher and student take. Raises ConfigError if their layers cannot be compared.
    """

    def __init__(self, teacher: nn.Layer, student: nn.Layer, specs: tuple[Specs, Specs]) -> None:
        self.teacher = teacher
        self.student = student

    def parameters(self) -> Sequence[Tensor]:
        """Return the hint's own trained parameters; most hints have none."""
        return ()

    @abstractmethod
    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record the outputs of the middle layers of both networks in each forward pass inside the block."""

    @abstractmethod
    def loss(self, step: ForwardPass) -> Tensor:
        """Return the loss, shape [], after a forward pass of both; `step` is the student's.

        What the teacher computed of the items is blended as within the student.
        """


class _Maps(Hint):
    """Compares the last feature maps at each resolution that both networks have."""

    def __init__(self, teacher: nn.Layer, student: nn.Layer, specs: tuple[Specs, Specs]) -> None:
        super().__init__(teacher, student, specs)
        theirs = {point.size: point for point in map_points(teacher, specs[0])}
        ours = map_points(student, specs[1])
        self.pairs: list[tuple[MapPoint, MapPoint]] = [(p, theirs[p.size]) for p in ours if p.size in theirs]
        if not self.pairs:
            raise ConfigError(
                "hints: teacher and student have no feature maps of the same size; use hints: relations or none"
            )
        self._maps: list[dict[str, Tensor]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ExitStack() as stack:
            self._maps = [
                stack.enter_context(recorded(self.student, [ours.layer for ours, _ in self.pairs])),
                stack.enter_context(recorded(self.teacher, [theirs.layer for _, theirs in self.pairs], calls=True)),
            ]
            yield

    def loss(self, step: ForwardPass) -> Tensor:
        ours, theirs = self._maps
        terms = [
            self.between(index, _float32(ours[student.layer]), _taught(step, theirs[teacher.layer]))
            for index, (student, teacher) in enumerate(self.pairs)
        ]
        return paddle.stack(terms).mean()

    @abstractmethod
    def between(self, index: int, ours: Tensor, theirs: Tensor) -> Tensor:
        """Return the loss between the maps [B, C, H, W] of the pair at `index`, shape []."""


class FitNets(_Maps):
    """Romero et al., FitNets: Hints for Thin Deep Nets (2015), eq. 3: 1/2 ||u_h(x) - r(v_g(x))||^2.

    The regressor r is a 1 x 1 convolution from the student's channels to the teacher's. Unlike there, the mean over
    the map is taken instead of the sum, and each pair is divided by the teacher's mean square, so that a weight
    means the same for every size of map.
    """

    def __init__(self, teacher: nn.Layer, student: nn.Layer, specs: tuple[Specs, Specs]) -> None:
        super().__init__(teacher, student, specs)
        self.regressors = [nn.Conv2D(ours.channels, theirs.channels, 1) for ours, theirs in self.pairs]

    def parameters(self) -> Sequence[Tensor]:  # noqa: D102
        return [p for regressor in self.regressors for p in regressor.parameters()]

    def between(self, index: int, ours: Tensor, theirs: Tensor) -> Tensor:  # noqa: D102
        scale = theirs.square().mean() + 1e-8
        return (theirs - self.regressors[index](ours)).square().mean() / (2 * scale)


class Attention(_Maps):
    """Zagoruyko and Komodakis, Paying More Attention to Attention (2017), eq. 2 with p = 2.

    || Q_S / ||Q_S|| - Q_T / ||Q_T|| ||_2 with Q = vec(sum_c A_c^2), mean over items and pairs.
    """

    def between(self, index: int, ours: Tensor, theirs: Tensor) -> Tensor:  # noqa: D102
        difference = _attention(ours) - _attention(theirs)
        return paddle.sqrt(difference.square().sum(axis=-1) + 1e-12).mean()


class Relations(Hint):
    """Compares distances and angles between the items of a batch in the features before the heads.

    Park et al., Relational Knowledge Distillation (2019); see `relational_loss`.
    """

    def __init__(self, teacher: nn.Layer, student: nn.Layer, specs: tuple[Specs, Specs]) -> None:
        super().__init__(teacher, student, specs)
        if not isinstance(teacher, Network):
            raise ConfigError("hints: relations needs a teacher with features before a head; use hints: none")
        self._head = teacher.fc
        self._relations = relational_loss()
        self._seen: dict[str, Tensor] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:  # noqa: D102
        def keep(_: nn.Layer, inputs: Any) -> None:
            self._seen["features"] = inputs[0]

        handle = self._head.register_forward_pre_hook(keep)
        try:
            yield
        finally:
            handle.remove()

    def loss(self, step: ForwardPass) -> Tensor:  # noqa: D102
        found: Tensor = self._relations(step.features, _taught(step, self._seen["features"]))
        return found


HINTS: dict[str, type[Hint]] = {"fitnets": FitNets, "attention": Attention, "relations": Relations}


def _float32(tensor: Tensor) -> Tensor:
    return kernels.plain(tensor).astype("float32")


def _taught(step: ForwardPass, seen: Tensor) -> Tensor:
    return step.blended(_float32(seen.detach()))


def _attention(feature_map: Tensor) -> Tensor:
    flat = feature_map.square().sum(axis=1).flatten(1)
    # Clipped, as the derivative of a root is infinite at 0, which a map after a ReLU may be everywhere.
    norm = flat.square().sum(axis=-1, keepdim=True).clip(min=1e-16).sqrt()
    return flat / (norm + 1e-8)
