"""The numeric types of a training: ``paddle.amp`` on a GPU, the fast layers of `models.kernels` on a CPU."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import paddle
from paddle import Tensor, nn

from paddle_automl.models import kernels
from paddle_automl.models.tables import RowTable
from paddle_automl.paddle_compat.device import move
from paddle_automl.training.config import AmpConfig
from paddle_automl.training.recipe import NoOptimizer

logger = logging.getLogger(__name__)


SMALL_STEP = 10_000_000
"""Multiply-accumulates of a step's forward pass below which calling the fast layers costs more than they save:
a step of 3 million ran at 0.83 times Paddle's speed, one of 49 million at 1.9 times."""
TOO_SMALL = "the network's steps are too small to benefit from it"


class Precision:
    """The numeric types of one training run; `description` says which are used.

    On a GPU float16 uses a ``GradScaler``, which also skips a step whose gradients overflowed, and O2 keeps the
    network in low precision with float32 master weights in the optimizer; `restore` makes it float32 again.

    On a CPU, where ``paddle.amp`` does nothing, the network's layers use oneDNN: in bfloat16 with float32 weights
    if that is configured and the processor supports it, else in float32. Steps of fewer than `SMALL_STEP`
    multiply-accumulates (`step_flops`) use Paddle's own operators.
    """

    def __init__(self, config: AmpConfig | None, device: str, step_flops: int = 0) -> None:
        self.on_cpu = device == "cpu"
        self.config = None if self.on_cpu or config is None or not _supported(config, device) else config
        self.cpu_type = _cpu_type(config, step_flops) if self.on_cpu else None
        if config is not None and self.config is None and self.cpu_type != config.dtype:
            reason = _reason(config, device, step_flops)
            # Where it would not be faster, nobody needs to do anything.
            level = logging.INFO if reason == TOO_SMALL else logging.WARNING
            logger.log(level, "training.amp: no %s: %s; training uses float32", config.dtype, reason)
        self.scaler = (
            paddle.amp.GradScaler(init_loss_scaling=2.0**16)
            if self.config is not None and self.config.dtype == "float16"
            else None
        )

    @property
    def description(self) -> str:
        """``float32``, ``bfloat16``, or on a GPU the low precision and its level, as in ``bfloat16 O1``."""
        if self.config is None:
            return self.cpu_type or "float32"
        return f"{self.config.dtype} {self.config.level}"

    def prepare(
        self, model: nn.Layer, optimizer: paddle.optimizer.Optimizer | NoOptimizer
    ) -> tuple[nn.Layer, paddle.optimizer.Optimizer | NoOptimizer]:
        """Return network and optimizer prepared for level O2; for other levels return them unchanged.

        Tables stay float32: their updates go over the rows of a batch in the memory of the table.
        """
        if self.config is None or self.config.level != "O2":
            return model, optimizer
        options: dict[str, Any] = {"level": "O2", "dtype": self.config.dtype, "master_weight": True}
        options |= {"save_dtype": "float32", "excluded_layers": [RowTable]}
        if isinstance(optimizer, NoOptimizer):
            # Nothing but tables is learned; Paddle takes no optimizer but its own.
            return paddle.amp.decorate(models=model, **options), optimizer
        decorated: tuple[nn.Layer, paddle.optimizer.Optimizer] = paddle.amp.decorate(
            models=model, optimizers=optimizer, **options
        )
        return decorated

    def context(self) -> AbstractContextManager[object]:
        """Return the context for the forward passes of a step."""
        if self.on_cpu:
            return kernels.use(self.cpu_type)
        if self.config is None:
            return nullcontext()
        context: AbstractContextManager[object] = paddle.amp.auto_cast(
            level=self.config.level, dtype=self.config.dtype
        )
        return context

    def evaluation_context(self) -> AbstractContextManager[object]:
        """Return the context for forward passes in evaluations: float32 on a CPU, so that scores are comparable."""
        return kernels.use("float32" if self.cpu_type else None) if self.on_cpu else self.context()

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of `loss`, scaled up for float16."""
        if self.scaler is None:
            loss.backward()
        else:
            self.scaler.scale(loss).backward()

    def unscale(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Undo the scale of the gradients before `step` does, for what happens to them in between."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Unscale gradients that are not yet, and step unless they overflowed."""
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()

    def restore(self, model: nn.Layer) -> None:
        """Convert a network of level O2 back to float32."""
        if self.config is not None and self.config.level == "O2":
            move(model, dtype="float32")


def _cpu_type(config: AmpConfig | None, step_flops: int) -> str | None:
    if step_flops < SMALL_STEP or kernels.unsupported("float32"):
        return None
    if config is not None and config.dtype == "bfloat16" and not kernels.unsupported("bfloat16"):
        return "bfloat16"
    return "float32"


def _reason(config: AmpConfig, device: str, step_flops: int) -> str:
    if device != "cpu":
        return f"Paddle does not have it on {device}"
    if config.dtype == "float16":
        return "Paddle ignores float16 on a CPU"
    if step_flops < SMALL_STEP:
        return TOO_SMALL
    return kernels.unsupported("bfloat16")


def _supported(config: AmpConfig, device: str) -> bool:
    if config.dtype == "bfloat16":
        return bool(paddle.amp.is_bfloat16_supported(device))
    return bool(paddle.amp.is_float16_supported(device))
