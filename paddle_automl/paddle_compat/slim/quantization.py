"""Quantization of dynamic-graph networks to 8 bits with Paddle's framework and PaddleSlim's observers."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple

import paddle
from paddle import Tensor, nn
from paddle.nn.quant.format import LinearQuanterDequanter
from paddle.nn.quant.qat import QuantedConv2D as QuantedConv2D
from paddle.quantization.wrapper import ObserveWrapper

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.paddle_compat.slim.repairs import import_paddleslim, quiet

Observer = Literal["abs_max", "avg", "hist", "kl", "mse", "emd"]
_OBSERVERS: dict[str, str] = {
    "abs_max": "AbsmaxObserver",
    "avg": "AVGObserver",
    "hist": "HistObserver",
    "kl": "KLObserver",
    "mse": "MSEObserver",
    "emd": "EMDObserver",
}
_MOVING_RATE = 0.9


class ConvolutionOptions(NamedTuple):
    """Options of a quantized convolution, in the forms that its constructor takes."""

    stride: Any
    padding: Any
    dilation: Any
    usual: bool
    """Whether it pads with zeros and its maps are [N, C, H, W]."""


def options_of(layer: QuantedConv2D) -> ConvolutionOptions:
    """Return the options of a quantized convolution."""
    usual = layer._padding_mode == "zeros" and layer._data_format == "NCHW"
    return ConvolutionOptions(layer._stride, layer._padding, layer._dilation, usual)


class Steps(NamedTuple):
    """The numbers to which a layer rounds all values alike: multiples of `step`, from `least` to `most` of them."""

    step: float
    least: int
    most: int


def steps_of(layer: nn.Layer) -> Steps | None:
    """Return the numbers to which a converted quanter, or an identity with one, rounds; None for another layer."""
    pair = layer._observer if isinstance(layer, ObserveWrapper) else layer
    quanter = pair._quanter if isinstance(pair, LinearQuanterDequanter) else None
    if (
        quanter is None
        or quanter._quant_axis != -1
        or quanter._scales.size != 1
        or float(quanter._zero_point.sum())
    ):
        return None
    return Steps(float(quanter._scales) / quanter._qmax, quanter._qmin, quanter._qmax)


class PostTraining:
    """Quantization after training: `model` gets observers in place, sees data, and is converted.

    `layers` are names of convolutions and linear layers, and of identities, whose input is quantized too; all
    others stay float32. Weights get a scale per channel, activations one per layer, found by `observer`. The
    observers see what the model is run on, or what `observe` is given: the inputs of the layers of its float twin.
    """

    def __init__(self, model: nn.Layer, layers: Collection[str], observer: Observer) -> None:
        import_paddleslim()
        from paddle.quantization import PTQ
        from paddleslim.quant import observers

        model.eval()
        activation = getattr(observers, _OBSERVERS[observer])()
        self._tool = PTQ(_config(model, layers, activation, observers.AbsMaxChannelWiseWeightObserver()))
        with quiet():
            self.model: nn.Layer = self._tool.quantize(model, inplace=True)
        named = dict(self.model.named_sublayers())
        self._layers = {name: named[name] for name in layers}
        self._observer = observer

    def observe(self, name: str, x: Tensor) -> None:
        """Let the observers of the layer `name` see a batch of its input, with the items along the first axis."""
        layer = self._layers[name]
        if self._observer == "abs_max":
            # The same range, in a tenth of the time.
            x = paddle.stack([x.max(), x.min()])
        if isinstance(layer, ObserveWrapper):
            layer._observer(x)
            return
        layer.activation_quanter(x)
        layer.weight_quanter(layer.weight)

    def convert(self) -> nn.Layer:
        """Return the network with 8-bit weights, computing as its export will, in evaluation mode."""
        return _converted(self._tool, self.model)


class AwareTraining:
    """Quantization during training: `model` gets fake quanters in place, is trained, and is converted.

    `layers` as in `PostTraining`. Weights are quantized by the largest magnitude of each channel, activations by
    the moving average of the largest magnitude of the batches. Batch normalization uses its running statistics, so
    it remains one scale and one offset per channel, which inference folds into the preceding 8-bit convolution.
    """

    def __init__(self, model: nn.Layer, layers: Collection[str]) -> None:
        import_paddleslim()
        from paddle.quantization import QAT
        from paddle.quantization.quanters import FakeQuanterWithAbsMaxObserver
        from paddleslim.quant.quanters import FakeQuanterChannelWiseAbsMaxObserver

        model.train()
        _use_running_statistics(model, True)
        activation = FakeQuanterWithAbsMaxObserver(moving_rate=_MOVING_RATE)
        self._tool = QAT(_config(model, layers, activation, FakeQuanterChannelWiseAbsMaxObserver()))
        self.model: nn.Layer = self._tool.quantize(model, inplace=True)

    def convert(self) -> nn.Layer:
        """Return the network with 8-bit weights, computing as its export will, in evaluation mode."""
        self.model.eval()
        _use_running_statistics(self.model, None)
        return _converted(self._tool, self.model)


def _use_running_statistics(model: nn.Layer, always: bool | None) -> None:
    for layer in model.sublayers(include_self=True):
        if isinstance(layer, nn.BatchNorm2D):
            layer._use_global_stats = always


def _config(model: nn.Layer, layers: Collection[str], activation: Any, weight: Any) -> Any:
    from paddle.quantization import QuantConfig

    config = QuantConfig(activation=None, weight=None)
    chosen = []
    for name, layer in model.named_sublayers():
        # Paddle looks layers up by this name, which a deep copy shares and another scope may reuse.
        layer._full_name = name
        if name in layers:
            chosen.append(layer)
    config.add_layer_config(chosen, activation=activation, weight=weight)
    return config


def _converted(tool: Any, model: nn.Layer) -> nn.Layer:
    with quiet(), _expected_warnings():
        try:
            converted: nn.Layer = tool.convert(model, inplace=True)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UnsupportedError(
                f"Paddle cannot convert the quantized network: {type(error).__name__}: {error}"
            ) from error
    converted.eval()
    return converted


@contextlib.contextmanager
def _expected_warnings() -> Iterator[None]:
    """Suppress warnings about how PaddleSlim and Paddle convert their scales to numbers and tensors."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="To copy construct from a tensor")
        yield
