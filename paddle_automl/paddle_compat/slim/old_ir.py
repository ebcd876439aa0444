"""Graphs in the format before Paddle 3 (ProgramDesc), for one block of code at a time.

PaddleSlim reads such graphs, and only they hold 8-bit integers. The rest of the process uses the new format.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import paddle

from paddle_automl.paddle_compat.slim.old_functions import FALLBACKS
from paddle_automl.paddle_compat.tracing import forget_failed_traces

LOCK = threading.RLock()
"""The format is a setting of the whole process, not of a thread."""

_HOMES = (
    "paddle._C_ops",
    "paddle",
    # `paddle.tensor`, the attribute, is a function in Paddle 3.3; the module is only found here.
    "paddle.tensor",
    "paddle.tensor.math",
    "paddle.tensor.ops",
    "paddle.tensor.linalg",
    "paddle.tensor.logic",
    "paddle.tensor.search",
    "paddle.nn.functional",
    "paddle.nn.functional.activation",
)
"""Modules through whose names the functions are called."""


@contextlib.contextmanager
def old_ir() -> Iterator[None]:
    """Use the old graph format inside the block; afterwards restore dynamic mode and the new format.

    Other threads must not trace or save networks meanwhile; those that come here wait.
    """
    with LOCK, paddle.pir_utils.DygraphOldIrGuard(), _old_functions():
        forget_failed_traces()
        yield


@contextlib.contextmanager
def static_old_ir() -> Iterator[None]:
    """Switch to static mode with the old graph format inside the block, for code that runs an Executor."""
    from paddle.base import framework

    # Without a tracer the mode is static. `paddle.enable_static` would begin a new dynamic mode: see `naming_on`.
    with LOCK, framework._dygraph_guard(None), paddle.pir_utils.OldIrGuard():
        yield


@contextlib.contextmanager
def naming_on() -> Iterator[None]:
    """Let dynamic mode go on as before the block, if code in it calls `paddle.enable_static` and `disable_static`.

    They begin a new dynamic mode, which counts the names of tensors and parameters from zero again. A network with
    tensors from before and after may have two of one name; its exported file holds only one of them.
    """
    from paddle.base import framework, unique_name

    tracer = framework.global_var._dygraph_tracer_
    generator, checker = unique_name.switch()
    unique_name.switch(generator, checker)
    try:
        yield
    finally:
        unique_name.switch(generator, checker)
        framework.global_var._dygraph_tracer_ = tracer


def new_ir_is_on() -> bool:
    """Return whether the process uses the graph format of Paddle 3."""
    return bool(paddle.framework.use_pir_api())


@contextlib.contextmanager
def _old_functions() -> Iterator[None]:
    """Let functions that Paddle 3.2 and 3.3 moved into C++ (sum, matmul, sigmoid ...) accept old variables again.

    They are replaced inside the block only, and only for old variables: tensors go to Paddle's own functions.
    """
    from paddle.base.framework import Variable

    saved: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, name: str, new: Any) -> None:
        saved.append((owner, name, owner.__dict__[name]))
        setattr(owner, name, new)

    try:
        for name, alternative in FALLBACKS.items():
            for home in (sys.modules[module] for module in _HOMES):
                original = home.__dict__.get(name)
                if callable(original):
                    replace(home, name, _dispatch(name, original, alternative, Variable))
            if name in Variable.__dict__:
                replace(Variable, name, alternative)
        _mend_device(replace)
        yield
    finally:
        for owner, name, old in reversed(saved):
            setattr(owner, name, old)


def _dispatch(name: str, original: Any, alternative: Any, variable: type) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else kwargs.get("x", kwargs.get("input"))
        # Not isinstance: in dynamic mode a tensor passes for an instance of Variable.
        return (alternative if issubclass(type(first), variable) else original)(*args, **kwargs)

    # The translator of dynamic code does not translate functions of Paddle's own modules.
    call.__name__, call.__module__ = name, "paddle.tensor.math"
    return call


def _mend_device(replace: Callable[[Any, str, Any], None]) -> None:
    """Paddle 3.3: `Tensor.device` raises for a tensor without memory, such as a recurrent layer's state."""
    tensor = paddle.base.core.eager.Tensor
    device = tensor.__dict__.get("device")
    if not isinstance(device, property) or device.fget is None:
        return
    getter = device.fget

    def get(self: Any) -> Any:
        try:
            return getter(self)
        except ValueError:
            return None

    replace(tensor, "device", property(get))
