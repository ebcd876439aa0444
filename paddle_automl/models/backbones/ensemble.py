"""Several whole networks in one, whose answers are averaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import paddle
from paddle import Tensor, nn
from pydantic import Field, field_validator, model_validator

from paddle_automl.core import schema
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.core.schema import PluginConfig
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import ANY, BACKBONES, Backbone
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.kinds import Kind, parameter_kinds
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.network import Network, build_network
from paddle_automl.models.problem import Problem

KEPT = (
    *("backbone", "activation", "norm", "initializer", "embedding", "head"),
    *("feature_norm", "dropout", "test_time_augmentation"),
)
"""Options of the section `model` that a member has: those that say what it computes."""
LEAST = 1e-30
"""Least probability whose logarithm is taken."""


@BACKBONES.register("ensemble")
class Ensemble(Backbone):
    """Several whole networks side by side, whose answers are averaged (Hansen and Salamon 1990).

    The mean is that of the probabilities, so that softmax or sigmoid of the raw outputs gives it, or that of the
    numbers. The stage `ensemble` makes such a network of the best trials. Trained, each member has a loss of its
    own.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

        members: schema.Sequence[dict[str, Any]] = Field(min_length=1)
        """The networks: for each the options of a section `model`, without those of pretrained weights."""
        answer: Literal["softmax", "sigmoid", "identity"] = "softmax"
        """What is averaged: the probabilities of classes (softmax), those of labels (sigmoid), numbers (identity).
        It is the last step of the task, which is softmax for one class per item."""
        temperatures: schema.Sequence[Annotated[float, Field(gt=0)]] = ()
        """The number by which the raw outputs of each member are divided before the mean; none: 1 for each."""

        @field_validator("members")
        @classmethod
        def _whole(cls, value: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
            found = []
            for number, member in enumerate(value):
                others = [key for key in member if key in ModelConfig.model_fields and key not in KEPT]
                if others:
                    raise ValueError(f"{number}.{others[0]}: a member does not have it; valid: {', '.join(KEPT)}")
                try:
                    found.append(member_of(validate(ModelConfig, member)))
                except ConfigError as error:
                    raise ValueError("; ".join(f"{number}.{issue}" for issue in error.issues)) from None
            return tuple(found)

        @model_validator(mode="after")
        def _one_each(self) -> Ensemble.Config:
            if self.temperatures and len(self.temperatures) != len(self.members):
                raise ValueError(
                    f"temperatures: needs one for each of the {len(self.members)} members, or none, "
                    f"got {len(self.temperatures)}"
                )
            return self

        @property
        def models(self) -> tuple[ModelConfig, ...]:
            """Return the sections of the members."""
            return tuple(map(ModelConfig.model_validate, self.members))

    takes: ClassVar[str] = ANY
    searched: ClassVar[bool] = False
    gives_scores: ClassVar[bool] = True
    small: ClassVar[dict[str, Any]] = {
        "members": [
            {"backbone": {"name": "resnet", "width": width, "blocks": [1]}, "norm": "none", "activation": "mish"}
            for width in (4, 6)
        ]
    }

    config: Config

    def __init__(self, config: Config, layers: LayerFactory, given: Input) -> None:
        super().__init__()
        self.config = config
        self._given, self._blank = given, layers.blank
        self._answer = config.answer
        self._temperatures = config.temperatures or (1.0,) * len(config.members)
        names = [spec.name for spec in given.specs]
        wanted = [arrays_of(model) or names for model in config.models]
        self._places = [[place for place, name in enumerate(names) if name in own] for own in wanted]

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> Ensemble:  # noqa: D102
        return cls(config, layers, input)

    @classmethod
    def arrays(cls, config: Any) -> tuple[str, ...] | None:
        """Return the arrays of all members."""
        found: dict[str, None] = {}
        for model in config.models:
            wanted = arrays_of(model)
            if wanted is None:
                return None
            found |= dict.fromkeys(wanted)
        return tuple(found)

    def expect(self, outputs: int) -> None:
        """Make the members."""
        made = []
        for model in self.config.models:
            names, other = arrays_of(model), BACKBONES[model.backbone.name].takes != self._given.name
            # A network for another input is refused by its name, not by its arrays.
            taken = self._given if names is None or other else self._given.only(names)
            made.append(build_network(model, taken, outputs, blank=self._blank))
        self.members = nn.LayerList(made)
        self.out_features = outputs * len(made)
        self._outputs = outputs

    @property
    def networks(self) -> list[Network]:
        """The members."""
        return list(self.members)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map the arrays to the raw outputs of each member, [N, members * K]."""
        found = []
        for member, places, temperature in zip(self.members, self._places, self._temperatures, strict=True):
            outputs = member(*(inputs[place] for place in places))
            found.append(outputs if temperature == 1 else outputs / temperature)
        return paddle.concat(found, axis=1)

    def loss_branches(self, features: Tensor) -> Sequence[Tensor]:
        """Return the raw outputs of each member."""
        size = self._outputs
        return [features[:, place * size : (place + 1) * size] for place in range(len(self.members))]

    def head(self, layers: LayerFactory, outputs: int) -> nn.Layer:
        """Return the mean of the answers."""
        return MeanAnswer(len(self.members), outputs, self._answer)

    def kinds(self) -> Mapping[str, Kind]:
        """Return the kinds of the members' parameters: each is a network with a head of its own."""
        return {
            f"members.{number}.{key}": kind
            for number, member in enumerate(self.members)
            for key, kind in parameter_kinds(member).items()
        }

    def solve(self, problem: Problem) -> None:
        """Solve the members that can be."""
        for member in self.networks:
            if member.needs_solution:
                member.solve(problem)

    def prepare(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Let the members set weights from training items that do so."""
        found = list(batches)
        for member, places in zip(self.networks, self._places, strict=True):
            if member.needs_preparation:
                member.prepare([[arrays[place] for place in places] for arrays in found])


class MeanAnswer(nn.Layer):
    """The raw outputs of the mean answer: [N, members * K] -> [N, K].

    softmax: the logarithm of the mean probability; sigmoid: that of the mean probability divided by its complement;
    identity: the mean.
    """

    def __init__(self, members: int, outputs: int, answer: str) -> None:
        super().__init__()
        self._shape, self._answer = [-1, members, outputs], answer

    def forward(self, x: Tensor) -> Tensor:
        """Return the raw outputs of the mean."""
        x = x.reshape(self._shape)
        if self._answer == "softmax":
            return self._log_of_mean(nn.functional.softmax(x, axis=2))
        if self._answer == "sigmoid":
            # The complement by itself: 1 - p has no digits left where p is close to 1.
            sigmoid = nn.functional.sigmoid
            return self._log_of_mean(sigmoid(x)) - self._log_of_mean(sigmoid(-x))
        return self._mean(x)

    def _log_of_mean(self, x: Tensor) -> Tensor:
        return paddle.log(paddle.clip(self._mean(x), min=LEAST))

    def _mean(self, x: Tensor) -> Tensor:
        # Not `mean`: Paddle Inference prints a line to the standard output, where it may stand before JSON.
        return x.sum(axis=1) / self._shape[1]


def arrays_of(model: ModelConfig) -> tuple[str, ...] | None:
    """Return the names of the input's arrays that a network takes; None: all of them."""
    return BACKBONES[model.backbone.name].arrays(model.backbone)


def member_of(model: ModelConfig) -> dict[str, Any]:
    """Return the options of a network as those of a member; raises ValueError for one that cannot be a member."""
    if model.feature_norm == "standard":
        raise ValueError("feature_norm: standard belongs to one frozen backbone, and cannot be a member's")
    values = model.model_dump(mode="json")
    return {key: values[key] for key in KEPT}
