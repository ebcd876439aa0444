"""Mixed precision by ``paddle.amp``, where the device has it."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext

import paddle
from paddle import Tensor, nn

from paddle_automl.training.config import AmpConfig

logger = logging.getLogger(__name__)


class Precision:
    """The numeric types of one training run; `description` says what really runs.

    float16 uses a ``GradScaler``, which also skips a step whose gradients overflowed. O2 keeps the network in
    low precision with float32 master weights in the optimizer; `restore` makes it float32 again.
    """

    def __init__(self, config: AmpConfig | None, device: str) -> None:
        self.config = config if config is not None and _supported(config, device) else None
        if config is not None and self.config is None:
            logger.warning(
                "training.amp: Paddle ignores %s on %s; training goes on in float32", config.dtype, device
            )
        self.scaler = (
            paddle.amp.GradScaler(init_loss_scaling=2.0**16)
            if self.config is not None and self.config.dtype == "float16"
            else None
        )

    @property
    def description(self) -> str:
        """``float32``, or the low precision and its level, as in ``bfloat16 O1``."""
        return "float32" if self.config is None else f"{self.config.dtype} {self.config.level}"

    def prepare(
        self, model: nn.Layer, optimizer: paddle.optimizer.Optimizer
    ) -> tuple[nn.Layer, paddle.optimizer.Optimizer]:
        """Return network and optimizer made ready for level O2; otherwise as they are."""
        if self.config is None or self.config.level != "O2":
            return model, optimizer
        decorated: tuple[nn.Layer, paddle.optimizer.Optimizer] = paddle.amp.decorate(
            models=model,
            optimizers=optimizer,
            level="O2",
            dtype=self.config.dtype,
            master_weight=True,
            save_dtype="float32",
        )
        return decorated

    def context(self) -> AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        if self.config is None:
            return nullcontext()
        context: AbstractContextManager[object] = paddle.amp.auto_cast(
            level=self.config.level, dtype=self.config.dtype
        )
        return context

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of `loss`, scaled up for float16."""
        if self.scaler is None:
            loss.backward()
        else:
            self.scaler.scale(loss).backward()

    def step(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Scale gradients back, and step unless they overflowed."""
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()

    def restore(self, model: nn.Layer) -> None:
        """Make a network of level O2 float32 again."""
        if self.config is not None and self.config.level == "O2":
            model.to(dtype="float32")


def _supported(config: AmpConfig, device: str) -> bool:
    if device == "cpu":
        return False
    if config.dtype == "bfloat16":
        return bool(paddle.amp.is_bfloat16_supported(device))
    return bool(paddle.amp.is_float16_supported(device))
