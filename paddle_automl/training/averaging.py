"""The mean of the weights after the last epochs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import paddle
from paddle import Tensor, nn


class EpochMean:
    """Mean of the weights at the ends of the last `count` epochs (Izmailov et al. 2018, section 3; Kaddour 2022).

    Running mean and variance of batch normalization are averaged in the same way as weights. The means are float32.
    """

    def __init__(self, model: nn.Layer, count: int) -> None:
        self._live = [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]
        self._ends: deque[list[Tensor]] = deque(maxlen=count)

    @paddle.no_grad()
    def end_epoch(self) -> None:
        """Add the weights as they are now."""
        self._ends.append([live.detach().astype("float32").clone() for live in self._live])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the weights by the mean; afterwards restore exactly the same weights."""
        with paddle.no_grad():
            kept = [live.clone() for live in self._live]
            for index, live in enumerate(self._live if self._ends else []):
                mean = paddle.stack([end[index] for end in self._ends]).mean(axis=0)
                paddle.assign(mean.astype(live.dtype), output=live)
        try:
            yield
        finally:
            with paddle.no_grad():
                for backup, live in zip(kept, self._live, strict=True):
                    paddle.assign(backup, output=live)
