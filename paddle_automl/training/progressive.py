"""Less data and smaller inputs in the first epochs of a training."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import Section
from paddle_automl.inputs.base import Arrays, Input
from paddle_automl.paddle_compat.modes import evaluating

KEY = "training.progressive"


class Progressive(Section):
    """Cheap first epochs with a fraction of the data or smaller images: a trial that is stopped early costs less.

    As in FABOLAS (Klein et al. 2017, arXiv 1605.07079) and the progressive learning of EfficientNetV2 (Tan and Le
    2021, arXiv 2104.00298, section 4), but with a single increase. The same epochs are cheap in every trial, so a
    scheduler compares like with like; validation always uses the whole split at full size. The learning rate
    follows the epochs: a short one covers as much of the schedule as a whole one.
    """

    epochs: int = Field(0, ge=0)
    """Number of cheap epochs at the start; 0 for none. Best not more than the epochs of the scheduler's first
    rung."""
    data_fraction: float = Field(0.5, gt=0, le=1)
    """Fraction of the training items, and of `steps_per_epoch`, that each of these epochs uses, drawn again for
    each epoch; at least one batch."""
    resolution: float = Field(1.0, gt=0, le=1)
    """Factor of the images' height and width in these epochs. Validation always uses the full size, so accuracy is
    lower until a network has trained at it, and by a different amount for each network."""

    def count(self, epoch: int, items: int, batch_size: int) -> int:
        """Return the number of training items that epoch `epoch`, from 1, uses."""
        if epoch > self.epochs:
            return items
        return max(int(items * self.data_fraction), min(batch_size, items))

    def shrink_factor(self, epoch: int) -> float:
        """Return the factor of the inputs' resolution in epoch `epoch`, from 1 (see `Input.shrink`)."""
        return 1.0 if epoch > self.epochs else self.resolution

    def whole_epochs(self, epochs: int) -> float:
        """Return how many epochs over all data cost as much as the first `epochs`, without validation."""
        cheap = min(epochs, self.epochs)
        return epochs - cheap + cheap * self.data_fraction * self.resolution**2

    def fitting(self, epochs: int) -> Progressive:
        """Return the same for a training of `epochs` epochs, the last of which always uses all data."""
        return self.model_copy(update={"epochs": min(self.epochs, epochs - 1)})


def check_resolution(model: nn.Layer, input: Input, progressive: Progressive) -> None:
    """Raise ConfigError if the network cannot be trained on the smaller inputs; the model is not changed."""
    factor = progressive.shrink_factor(1)
    if factor == 1:
        return
    full: Arrays = {spec.name: spec.zeros() for spec in input.specs}
    small = input.shrink(full, factor)
    problem = _problem(model, small)
    if problem:
        main = input.specs[0].name
        raise ConfigError(
            f"{KEY}.resolution: {factor:g} shrinks {input.word}s from {_size(full[main])} to "
            f"{_size(small[main])}, and {problem}; use a larger factor, or 1 for {input.word}s of full size"
        )


def _size(array: np.ndarray) -> str:
    """Return the sizes of the axes after batch and channel as a text."""
    return " x ".join(str(side) for side in array.shape[2:])


def _problem(model: nn.Layer, arrays: Arrays) -> str:
    """Return the reason why `arrays` do not fit the network, or an empty text."""
    constant: list[str] = []

    def look(layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.ndim == 4 and int(output.shape[2]) * int(output.shape[3]) == 1:
            constant.append(type(layer).__name__)

    hooks = [
        layer.register_forward_post_hook(look)
        for layer in model.sublayers()
        # A channel that is normalized over a single pixel is constant.
        if isinstance(layer, nn.InstanceNorm2D)
    ]
    try:
        with evaluating(model), paddle.no_grad():
            model(*(paddle.to_tensor(array) for array in arrays.values()))
    except (ValueError, RuntimeError) as error:
        # Paddle raises one of these two for a map without pixels; the last line holds the reason.
        return f"the network cannot take them ({str(error).strip().splitlines()[-1]})"
    finally:
        for hook in hooks:
            hook.remove()
    return "the network would normalize maps of a single pixel, which makes them constant" if constant else ""
