"""Weights of an earlier training as the start of a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import paddle
from paddle import nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.models.published import Renaming
from paddle_automl.models.weight_files import read_weights
from paddle_automl.paddle_compat.weights import load_weights

if TYPE_CHECKING:
    from paddle_automl.models.network import Network

KEY = "model.pretrained"
BACKBONE = "backbone."
"""Begin of the names of a backbone's tensors in the state dict of a network."""


@dataclass(frozen=True)
class LoadReport:
    """The tensors that were loaded from a file of weights, and those that were not, with the reason."""

    file: Path
    loaded: tuple[str, ...]
    skipped: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{self.file}: {len(self.loaded)} tensors loaded, {len(self.skipped)} not"]
        return "\n".join([*lines, *(f"  {name}: {reason}" for name, reason in self.skipped.items())])


def load_pretrained(model: Network, file: str | Path, renamings: Sequence[Renaming] = ()) -> LoadReport:
    """Copy every tensor of `file` that matches a name and shape of `model`, and store the names in the model.

    A file of only the backbone (names without ``backbone.``) is accepted too, and one with the names of another
    library that `renamings` know (`Backbone.renamings`). The report lists the tensors of the file that were not
    used and the tensors of the model that keep their initial values. Raises ConfigError if the file cannot be read
    or nothing in it fits.
    """
    path = Path(file)
    try:
        weights = read_weights(path)
    except ConfigError as error:
        raise ConfigError(f"{KEY}: {error}") from None
    own = model.state_dict()
    weights = _with_own_names(weights, own, renamings)
    loaded: list[str] = []
    skipped: dict[str, str] = {}
    with paddle.no_grad():
        for name, array in weights.items():
            reason = _mismatch(array, own.get(name))
            if reason:
                skipped[name] = reason
                continue
            own[name].set_value(_as_type_of(own[name], array))
            loaded.append(name)
    for name in own:
        if name not in weights:
            skipped[name] = "is not in the file; keeps its initial value"
    if not loaded:
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise ConfigError(f"{KEY}: no tensor in {path} fits the network:\n{reasons}")
    model.loaded_names = frozenset(loaded)
    if all(f"backbone.{name}" in loaded for name in model.backbone.statistics):
        model.needs_preparation = False
    return LoadReport(path, tuple(loaded), skipped)


def _with_own_names(
    weights: dict[str, np.ndarray], own: Mapping[str, paddle.Tensor], renamings: Sequence[Renaming]
) -> dict[str, np.ndarray]:
    """Return arrays under the names of the network: as they are, as those of its backbone, or renamed.

    Of several ways that by which most tensors fit is taken, the first one of equal ones.
    """
    inside = [weights, *(renamed(weights) for renamed in renamings)]
    ways = [weights, *({f"{BACKBONE}{name}": array for name, array in found.items()} for found in inside)]
    return max(ways, key=lambda found: sum(not _mismatch(array, own.get(name)) for name, array in found.items()))


def check_whole_backbone(model: Network, report: LoadReport) -> None:
    """Raise ConfigError if a tensor of the backbone was not loaded: frozen, it would stay at its initial value."""
    missing = [name for name in model.state_dict() if name.startswith(BACKBONE) and name in report.skipped]
    if missing:
        raise ConfigError(
            f"model.freeze: {report.file}: lacks {len(missing)} tensors of the backbone, which would stay at their "
            f"initial values, such as {missing[0]}: {report.skipped[missing[0]]}"
        )


def load_backbone(model: Network, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Copy all weights of a backbone into that of `model`, and store the names in the model.

    Statistics are among them, so that `prepare` is not needed; what is solved is solved again before a training.
    `arrays` have the names of the backbone's state dict. Raises ConfigError for those of another architecture: one
    is missing, left over, or has another shape.
    """
    own = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(BACKBONE)}
    given = {f"{BACKBONE}{name}": array for name, array in arrays.items()}
    reasons = {name: "is not in the weights" for name in own if name not in given}
    reasons.update({name: _mismatch(array, own.get(name)) for name, array in given.items()})
    problems = [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    if problems:
        listing = "\n".join(f"  {line}" for line in problems[:5])
        raise ConfigError(
            f"{KEY}: {source}: are weights of another architecture than model.backbone "
            f"({len(problems)} of {len(own)} tensors do not fit):\n{listing}"
        )
    with paddle.no_grad():
        for name, array in given.items():
            own[name].set_value(_as_type_of(own[name], array))
    model.loaded_names = frozenset(own)
    model.needs_preparation = False


def grow_head(model: Network, arrays: Mapping[str, np.ndarray], outputs: Sequence[int], source: str) -> None:
    """Copy the weights of a head with fewer outputs; those of further outputs keep their initial values.

    `arrays` have the names of the state dict of a network, `outputs` is the number in `model` of each of its
    outputs. Raises ConfigError for a tensor that differs in more than the number of outputs.
    """
    head = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(BACKBONE)}
    with paddle.no_grad():
        for name, tensor in head.items():
            values = _grown(tensor.numpy(), arrays.get(name), list(outputs))
            if values is None:
                shape = list(arrays[name].shape) if name in arrays else "no tensor"
                raise ConfigError(
                    f"{KEY}: {source}: the head cannot grow: {name} is {shape} there and {list(tensor.shape)} here"
                )
            tensor.set_value(_as_type_of(tensor, values))


def _grown(own: np.ndarray, given: np.ndarray | None, outputs: list[int]) -> np.ndarray | None:
    """Return `own` with the values of `given` for these outputs; None if other axes than that of outputs differ."""
    if given is None or given.ndim != own.ndim:
        return None
    axes = [axis for axis in range(own.ndim) if own.shape[axis] != given.shape[axis]]
    if not axes:
        return given
    if len(axes) > 1 or given.shape[axes[0]] != len(outputs):
        return None
    values = np.moveaxis(own.copy(), axes[0], 0)
    values[outputs] = np.moveaxis(given, axes[0], 0)
    return np.moveaxis(values, 0, axes[0])


def _mismatch(array: np.ndarray, target: paddle.Tensor | None) -> str:
    if target is None:
        return "is not a tensor of the network"
    if list(array.shape) != list(target.shape):
        return f"has the shape {list(array.shape)}, the network needs {list(target.shape)}"
    if array.dtype.kind != "f":
        return f"has the type {array.dtype}, the network needs floating-point numbers"
    return ""


def has_backbone(file: str | Path) -> bool:
    """Return whether a checkpoint holds more than a head; raises ConfigError if it is no file of weights."""
    return any(name.startswith(BACKBONE) for name in load_weights(file))


def load_checkpoint(model: nn.Layer, file: str | Path, *, head_alone: bool = False) -> None:
    """Copy a checkpoint of this network into it; with `head_alone` it has none of the backbone.

    Raises ConfigError if a tensor is missing or does not fit.
    """
    weights = load_weights(file)
    own = model.state_dict()
    if head_alone:
        own = {name: tensor for name, tensor in own.items() if not name.startswith(BACKBONE)}
    reasons = {name: "is not in the file" for name in own if name not in weights}
    reasons.update({name: _mismatch(array, own.get(name)) for name, array in weights.items()})
    problems = [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    if problems:
        listing = "\n".join(f"  {line}" for line in problems[:5])
        raise ConfigError(f"{file}: is not a checkpoint of this network:\n{listing}")
    with paddle.no_grad():
        for name, array in weights.items():
            own[name].set_value(_as_type_of(own[name], array))
    model.needs_preparation = model.needs_solution = False


def _as_type_of(target: paddle.Tensor, array: np.ndarray) -> np.ndarray:
    return array.astype(str(target.dtype).rpartition(".")[2])
