"""Permanent repairs of PaddleSlim 2.6 on Paddle 3; each does nothing if Paddle still has the old behaviour."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import paddle

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.core.runtime import silence_known_warnings

_MARK = "_paddle_automl_mend"
_ACTIVATIONS = ("mish", "silu", "tanh", "elu", "softplus", "selu", "celu", "exp", "sqrt", "abs")
"""Operators that treat every number alike, independent of its channel."""


def import_paddleslim() -> Any:
    """Return PaddleSlim, repaired and silent; raises UnsupportedError if it is not installed."""
    mend_paddle()
    with warnings.catch_warnings(), quiet():
        silence_known_warnings()
        try:
            import paddleslim
            import paddleslim.dygraph
        except ImportError as error:
            raise UnsupportedError(
                f"compression needs PaddleSlim, which cannot be imported: {error}; pip install paddleslim==2.6.0"
            ) from None
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("paddleslim"):
            logging.getLogger(name).setLevel(logging.ERROR)
    _keep_masks_float()
    _know_activations()
    return paddleslim


def mend_paddle() -> None:
    """Restore what PaddleSlim and the conversion of quantized networks need from Paddle."""
    _alias_mode_guard()
    _accept_missing_zero_point()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress PaddleSlim's messages for developers, and warnings about its use of NumPy."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


def _alias_mode_guard() -> None:
    """`paddleslim.core.dygraph` calls a function by the name that it had before Paddle 3."""
    from paddle.base.dygraph import base

    if not hasattr(base, "_to_static_mode_guard_"):
        base._to_static_mode_guard_ = base.to_static_mode_guard


def _accept_missing_zero_point() -> None:
    """Symmetric quanters report the zero point None, from which Paddle 3.1 and later make a tensor."""
    from paddle.nn.quant import format as quant_format

    def zero_for_none(init: Callable[..., None]) -> Callable[..., None]:
        def call(self: Any, scales: Any, zero_point: Any = None, *args: Any, **kwargs: Any) -> None:
            init(self, scales, 0.0 if zero_point is None else zero_point, *args, **kwargs)

        return call

    for cls in (quant_format.LinearQuanter, quant_format.LinearDequanter):
        _wrap_once(cls, "__init__", zero_for_none)


def _keep_masks_float() -> None:
    """`paddle.assign(bool, output=float mask)` now makes the mask bool, and float * bool is refused."""
    from paddleslim.dygraph.prune.unstructured_pruner import UnstructuredPruner

    def floats(method: Callable[..., None]) -> Callable[..., None]:
        def call(self: Any) -> None:
            method(self)
            for mask in self.masks.values():
                if mask.dtype != paddle.float32:
                    paddle.assign(mask.astype("float32"), output=mask)

        return call

    for name in ("_update_masks", "set_static_masks"):
        _wrap_once(UnstructuredPruner, name, floats)


def _know_activations() -> None:
    """PaddleSlim's tracing of channels stops at activations that are newer than it."""
    from paddleslim.prune import prune_worker

    known = prune_worker.OPS_UNCHANGE_SHAPE
    known.extend(name for name in _ACTIVATIONS if name not in known)


def _wrap_once(cls: type, name: str, make: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    original = getattr(cls, name)
    if not hasattr(original, _MARK):
        new = functools.wraps(original)(make(original))
        setattr(new, _MARK, True)
        setattr(cls, name, new)
