"""The members of an ensemble as one trained network in a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json
from paddle_automl.core.schema import PluginConfig, Section
from paddle_automl.data.splits import PreparedData
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import enter
from paddle_automl.pipeline.jobs.gain import GainResult, gain_of
from paddle_automl.pipeline.joining import (
    Opened,
    Trained,
    data_of,
    joined_config,
    joined_network,
    opened,
    reads_alike,
)
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.evaluation import predict


@dataclass(frozen=True)
class JoinRequest:
    """Join `members`, the winner first, into `folder`.

    `task`, in which the options `tuned` were chosen for the members' mean answer, and `metrics` are those of their
    choice.
    """

    members: tuple[Trained, ...]
    folder: Path
    task: PluginConfig
    tuned: tuple[str, ...]
    metrics: dict[str, float]


class Joined(Section):
    """The network of all members beside its first one alone."""

    gain: GainResult | None = None
    """What it gains on validation; None if its members have learned from the validation items."""


def run(request: JoinRequest, worker: Worker) -> Joined:
    """Write the configuration, the weights and the record of the network of all members."""
    enter(worker)
    members = [opened(member) for member in request.members]
    data = data_of(members, worker)
    for member in members:
        if not reads_alike(member, data):
            raise ConfigError(f"ensemble: {member.of.folder}: has learned other statistics of the items")
    folder = RunFolder(request.folder)
    config = joined_config(members, folder.path)
    model = joined_network(config, members, data)
    first = members[0].record
    outcome = first.model_copy(
        update={
            "metrics": request.metrics,
            "standard_errors": {},
            "seconds": round(sum(member.record.seconds for member in members), 3),
            "solved_s": round(sum(member.record.solved_s for member in members), 3),
            # Members that were trained again may have learned numbers of another scale.
            "task": data.task.fitted.model_copy(update={key: getattr(request.task, key) for key in request.tuned}),
            "input": data.input.fitted,
            "frozen": "",
            "folds": None,
        }
    )
    folder.write_config(config, clear=True)
    save_weights(folder.weights, model.state_dict())
    data.input.save(folder.input(outcome.input))
    write_json(folder.result, outcome.model_dump(mode="json"))
    return _compared(config, members[0], model, data)


def _compared(config: RunConfig, first: Opened, model: Network, data: PreparedData) -> Joined:
    """Return what the network of all members gains over the first one."""
    if first.record.on != "train" or not len(data.validation):
        return Joined()
    names = [spec.name for spec in first.input.specs]
    outputs = [predict(first.alone, data.validation.with_arrays(names)), predict(model, data.validation)]
    codes = data.validation.codes
    return Joined(gain=gain_of(config, outputs, codes, data.task.tuned(outputs[0], codes)))
