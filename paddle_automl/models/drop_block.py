"""DropBlock: whole squares of feature maps set to zero while training."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.models.kernels import plain


class DropBlock(nn.Layer):
    """Sets squares of `side` pixels to zero, a fraction of about `rate` of each map, while training.

    Ghiasi et al., DropBlock: A Regularization Method for Convolutional Networks (2018), algorithm 1 and eq. 1:
    pixels of a map share what they know with their neighbours, so single ones are not missed. Each channel of each
    item has its own squares; what is left is scaled up to the same sum. The fraction is constant, while the paper
    lets it grow over the training. On maps smaller than `side` a square is as large as the map's shorter side.
    """

    def __init__(self, rate: float, side: int) -> None:
        super().__init__()
        self.rate = rate
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        if not self.training:
            return x
        x = plain(x)
        count, channels, height, width = x.shape
        side = min(self.side, height, width)
        places = (height - side + 1, width - side + 1)
        # Probability that a square has a corner at a place (eq. 1).
        gamma = self.rate * height * width / (side**2 * places[0] * places[1])
        corners = (paddle.rand([count, channels, *places]) < min(gamma, 1.0)).astype("float32")
        dropped = F.max_pool2d(F.pad(corners, [side - 1] * 4), side, stride=1)
        kept = 1.0 - dropped
        return x * kept * (kept.size / kept.sum().clip(min=1.0))
