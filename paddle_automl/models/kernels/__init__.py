"""Layers at the speed of the processor: oneDNN, as the Paddle wheel ships it, under Paddle's dynamic graph.

Paddle's own CPU operators reach a fifth of what a core can do. The library that Paddle carries for inference
reaches three quarters, but the dynamic graph never calls it. This package does, by ctypes, from ``PyLayer``.

    with kernels.use("bfloat16"):          # or "float32"
        loss = criterion(model(images), targets)
    loss.backward()

`layers` has drop-in subclasses of Paddle's layers and the functions for sums and concatenations. They are fast
inside `use` and Paddle's own outside of it: evaluation for parity, export, hooks for explanations and compression
see an ordinary network, with the same parameters, and nothing has to be converted.

**Order of memory.** The library is fast on [N, H, W, C], a network is written for [N, C, H, W]. Three ways were
weighed. Handing out tensors whose memory does not fit their shape breaks silently in the first operator that does
not know. Running a whole network in [N, H, W, C] breaks every backbone that names an axis. Here every layer hands
out a *view* [N, C, H, W] of its result, made by an ordinary transpose, that refers to the tensor under it; the
next fast layer takes that one (`memory`). So no data is reordered between fast layers, gradients of branches add
up in memory order, and any other operator or user's backbone gets right values and gradients, only slower. A hook
on a view sees the gradients that come through other operators; those from the next fast layer pass under it.

**bfloat16.** Feature maps and their gradients are bfloat16, sums inside the library and everything with weights
(master copy, gradients, running statistics, the head behind a global pooling) float32. Paddle has no bfloat16
operators on a CPU: between fast layers use `layers.add` and its like, and before an operator of Paddle `plain`.

**What is checked.** Each kind of operation is compared with NumPy when a process first uses it (`selftest`); the
library's version and its names of algorithms when it is loaded. What does not fit is left to Paddle and said once
in the log. ``PADDLE_AUTOML_KERNELS=0`` turns the package off. A gradient that is to be differentiated again is
refused, and ``paddle.grad`` for some inputs of a layer only fails with any ``PyLayer`` of Paddle 3.3: such forward
passes belong outside of `use`.
"""

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.memory import plain
from paddle_automl.models.kernels.mode import active, unsupported, use
from paddle_automl.models.kernels.primitives import set_threads

__all__ = ["UnsupportedError", "active", "plain", "set_threads", "unsupported", "use"]
