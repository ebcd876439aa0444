"""Trained networks as the members of one network, and the data that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle import Tensor, nn

from paddle_automl.compression.context import TrainedNetwork
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.core.paths import readable
from paddle_automl.data.splits import PreparedData
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.ensemble import Ensemble, arrays_of, member_of
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import Network, build_network
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import load_data
from paddle_automl.pipeline.jobs.networks import trained_network
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import TrainResult, read_record
from paddle_automl.pipeline.runs.remembered import data_of_run
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import Task


@dataclass(frozen=True)
class Trained:
    """A trained network: the number of its trial, and its configuration and folder."""

    number: int
    config: RunConfig
    folder: Path


@dataclass(frozen=True)
class Opened:
    """A trained network that was loaded."""

    of: Trained
    record: TrainResult
    network: Network
    input: Input
    task: Task

    @property
    def temperature(self) -> float:
        """The number by which its raw outputs are divided."""
        return self.task.final.temperature

    @property
    def alone(self) -> nn.Layer:
        """The network as it is within an ensemble, from all of its arrays to raw outputs [N, K]."""
        return _Tempered(self.network, self.temperature)


def opened(trained: Trained) -> Opened:
    """Return a trained network; raises BundleError or ConfigError if it cannot be loaded."""
    folder = RunFolder(trained.folder)
    found: TrainedNetwork = trained_network(trained.config, folder)
    return Opened(trained, read_record(folder), found.network, found.input, found.task)


def joined_config(members: Sequence[Opened], folder: Path) -> RunConfig:
    """Return the configuration of the network of all members, the first of which gives all but the network.

    Raises ConfigError for one that cannot be a member.
    """
    first = members[0]
    try:
        parts = [member_of(member.of.config.model) for member in members]
    except ValueError as error:
        raise ConfigError(f"ensemble: {error}") from None
    backbone = {
        "name": Ensemble.name,
        "members": parts,
        "answer": first.task.final.activation,
        "temperatures": [member.temperature for member in members],
    }
    model = validate(ModelConfig, {"backbone": backbone})
    return first.of.config.model_copy(update={"model": model, "output": readable(folder.resolve())})


def data_of(members: Sequence[Opened], worker: Worker) -> PreparedData:
    """Return the data as the first member has them, with the arrays that all members take.

    The task is not tuned or calibrated yet. Raises ConfigError for arrays that the data do not have.
    """
    first = members[0]
    config = joined_config(members, first.of.folder)
    stated = first.input.stated()
    if stated is not None:
        # What `auto` stands for may be another size today.
        config = config.model_copy(update={"data": config.data.model_copy(update={"input": stated})})
    remembered = data_of_run(RunFolder(first.of.folder), first.record)
    return load_data(config, worker, fold=first.record.fold, remembered=remembered)


def unfit(member: Opened, first: Opened) -> str:
    """Return why a network cannot be a member together with the first one, or an empty text."""
    try:
        member_of(member.of.config.model)
    except ValueError as error:
        return str(error)
    if member.of.config.model.freeze is not None:
        return "model.freeze: it would repeat a frozen backbone"
    own, other = (item.of.config.data.input.model_dump(mode="json") for item in (member, first))
    keys = [key for key in other if own.get(key) != other[key]]
    if keys:
        return f"data.input.{keys[0]} is {own.get(keys[0])}, not {other[keys[0]]} as for trial {first.of.number}"
    if member.record.fold != first.record.fold:
        return f"it was validated on another fold than trial {first.of.number}"
    if member.task.names != first.task.names or member.task.name != first.task.name:
        return f"it answers something else than trial {first.of.number}"
    return ""


def reads_alike(member: Opened, data: PreparedData) -> bool:
    """Return whether a network takes the arrays of `data`, or some of them."""
    names = arrays_of(member.of.config.model)
    given = data.input if names is None else data.input.only(names)
    return given.same_items(member.input)


def joined_network(config: RunConfig, members: Sequence[Opened], data: PreparedData) -> Network:
    """Return the network of all members with their weights, in evaluation mode."""
    model = build_network(config.model, data.input, data.task.outputs, blank=True)
    assert isinstance(model.backbone, Ensemble)
    for part, member in zip(model.backbone.networks, members, strict=True):
        part.set_state_dict(member.network.state_dict())
    model.needs_preparation = model.needs_solution = False
    model.eval()
    return model


class _Tempered(nn.Layer):
    """A network whose raw outputs are divided by a temperature."""

    def __init__(self, network: Network, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return raw outputs [N, K]."""
        return self.network(*inputs) / self.temperature
