"""PaddleSlim's losses for distillation that this project does not implement itself."""

from __future__ import annotations

from paddle import nn

from paddle_automl.paddle_compat.slim.repairs import import_paddleslim


def relational_loss() -> nn.Layer:
    """Return PaddleSlim's relational loss: (student [B, F], teacher [B, G]) to a loss, shape [].

    Park et al., Relational Knowledge Distillation (2019), eq. 4 and 5 with Huber's function: the distances between
    the images of a batch, divided by their mean, plus the cosines of the angles between any three. The widths may
    differ. PaddleSlim's other losses are layers of Paddle under another name; its KL is also a mean over the
    classes, without the T^2 of Hinton et al.
    """
    import_paddleslim()
    from paddleslim.dygraph.dist.losses.basic_loss import RKDLoss

    loss: nn.Layer = RKDLoss()
    return loss
