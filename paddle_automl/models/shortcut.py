"""Blocks whose input is added to their output where both have one shape (He et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable

from paddle import Tensor, nn

from paddle_automl.models.kernels import layers as fast


class WithShortcut(nn.Layer):
    """A block that computes `residual`, a layer or a method, and with `adds` adds its input to that."""

    residual: Callable[[Tensor], Tensor]
    adds: bool

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to what `residual` returns, [N, c, h, w]."""
        if not self.adds:
            return self.residual(x)
        x, one = fast.fork(x)
        return fast.add(x, self.residual(one))
