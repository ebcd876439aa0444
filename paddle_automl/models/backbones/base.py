"""The interface of backbones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from paddle import Tensor, nn

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.kinds import Kind
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.problem import Problem
from paddle_automl.models.published import Published, Renaming

if TYPE_CHECKING:
    from paddle_automl.inputs.base import Input

Size = tuple[int, int]
"""Height and width in pixels."""

KEY = "model.backbone"
"""Key of a backbone's options in a configuration."""
ANY = "any"
"""What a backbone takes that is made of others, whatever these take."""


class Backbone(nn.Layer):
    """Maps the arrays of one kind of input to features.

    Subclasses set `out_features`, and get all layers from `layers` that it can make.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

    takes: ClassVar[str] = ""
    """Name of the input whose arrays it takes, such as ``image``; ANY for every input."""
    space: ClassVar[dict[str, Any]] = {}
    """Domains of the options, as a sub-space of `search.space`; used by `space: auto`."""
    idle_for_numbers: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Keys of `space`, one inside of the other, of options without effect where numbers are predicted."""
    searched: ClassVar[bool] = True
    """Whether `space: auto` tries it by itself; False for what is tried as part of another backbone."""
    searched_recipe: ClassVar[dict[str, Any]] = {
        "model.activation": {"choice": ["relu", "hardswish", "gelu"]},
        "model.dropout": {"float": [0.0, 0.4], "step": 0.1},
        "training.optimizer": {
            "momentum": {"learning_rate": {"log": [0.005, 0.3]}},
            "adamw": {"learning_rate": {"log": [0.0005, 0.02]}},
            "muon": {"learning_rate": {"log": [0.01, 0.3]}},
        },
    }
    """Domains of other sections that `space: auto` searches with it, together with those of other backbones."""
    first_trials: ClassVar[tuple[dict[str, Any], ...]] = ()
    """What `space: auto` tries first: changes of the configuration's own values, by dotted key."""
    section: ClassVar[dict[str, Any]] = {}
    """Values of `model.activation`, `norm` and `initializer` that take the place of the section's own defaults with
    this backbone; a configuration that sets them decides."""
    statistics: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors that `prepare` sets; none: it is not called."""
    small: ClassVar[dict[str, Any]] = {}
    """Options that make a small network, for tests; an empty mapping: the defaults are small enough."""
    gives_scores: ClassVar[bool] = False
    """Whether it gives raw outputs itself: `head` then only joins them, and no other head can follow."""

    out_features: int
    """F: number of features of one item."""

    @classmethod
    @abstractmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> Backbone:
        """Return the backbone of these options for an input whose `name` is `takes`.

        Raises ConfigError if the options cannot work for the input's arrays.
        """

    @classmethod
    def published(cls, config: Any) -> dict[str, Published]:
        """Return the published weights for these options, by the names that `model.pretrained` takes."""
        del config
        return {}

    @classmethod
    def arrays(cls, config: Any) -> tuple[str, ...] | None:
        """Return the names of the input's arrays that it takes with these options; None: all of them."""
        del config
        return None

    def expect(self, outputs: int) -> None:
        """Get to know K, the number of raw outputs, before `out_features` and `head` are used.

        A backbone that gives raw outputs itself makes its layers of this size here.
        """

    @classmethod
    def renamings(cls, config: Any) -> tuple[Renaming, ...]:
        """Return functions that give arrays of files of other libraries the names of this backbone's tensors."""
        del config
        return ()

    @abstractmethod
    def forward(self, *inputs: Tensor) -> Tensor:
        """Map the input's arrays, in the order of `Input.specs`, to features [N, F].

        Feature maps [N, F, h, w] are allowed too: the network averages them over all pixels.
        """

    def head(self, layers: LayerFactory, outputs: int) -> nn.Layer:
        """Return the linear layer from features [N, F] to raw outputs [N, outputs]."""
        return layers.linear(self.out_features, outputs)

    def stage_names(self) -> tuple[str, ...]:
        """Return the names of its layers from the input on, each of which can be frozen by itself.

        By default these are its children; each layer of a list counts by itself. Together they hold all parameters.
        """
        found = []
        for name, child in self.named_children():
            several = isinstance(child, nn.LayerList | nn.Sequential)
            found += [f"{name}.{number}" for number, _ in child.named_children()] if several else [name]
        return tuple(name for name in found if _has_parameters(self, name))

    def loss_branches(self, features: Tensor) -> Sequence[Tensor]:
        """Return raw outputs [N, K] within `features` of which each is trained with a loss of its own.

        Without any, as by default, the loss is that of the network's outputs. A backbone of several networks that
        are trained side by side has one for each; its head then joins them for predictions.
        """
        del features
        return ()

    def kinds(self) -> Mapping[str, Kind]:
        """Return the kinds of parameters, by name, for which they do not follow from the layer alone."""
        return {}

    def solve(self, problem: Problem) -> None:
        """Compute the parameters whose kind is ``solved`` from all training items, before the first step.

        It draws no random numbers but those of `problem.seed`. Raises an error for a problem that it cannot solve.
        """

    def prepare(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Set the tensors `statistics` from training items, before the first step of a training from scratch.

        `batches` give the arguments of `forward` for up to 5,000 items of the training split. It draws no random
        numbers, and raises ConfigError if there are no items.
        """


def _has_parameters(backbone: nn.Layer, name: str) -> bool:
    return any(found.startswith(f"{name}.") for found, _ in backbone.named_parameters())


class ImageBackbone(Backbone):
    """Maps images to feature maps.

    `image_size` is the height and width of the images, by which automatic strides are chosen. Subclasses set
    `out_channels`.
    """

    takes: ClassVar[str] = "image"

    out_channels: int

    @abstractmethod
    def __init__(self, config: Any, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None: ...

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> ImageBackbone:  # noqa: D102
        channels, height, width = cast(tuple[int, int, int], input.specs[0].shape)
        return cls(config, in_channels=channels, layers=layers, image_size=(height, width))

    @property
    def out_features(self) -> int:  # type: ignore[override]
        """F: the channels of the maps, which the network reduces to their means."""
        return self.out_channels

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, out_channels, h, w]."""


BACKBONES: Registry[Backbone] = Registry("backbone", "paddle_automl.models.backbones", KEY)
