"""Base of all drop-in layers: the choice between the fast path and Paddle's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import paddle
from paddle import Tensor, nn

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.memory import plain
from paddle_automl.models.kernels.mode import active, explain, takes
from paddle_automl.models.kernels.selftest import passed

Result = TypeVar("Result")


class Fast(nn.Layer):
    """Mix-in for a layer of Paddle; parameters and state dict are kept, and the forward pass as `slow`."""

    base: ClassVar[type[nn.Layer]]
    """The layer of Paddle: the first base class that is not from this package."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in cls.__mro__:
            if issubclass(base, nn.Layer) and base is not nn.Layer and not issubclass(base, Fast):
                cls.base = base
                break

    def __init__(self, *args: Any, **options: Any) -> None:
        self.base.__init__(self, *args, **options)
        self.remember(_bound(self.base, args, options))

    def remember(self, options: Mapping[str, Any]) -> None:
        """Store the options of the constructor that `fast` needs, including defaults."""

    def fast(self, x: Tensor) -> Tensor | None:
        """Return the result of the fast path, or None if it does not apply."""
        raise NotImplementedError

    def slow(self, x: Tensor) -> Tensor:
        """Return the result of Paddle's own operators."""
        return self.base.forward(self, x)

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor as the layer of Paddle does."""
        y = None if active() is None else self.fast(x)
        return self.slow(plain(x)) if y is None else y


class Ordinary(Fast):
    """Mix-in for a layer without a fast path: it gets the ordinary float32 tensors that Paddle's code needs."""

    def fast(self, x: Tensor) -> None:  # noqa: D102
        return None


def attempt(kind: str, x: Tensor, compute: Callable[[paddle.dtype], Result]) -> Result | None:
    """Return ``compute(dtype)`` if the fast path applies to `x`; else None, and log the reason once."""
    if not takes(x):
        return None
    dtype = active()
    if not passed(kind, dtype):
        return None
    try:
        return compute(dtype)
    except UnsupportedError as reason:
        explain(kind, reason)
        return None


def numbers(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """Return one number per spatial axis."""
    if isinstance(value, int):
        return (value,) * axes
    found = tuple(int(v) for v in value)
    return found * axes if len(found) == 1 else found


def padding_pairs(value: int | str | Sequence[Any], axes: int) -> tuple[tuple[int, int], ...] | None:
    """Return the padding before and after each spatial axis; None for forms that depend on the input's size."""
    if isinstance(value, str):
        return ((0, 0),) * axes if value.upper() == "VALID" else None
    sides: list[Any] = [value] if isinstance(value, int) else list(value)
    if not all(isinstance(side, int) for side in sides):
        return None
    if len(sides) == 2 * axes:
        return tuple(zip(sides[::2], sides[1::2], strict=True))
    if len(sides) == 1:
        sides = sides * axes
    return tuple((side, side) for side in sides) if len(sides) == axes else None


def _bound(base: type[nn.Layer], args: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    bound = inspect.signature(base.__init__).bind(None, *args, **options)
    bound.apply_defaults()
    return dict(bound.arguments)
