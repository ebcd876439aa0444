"""Less data and smaller images in the first epochs of a training."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import Section

KEY = "training.progressive"


class Progressive(Section):
    """Begins with a share of the images, or with smaller ones: a trial that is stopped early then costs less.

    As in FABOLAS (Klein et al. 2017, arXiv 1605.07079) and the progressive learning of EfficientNetV2 (Tan and Le
    2021, arXiv 2104.00298, section 4), but with one step up. An epoch is as cheap in every trial, so a
    scheduler compares like with like; validation is always the whole part at full size. The learning rate follows
    the epochs: a short one passes through as much of the schedule as a whole one.
    """

    epochs: int = Field(0, ge=0)
    """First epochs that are cheap; 0 for none. Best up to the scheduler's first rung."""
    data_share: float = Field(0.5, gt=0, le=1)
    """Share of the training images that each of these epochs sees, drawn anew for each; at least one batch."""
    resolution: float = Field(1.0, gt=0, le=1)
    """Factor of the images' height and width in these epochs. Networks are validated at full size after training
    at the smaller one, which costs accuracy until they have seen it, and not the same in all."""

    def count(self, epoch: int, images: int, batch_size: int) -> int:
        """Return how many of the training images epoch `epoch`, from 1, sees."""
        if epoch > self.epochs:
            return images
        return max(int(images * self.data_share), min(batch_size, images))

    def size(self, epoch: int, full: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the images in epoch `epoch`, from 1."""
        if epoch > self.epochs:
            return full
        return max(1, round(full[0] * self.resolution)), max(1, round(full[1] * self.resolution))

    def whole_epochs(self, epochs: int) -> float:
        """Return how many epochs of the whole data cost as much as the first `epochs`, validation left aside."""
        cheap = min(epochs, self.epochs)
        return epochs - cheap + cheap * self.data_share * self.resolution**2

    def fitting(self, epochs: int) -> Progressive:
        """Return the same for a training of `epochs`, of which the last is always a whole one."""
        return self.model_copy(update={"epochs": min(self.epochs, epochs - 1)})


def check_size(model: nn.Layer, channels: int, full: tuple[int, int], progressive: Progressive) -> None:
    """Raise ConfigError if the network cannot learn from the smaller images; the model is left as it was."""
    size = progressive.size(1, full)
    if size == full:
        return
    problem = _problem(model, channels, size)
    if problem:
        raise ConfigError(
            f"{KEY}.resolution: {progressive.resolution:g} makes images of {full[0]} x {full[1]} pixels "
            f"{size[0]} x {size[1]}, and {problem}; use a larger factor, or 1 for images as they are"
        )


def _problem(model: nn.Layer, channels: int, size: tuple[int, int]) -> str:
    """Return why images of `size` do not fit, or an empty text."""
    constant: list[str] = []

    def look(layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.ndim == 4 and int(output.shape[2]) * int(output.shape[3]) == 1:
            constant.append(type(layer).__name__)

    hooks = [
        layer.register_forward_post_hook(look)
        for layer in model.sublayers()
        # Normalized over its own single pixel, a channel is a constant.
        if isinstance(layer, nn.InstanceNorm2D)
    ]
    modes = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    model.eval()
    try:
        with paddle.no_grad():
            model(paddle.zeros([1, channels, *size]))
    except (ValueError, RuntimeError) as error:
        # Paddle states a map that vanished as one of these two; the last line holds the reason.
        return f"the network cannot take them ({str(error).strip().splitlines()[-1]})"
    finally:
        for hook in hooks:
            hook.remove()
        for layer, training in modes:
            layer.training = training
    return "the network would normalize maps of a single pixel, which leaves nothing" if constant else ""
