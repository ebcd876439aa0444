"""Drop-in layers: subclasses of Paddle's own, with the same parameters under the same names.

Inside `kernels.use` their forward pass takes the fast path; elsewhere, or if the fast path does not apply, it is
that of the class they derive from. Nothing is added to the state dict or to an exported network.
"""

from paddle_automl.models.kernels.layers.activation import (
    ELU,
    GELU,
    Dropout,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    Silu,
    Swish,
    Tanh,
)
from paddle_automl.models.kernels.layers.convolution import Conv1D, Conv2D, Linear
from paddle_automl.models.kernels.layers.joining import add, add_act, add_relu, concat, fork
from paddle_automl.models.kernels.layers.normalization import (
    BatchNorm1D,
    BatchNorm2D,
    GroupNorm,
    InstanceNorm2D,
    norm_act,
)
from paddle_automl.models.kernels.layers.pooling import (
    AdaptiveAvgPool1D,
    AdaptiveAvgPool2D,
    AdaptiveMaxPool1D,
    AdaptiveMaxPool2D,
    AvgPool1D,
    AvgPool2D,
    MaxPool1D,
    MaxPool2D,
)

__all__ = [
    "ELU", "GELU", "AdaptiveAvgPool1D", "AdaptiveAvgPool2D", "AdaptiveMaxPool1D", "AdaptiveMaxPool2D",
    "AvgPool1D", "AvgPool2D", "BatchNorm1D", "BatchNorm2D", "Conv1D", "Conv2D", "Dropout", "GroupNorm",
    "Hardsigmoid", "Hardswish", "InstanceNorm2D", "LeakyReLU", "Linear", "MaxPool1D", "MaxPool2D", "Mish",
    "PReLU", "ReLU", "ReLU6", "Sigmoid", "Silu", "Swish", "Tanh", "add", "add_act", "add_relu", "concat", "fork",
    "norm_act",
]  # fmt: skip
