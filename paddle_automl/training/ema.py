"""Exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import paddle
from paddle import Tensor, nn


class ExponentialMovingAverage:
    """Average of the weights over the steps, bias-corrected as Adam's moments (Kingma and Ba 2015, section 3).

    At step t: s_t = d s_{t-1} + (1 - d) p_t and w_t = d w_{t-1} + (1 - d) from s_0 = w_0 = 0; the average is s_t /
    w_t, a weighted mean of p_1..p_t without the initial weights. d is `decay`, so that w_t = 1 - decay^t. With
    `warmup`, d = min(decay, (1 + t) / (10 + t)) (as in TensorFlow and in `paddle.static.ExponentialMovingAverage`),
    so that the average covers at most about the last tenth of the steps, and the first weights do not dominate a
    short training.

    Running mean and variance of batch normalization are averaged in the same way as weights. The sums are float32
    and changed in place.
    """

    def __init__(self, model: nn.Layer, decay: float, *, warmup: bool) -> None:
        self.decay = decay
        self.warmup = warmup
        self._steps = 0
        self._live = [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]
        self._sums = [paddle.zeros(tensor.shape, dtype="float32") for tensor in self._live]
        self._weight = 0.0

    @paddle.no_grad()
    def update(self) -> None:
        """Add the weights after a step to the average."""
        self._steps += 1
        warm = (1 + self._steps) / (10 + self._steps)
        decay = min(self.decay, warm) if self.warmup else self.decay
        rest = 1.0 - decay
        for total, live in zip(self._sums, self._live, strict=True):
            # `lerp_` is one call but takes eight times as long on a CPU.
            total.scale_(decay)
            total.add_(_float32(live) * rest)
        self._weight = decay * self._weight + rest

    @paddle.no_grad()
    def copy_to_model(self) -> None:
        """Overwrite the network's weights with the average; before the first update do nothing."""
        if self._weight == 0.0:
            return
        for total, live in zip(self._sums, self._live, strict=True):
            paddle.assign((total / self._weight).astype(live.dtype), output=live)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the weights by the average; afterwards restore exactly the same weights."""
        with paddle.no_grad():
            kept: list[Tensor] = [live.clone() for live in self._live]
        self.copy_to_model()
        try:
            yield
        finally:
            with paddle.no_grad():
                for backup, live in zip(kept, self._live, strict=True):
                    paddle.assign(backup, output=live)


def _float32(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == paddle.float32 else tensor.astype("float32")
