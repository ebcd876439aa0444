"""Device, threads, seeds and signals of Paddle in this process."""

from __future__ import annotations

import paddle
from paddle import nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.seeds import integer_seed

_MOST_DIGITS = 9


def set_device(device: str) -> None:
    """Make `device` (``cpu`` or ``gpu:N``) the device of new tensors; raises ConfigError if it does not exist."""
    kind, _, index = device.partition(":")
    # Not `isdigit`: `int` refuses "²", as it does thousands of digits.
    number = index.isdecimal() and len(index) <= _MOST_DIGITS
    if kind not in {"cpu", "gpu"} or (kind == "cpu" and index) or (index and not number):
        raise ConfigError(f"device: must be cpu or gpu:N with N from 0, got '{device}'")
    if kind == "gpu":
        if not paddle.device.is_compiled_with_cuda():
            raise ConfigError(
                f"device: '{device}' needs a Paddle built with CUDA, but the installed one is built for the CPU; "
                "set device: cpu or install paddlepaddle-gpu"
            )
        count = paddle.device.cuda.device_count()
        if int(index or 0) >= count:
            raise ConfigError(f"device: there is no '{device}'; Paddle sees {count} GPUs, counted from 0")
    paddle.set_device(device)


def move(model: nn.Layer, device: str | None = None, *, dtype: str | None = None) -> None:
    """Move the tensors of `model` to `device`, or convert its floating-point ones to `dtype`, in place.

    Recurrent layers have a state of their dropout without memory, which Paddle 3.3 cannot copy; it stays as it is.
    """
    layers = model.sublayers(include_self=True)
    empty = [(layer, name) for layer in layers for name, buffer in layer._buffers.items() if _is_empty(buffer)]
    kept = [(layer, name, layer._buffers.pop(name)) for layer, name in empty]
    try:
        model.to(device, dtype)
    finally:
        for layer, name, buffer in kept:
            layer._buffers[name] = buffer


def _is_empty(buffer: paddle.Tensor | None) -> bool:
    return buffer is not None and not buffer._is_initialized()


def set_threads(count: int) -> None:
    """Let the linear algebra library of Paddle's CPU operators use `count` threads; works at any time."""
    if count < 1:
        raise ConfigError(f"threads: must be at least 1, got {count}")
    paddle.base.core.set_num_threads(count)


def seed_everything(seed: int, *names: str | int) -> None:
    """Seed Paddle's generators (initial weights, dropout masks) for the component with these `names`."""
    paddle.seed(integer_seed(seed, "paddle", *names))


def disable_signal_handler() -> None:
    """Stop Paddle from printing a C++ stack trace when the process is asked to end."""
    paddle.disable_signal_handler()
