"""Several backbones of texts whose outputs are added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import paddle
from paddle import Tensor, nn
from pydantic import model_validator

from paddle_automl.core.schema import Plugin, PluginConfig, default
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import BACKBONES, KEY
from paddle_automl.models.kinds import Kind, parameter_kinds
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.problem import Problem
from paddle_automl.models.text.base import TextBackbone
from paddle_automl.models.text.parts import NONE, Part, Parts

PARTS = Parts("text", sums=("sum",))


@BACKBONES.register("sum")
class Sum(TextBackbone):
    """The sum of the outputs of several backbones of texts, each with a head of its own, in one network.

    What knows each n-gram by itself (wide, linear_ngrams) and what generalizes (bag, text_cnn) are wrong about
    different texts, so that their sum is better than each of them. An ensemble of n networks is the same with n
    parts: parts may be sums, too.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

        parts: dict[str, Annotated[PluginConfig, Plugin(PARTS)]] = default({"wide": "wide", "bag": "bag"})
        """The parts: any names, each with a backbone of texts and its options; `none` is no part."""
        together: bool = True
        """Whether the parts are trained with one loss of the sum of their outputs; otherwise each is trained with a
        loss of its own, and they are only added for answers. linear_ngrams is always solved by itself."""

        @model_validator(mode="after")
        def _some(self) -> Sum.Config:
            if not self.chosen:
                raise ValueError("parts: needs at least one part that is not none")
            return self

        @property
        def chosen(self) -> dict[str, PluginConfig]:
            """Return the parts that are not `none`."""
            return {name: part for name, part in self.parts.items() if part.name != NONE}

    gives_scores: ClassVar[bool] = True
    space: ClassVar[dict[str, Any]] = {
        "parts.linear": {"linear_ngrams": {"model": {"choice": ["svm", "logistic"]}, "C": {"log": [0.03, 3.0]}}},
        "parts.wide": {NONE: {}, "wide": {"ngram_dropout": {"float": [0.0, 0.5], "step": 0.1}}},
        "parts.bag": {NONE: {}, "bag": {"width": {"choice": [32, 64, 128]}}},
        "parts.net": {NONE: {}, "text_cnn": {"filters": {"choice": [64, 128, 256]}}, "dpcnn": {}, "bigru": {}},
        "together": {"choice": [True, False]},
    }
    idle_for_numbers: ClassVar[tuple[tuple[str, ...], ...]] = (("parts.linear", "linear_ngrams", "model"),)
    searched_recipe: ClassVar[dict[str, Any]] = {
        "data.input.ngrams": {"choice": ["auto", "characters_and_words"]},
        "training.tables.learning_rate": {"log": [2e-3, 3e-2]},
        "training.optimizer.learning_rate": {"log": [5e-4, 5e-3]},
    }
    first_trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {f"{KEY}.parts.linear.C": 0.3},
        {"data.input.ngrams": "characters_and_words"},
        {f"{KEY}.parts.wide": "wide", f"{KEY}.parts.bag": "bag"},
        {f"{KEY}.parts.linear.C": 0.1},
    )
    small: ClassVar[dict[str, Any]] = {
        "parts": {
            "linear": "linear_ngrams",
            "wide": {"name": "wide", "ngram_dropout": 0.0},
            "bag": {"name": "bag", "width": 4, "ngram_dropout": 0.0, "dropout": 0.0},
        }
    }

    def __init__(self, config: Config, layers: LayerFactory, given: Input) -> None:
        super().__init__()
        self.together = config.together
        self._layers = layers
        names = [spec.name for spec in given.specs]
        self._made = {}
        for name, part in config.chosen.items():
            kind = BACKBONES[part.name]
            wanted = kind.arrays(part) or tuple(names)
            self._made[name] = (kind.build(part, input=given, layers=layers), [names.index(key) for key in wanted])

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> Sum:  # noqa: D102
        return cls(config, layers, input)

    @classmethod
    def arrays(cls, config: Any) -> tuple[str, ...] | None:
        """Return the arrays of all parts."""
        found: dict[str, None] = {}
        for part in config.chosen.values():
            wanted = BACKBONES[part.name].arrays(part)
            if wanted is None:
                return None
            found |= dict.fromkeys(wanted)
        return tuple(found)

    def expect(self, outputs: int) -> None:
        """Make the heads of the parts, and find out what is trained with which loss; solved parts are the last."""
        self.parts = nn.LayerDict(
            {name: Part(backbone, self._layers, outputs, places) for name, (backbone, places) in self._made.items()}
        )
        self._outputs = outputs
        learned = [name for name, part in self.parts.items() if not _is_solved(part)]
        solved = [name for name in self.parts if name not in learned]
        groups = [learned] if self.together else [[name] for name in learned]
        self._learned = [group for group in groups if group]
        self._groups = [*self._learned, *([name] for name in solved)]
        self.out_features = outputs * len(self._groups)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map the arrays to the raw outputs of each group of parts, [N, groups * K]."""
        found = []
        for group in self._groups:
            outputs = [self.parts[name](*inputs) for name in group]
            found.append(paddle.add_n(outputs) if len(outputs) > 1 else outputs[0])
        return paddle.concat(found, axis=1) if len(found) > 1 else found[0]

    def loss_branches(self, features: Tensor) -> Sequence[Tensor]:
        """Return the raw outputs of each group that is learned in steps."""
        size = self._outputs
        return [features[:, place * size : (place + 1) * size] for place in range(len(self._learned))]

    def head(self, layers: LayerFactory, outputs: int) -> nn.Layer:
        """Return the mean over the groups: of log-probabilities, as softmax does not see a constant."""
        return _Mean(len(self._groups), outputs) if len(self._groups) > 1 else nn.Identity()

    def kinds(self) -> Mapping[str, Kind]:
        """Return the kinds of the parts' parameters: each part is a network with a head of its own."""
        return {
            f"parts.{name}.{key}": kind
            for name, part in self.parts.items()
            for key, kind in parameter_kinds(part).items()
        }

    def solve(self, problem: Problem) -> None:
        """Solve the parts that can be."""
        for part in self.parts.values():
            if "solved" in parameter_kinds(part).values():
                part.backbone.solve(problem)


class _Mean(nn.Layer):
    """The mean of outputs: [N, groups * K] -> [N, K]."""

    def __init__(self, groups: int, outputs: int) -> None:
        super().__init__()
        self.shape = [-1, groups, outputs]

    def forward(self, x: Tensor) -> Tensor:
        # Not `mean`: Paddle Inference prints a line to the standard output, where it may stand before JSON.
        return x.reshape(self.shape).sum(axis=1) / self.shape[1]


def _is_solved(part: nn.Layer) -> bool:
    """Return whether all parameters of a part are computed at once."""
    return set(parameter_kinds(part).values()) == {"solved"}
