"""The contract of backbones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import paddle
import pytest
from paddle import Tensor, nn

from paddle_automl.core.merging import with_overrides
from paddle_automl.inputs.base import INPUTS, Input
from paddle_automl.models.backbones.base import ANY, Backbone
from paddle_automl.models.kinds import Kind
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.network import Network
from paddle_automl.models.norms import NORMS
from paddle_automl.paddle_compat.device import move, seed_everything
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.paddle_compat.tracing import as_written
from paddle_automl.space.space import SearchSpace
from paddle_automl.testing.options import check_options

OUTPUTS = 3
SHAPES = ((1, 8, 8), (3, 8, 8), (1, 9, 13), (3, 28, 28), (1, 64, 64), (3, 150, 120))
"""Channels, height and width of the images on which an image backbone is tested; the first is the usual one."""
FACTORY_KINDS = (
    *(nn.Conv2D, nn.Linear, nn.MaxPool2D, nn.AvgPool2D, nn.AdaptiveAvgPool2D, nn.Dropout),
    *(nn.BatchNorm2D, nn.GroupNorm, nn.InstanceNorm2D),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.Silu, nn.Swish, nn.Hardswish, nn.Mish, nn.Tanh),
)
"""Layers that `LayerFactory` makes."""


def image_input(channels: int, height: int, width: int) -> Input:
    """Return the input of images of this shape."""
    kind = INPUTS["image"]
    mean, std = (0.5,) * channels, (0.25,) * channels
    return kind(kind.Fitted(name="image", size=(height, width), channels=channels, mean=mean, std=std))  # type: ignore[call-arg]


TEXTS = ("the room is clean", "too loud, and far from everything", "房间很干净，早餐一般", "a", "nice and clean")
"""Texts to which the input of a text backbone is fitted."""


def text_input() -> Input:
    """Return the input of texts, fitted to a few of them: n-grams of characters and words, tokens of characters."""
    kind = INPUTS["text"]
    config = kind.Config.model_validate({"name": "text", "ngrams": ["characters 1-2"], "tokens": "characters"})
    reader = kind.reader(config, sources=None, items=np.array(TEXTS, dtype=object))
    return kind.fit(config, reader, kind.measure(config, reader, [np.array(TEXTS, dtype=object)]))


class BackboneContract:
    """Tests of a backbone: parametrize `plugin` with its class.

    A backbone that does not take images needs `inputs` overridden.
    """

    options: ClassVar[dict[str, Any]] = {}
    """Options in addition to those of `Backbone.small`."""
    stochastic: ClassVar[bool] = False
    """Whether it computes differently in training, apart from normalization, for example with dropped layers."""

    def inputs(self, plugin: type[Backbone]) -> list[Input]:
        """Return inputs of several sizes, the smallest first."""
        if plugin.takes == "text":
            return [text_input()]
        if plugin.takes not in ("image", ANY):
            pytest.fail(f"override inputs(): {plugin.__name__} takes {plugin.takes} input, return some of those")
        return [image_input(*shape) for shape in SHAPES]

    def network(
        self,
        plugin: type[Backbone],
        given: Input | None = None,
        *,
        seed: int = 0,
        norm: str = "batch_norm",
        activation: str = "relu",
        options: dict[str, Any] | None = None,
    ) -> Network:
        """Return a small network for `given`, by default the first of `inputs`."""
        seed_everything(seed, "weights")
        layers = LayerFactory(activation, NORMS[norm].Config(name=norm), "kaiming_normal")
        chosen = {**plugin.small, **self.options} if options is None else options
        backbone = plugin.build(
            plugin.Config.model_validate(chosen), input=self.taken(plugin, given, options), layers=layers
        )
        return Network(backbone, layers, outputs=OUTPUTS, dropout=0.0)

    def example(
        self,
        plugin: type[Backbone],
        count: int,
        given: Input | None = None,
        options: dict[str, Any] | None = None,
    ) -> list[Tensor]:
        """Return the network's arguments for `count` random items."""
        given = self.taken(plugin, given, options)
        return [paddle.to_tensor(array) for array in given.example(count, np.random.default_rng(0)).values()]

    def taken(
        self, plugin: type[Backbone], given: Input | None = None, options: dict[str, Any] | None = None
    ) -> Input:
        """Return an input, by default the first of `inputs`, with the arrays that the backbone takes alone."""
        given = given or self.inputs(plugin)[0]
        chosen = {**plugin.small, **self.options} if options is None else options
        names = plugin.arrays(plugin.Config.model_validate(chosen))
        return given if names is None else given.only(names)

    def points(self, plugin: type[Backbone], count: int) -> Iterator[dict[str, Any]]:
        """Yield the options at the corners of the declared space, and at `count` points between them."""
        if not plugin.space:
            return
        space = SearchSpace.parse({f"options.{key}": domain for key, domain in plugin.space.items()})
        rng = np.random.default_rng(0)
        for params in [*space.corners(), *(space.sample(rng) for _ in range(count))]:
            yield with_overrides({"options": {}}, space.overrides(params))["options"]

    @pytest.mark.parametrize("batch", [1, 2])
    def test_features_have_the_promised_shape_and_are_finite(self, plugin: type[Backbone], batch: int) -> None:
        """[N, F], or maps [N, F, h, w] of at least a pixel, and from them K numbers."""
        for given in self.inputs(plugin):
            model, tensors = self.network(plugin, given), self.example(plugin, batch, given)
            with evaluating(model), paddle.no_grad():
                features, outputs = model.backbone(*tensors), model(*tensors)
            assert features.shape[:2] == [batch, model.backbone.out_features]
            assert len(features.shape) in (2, 4)
            assert min(features.shape) >= 1
            assert np.isfinite(features.numpy()).all()
            assert outputs.shape == [batch, OUTPUTS]

    @pytest.mark.parametrize("norm", NORMS.names())
    def test_every_parameter_has_a_gradient(self, plugin: type[Backbone], norm: str) -> None:
        """The forward pass uses every weight, and none is dead."""
        model = self.network(plugin, norm=norm, activation="leaky_relu")
        # As a training begins.
        move(model, "cpu")
        model.train()
        outputs = model(*self.example(plugin, 4))
        paddle.nn.functional.cross_entropy(outputs, paddle.to_tensor([0, 1, 2, 0])).backward()
        # Running statistics count as parameters that are not trained.
        learned = [(key, p) for key, p in model.named_parameters() if not p.stop_gradient]
        assert any(key.startswith("backbone.") for key, _ in learned)
        for key, parameter in learned:
            assert parameter.grad is not None, key
            gradient = parameter.grad.numpy()
            assert np.isfinite(gradient).all(), key
            assert np.abs(gradient).max() > 0, key

    def test_training_and_evaluation_agree_without_batch_statistics(self, plugin: type[Backbone]) -> None:
        """Formulas that are used only in training must equal those of evaluation."""
        if self.stochastic:
            pytest.skip("computes differently in training")
        model, tensors = self.network(plugin, norm="none", activation="mish"), self.example(plugin, 2)
        model.train()
        trained = model(*tensors).numpy()
        model.eval()
        np.testing.assert_allclose(trained, model(*tensors).numpy(), rtol=1e-4, atol=1e-5)

    def test_same_seed_same_weights(self, plugin: type[Backbone]) -> None:
        """All random numbers come from Paddle's generator."""
        first, second = self.network(plugin), self.network(plugin)
        for (key, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
            assert np.array_equal(a.numpy(), b.numpy()), key

    def test_state_dict_round_trip(self, plugin: type[Backbone]) -> None:
        """The state dict holds everything that the result depends on."""
        first, second = self.network(plugin), self.network(plugin, seed=1)
        with paddle.no_grad():
            for tensor in first.state_dict().values():
                tensor.set_value(tensor + 0.1)
        second.set_state_dict(first.state_dict())
        tensors = self.example(plugin, 2)
        first.eval(), second.eval()
        assert np.array_equal(first(*tensors).numpy(), second(*tensors).numpy())

    # One without parameters and one with; that each can be exported is in the contract of activations.
    @pytest.mark.parametrize("activation", ["relu", "prelu"])
    def test_exports_and_reloads_with_equal_output(
        self, plugin: type[Backbone], activation: str, tmp_path: Path
    ) -> None:
        """Paddle can export it for any batch size, into a folder with a non-ASCII name."""
        norm = "none" if activation == "prelu" else "batch_norm"
        given = self.taken(plugin)
        model = self.network(plugin, given, activation=activation, norm=norm)
        layer = _Traced(model)
        layer.eval()
        specs = [paddle.static.InputSpec([None, *item.shape], item.dtype, name=item.name) for item in given.specs]
        path = str(tmp_path / "网络 model")
        with as_written(layer):
            paddle.jit.save(layer, path, input_spec=[specs])
        loaded, tensors = paddle.jit.load(path), self.example(plugin, 3)
        np.testing.assert_allclose(loaded(*tensors).numpy(), model(*tensors).numpy(), rtol=1e-4, atol=1e-5)

    def test_what_it_says_about_its_tensors_holds(self, plugin: type[Backbone]) -> None:
        """`prepare` sets the tensors in `statistics` alone, alike in every call; `kinds` names parameters."""
        model, items = self.network(plugin), self.example(plugin, 8)
        assert set(model.backbone.kinds()) <= {name for name, _ in model.backbone.named_parameters()}
        assert set(model.backbone.kinds().values()) <= set(get_args(Kind))
        assert model.needs_preparation == bool(plugin.statistics)
        before = {name: tensor.numpy().copy() for name, tensor in model.backbone.state_dict().items()}
        assert set(plugin.statistics) <= set(before)
        if not plugin.statistics:
            return
        model.prepare([items])
        after = {name: tensor.numpy() for name, tensor in model.backbone.state_dict().items()}
        changed = {name for name, array in before.items() if not np.array_equal(array, after[name])}
        assert changed == set(plugin.statistics)
        assert all(np.isfinite(after[name]).all() for name in changed)
        twin = self.network(plugin, seed=1)
        twin.prepare([[array[:4] for array in items], [array[4:] for array in items]])
        for name in plugin.statistics:
            np.testing.assert_allclose(
                twin.backbone.state_dict()[name].numpy(), after[name], atol=1e-4, err_msg=name
            )

    def test_the_declared_space_builds_and_runs(self, plugin: type[Backbone]) -> None:
        """Every proposal of `space: auto` works, for small and for large inputs."""
        inputs = self.inputs(plugin)
        for options in self.points(plugin, count=8):
            assert self.network(plugin, inputs[-1], options=options).backbone.out_features >= 1
        for options in self.points(plugin, count=4):
            model = self.network(plugin, inputs[0], options=options)
            with evaluating(model), paddle.no_grad():
                assert np.isfinite(model(*self.example(plugin, 1, options=options)).numpy()).all()

    def test_layers_come_from_the_factory(self, plugin: type[Backbone], monkeypatch: pytest.MonkeyPatch) -> None:
        """Otherwise model.activation, norm, initializer and fast layers would not apply everywhere."""
        made: list[nn.Layer] = []
        for method in ("conv", "norm", "activation", "max_pool", "avg_pool", "global_pool", "linear", "dropout"):
            monkeypatch.setattr(LayerFactory, method, _recording(getattr(LayerFactory, method), made))
        model = self.network(plugin, self.inputs(plugin)[-1])
        leaves = [layer for layer in model.sublayers() if not list(layer.children())]
        strangers = [
            layer for layer in leaves if isinstance(layer, FACTORY_KINDS) and not any(layer is one for one in made)
        ]
        assert not strangers

    def test_options_are_described_and_those_of_the_space_exist(self, plugin: type[Backbone]) -> None:
        """Class and options have a docstring; `space` and `small` name options; `takes` names an input."""
        check_options(plugin)
        assert {key.partition(".")[0] for key in plugin.space} <= set(plugin.Config.model_fields)
        assert set(plugin.small) <= set(plugin.Config.model_fields)
        assert plugin.takes in INPUTS or plugin.takes == ANY


class _Traced(nn.Layer):
    """A network as a function of one list of tensors: Paddle's tracing needs a fixed number of arguments."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: list[Tensor]) -> Tensor:
        return self.network(*inputs)


def _recording(original: Any, made: list[nn.Layer]) -> Any:
    def record(self: LayerFactory, *args: Any, **options: Any) -> nn.Layer:
        layer: nn.Layer = original(self, *args, **options)
        made.append(layer)
        return layer

    return record
