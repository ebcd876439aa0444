"""Fast CPU layers: Paddle's dynamic graph on top of the oneDNN library that the Paddle wheel ships.

Paddle's own CPU operators reach a fifth of a core's peak speed. The library that Paddle ships for inference reaches
three quarters, but the dynamic graph never calls it. This package does, with ctypes, from ``PyLayer``.

    with kernels.use("bfloat16"):          # or "float32"
        loss = criterion(model(images), targets)
    loss.backward()

`layers` has drop-in subclasses of Paddle's layers and the functions for sums and concatenations. They are fast
inside `use` and are Paddle's own outside of it: parity checks, export, and hooks for explanations and compression
see an ordinary network with the same parameters, and nothing has to be converted.

**Memory order.** The library is fast on [N, H, W, C], a network is written for [N, C, H, W]. Three designs were
considered. Returning tensors whose memory does not match their shape breaks silently in the first operator that is
not aware of it. Running a whole network in [N, H, W, C] breaks every backbone that names an axis. Here every layer
returns a *view* [N, C, H, W] of its result, made by an ordinary transpose, with a reference to the underlying
tensor, which the next fast layer uses (`memory`). So no data is reordered between fast layers, gradients of
branches add up in memory order, and any other operator or user's backbone gets correct values and gradients, only
slower. A hook on a view sees the gradients that come through other operators, but not those from the next fast
layer.

**bfloat16.** Feature maps and their gradients are bfloat16, sums inside the library and everything with weights
(master copy, gradients, running statistics, the head behind a global pooling) float32. Paddle has no bfloat16
operators on a CPU: between fast layers use `layers.add` and similar functions, and before an operator of Paddle
`plain`.

**Compiled operations.** Where oneDNN is slow or needs several passes, `native` has operations of our own in C:
GELU, batch normalization with GELU, and the gradient of 3 x 3 kernels. They are optional.

**Checks.** Each kind of operation is compared with NumPy when a process first uses it (`selftest`); the library's
version and its names of algorithms are checked when it is loaded. Operations that fail are left to Paddle, with one
message in the log. ``PADDLE_AUTOML_KERNELS=0`` turns the package off. Differentiating a gradient again is refused,
and ``paddle.grad`` for only some inputs of a layer fails with any ``PyLayer`` of Paddle 3.3: run such forward
passes outside of `use`.
"""

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.memory import plain
from paddle_automl.models.kernels.mode import active, unsupported, use
from paddle_automl.models.kernels.primitives import set_threads

__all__ = ["UnsupportedError", "active", "plain", "set_threads", "unsupported", "use"]
