"""Conversion between a student and a network of another training with its own input and task."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import Tensor
from paddle.nn import functional as F

from paddle_automl.core.errors import ConfigError
from paddle_automl.inputs.base import Input
from paddle_automl.inputs.image.input import ImageInput
from paddle_automl.tasks.base import Task

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey, as in Pillow (ITU-R 601-2)."""
NAMES = {"softmax": "classes", "sigmoid": "labels"}
"""The word for the names of a task, by its activation; for numbers they are columns."""


class View:
    """Converts a student's batch for another network, and that network's outputs for the student.

    `theirs` are the network's input and task, `ours` those of the student; messages call the network `what`.
    Raises ConfigError if it was trained for another task or other names, or if it takes another kind of input.
    """

    def __init__(self, theirs: tuple[Input, Task], ours: tuple[Input, Task], what: str) -> None:
        (their_input, their_task), (our_input, our_task) = theirs, ours
        columns = our_task.columns(their_task)
        if columns is None or len(columns) != our_task.outputs:
            raise ConfigError(_other_task(our_task, their_task, what))
        self.specs = their_input.specs
        """The arrays that the network takes."""
        self.final = their_task.final
        """The last step of the network's task."""
        same_order = columns == list(range(their_task.outputs))
        self._columns = None if same_order else paddle.to_tensor(columns, dtype="int64")
        self._images: _Images | None = None
        if isinstance(our_input, ImageInput) and isinstance(their_input, ImageInput):
            self._images = _Images(their_input, our_input)
        elif not our_input.same_items(their_input):
            raise ConfigError(
                f"teacher: {what} takes {their_input.name} input that differs from the {our_input.name} input of "
                "the data; choose a teacher that was trained on inputs of the same kind and options"
            )

    def inputs(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the student's arrays of a batch, [N, ...] each, as the network expects them."""
        return list(inputs) if self._images is None else [self._images(inputs[0])]

    def outputs(self, outputs: Tensor) -> Tensor:
        """Return the network's outputs [N, K] in the order of the student's."""
        if self._columns is None:
            return outputs
        return paddle.index_select(outputs, self._columns, axis=1)


class _Images:
    """Converts the student's normalized images to the network's normalization, size and colors."""

    def __init__(self, theirs: ImageInput, ours: ImageInput) -> None:
        self.theirs = theirs
        self.ours = ours

    def __call__(self, images: Tensor) -> Tensor:
        """Return images [N, C, H, W] as the network expects them.

        H and W are those of the batch, which are smaller than the data's in the first epochs of a training with
        `progressive`.
        """
        ours, theirs, size = self.ours.fitted, self.theirs.fitted, (int(images.shape[2]), int(images.shape[3]))
        same = (ours.mean, ours.std, ours.channels) == (theirs.mean, theirs.std, theirs.channels)
        if same and size == tuple(theirs.size):
            return images
        pixels = images * _per_channel(ours.std) + _per_channel(ours.mean)
        if ours.channels == 1 and theirs.channels == 3:
            pixels = pixels.expand([-1, 3, -1, -1])
        elif ours.channels == 3 and theirs.channels == 1:
            pixels = (pixels * _per_channel(LUMINANCE)).sum(axis=1, keepdim=True)
        if size != tuple(theirs.size):
            larger = all(t >= o for t, o in zip(theirs.size, size, strict=True))
            pixels = F.interpolate(pixels, size=list(theirs.size), mode="bilinear" if larger else "area")
        return (pixels - _per_channel(theirs.mean)) / _per_channel(theirs.std)


def _other_task(ours: Task, theirs: Task, what: str) -> str:
    if ours.name != theirs.name:
        return (
            f"teacher: {what} was trained for the task {theirs.name}, not for {ours.name}; choose a teacher of the "
            "same task"
        )
    if sorted(ours.names) == sorted(theirs.names):
        return (
            f"teacher: {what} was trained with other options of the task {theirs.name}; choose a teacher of the "
            "same options"
        )
    word = NAMES.get(ours.final.activation, "columns")
    missing = sorted(set(ours.names) - set(theirs.names))
    return (
        f"teacher: {what} knows {len(theirs.names)} {word}, not the {len(ours.names)} of the data"
        f"{': ' + ', '.join(missing[:5]) + ' missing' if missing else ''}; choose a teacher of the same {word}"
    )


def _per_channel(values: Sequence[float]) -> Tensor:
    return paddle.to_tensor(list(values), dtype="float32").reshape([1, -1, 1, 1])
