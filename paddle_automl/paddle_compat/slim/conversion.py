"""Plain convolutions and linear layers, for tools that check the exact class of a layer."""

from __future__ import annotations

from paddle import nn


def plain_convolution(layer: nn.Conv2D) -> nn.Conv2D:
    """Return a convolution of exactly the class `nn.Conv2D` that shares the parameters of `layer`."""
    if type(layer) is nn.Conv2D:
        return layer
    plain = nn.Conv2D(
        layer._in_channels,
        layer._out_channels,
        layer._kernel_size,
        stride=layer._stride,
        padding=layer._padding,
        dilation=layer._dilation,
        groups=layer._groups,
        bias_attr=None if layer.bias is not None else False,
    )
    plain.weight = layer.weight
    if layer.bias is not None:
        plain.bias = layer.bias
    plain.training = layer.training
    return plain


def plain_linear(layer: nn.Linear) -> nn.Linear:
    """Return a linear layer of exactly the class `nn.Linear` that shares the parameters of `layer`."""
    if type(layer) is nn.Linear:
        return layer
    has_bias = layer.bias is not None
    plain = nn.Linear(*layer.weight.shape, bias_attr=None if has_bias else False)
    plain.weight = layer.weight
    if has_bias:
        plain.bias = layer.bias
    plain.training = layer.training
    return plain
