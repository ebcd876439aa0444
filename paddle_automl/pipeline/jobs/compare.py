"""What a training with more data has changed: accuracy on old test items before and after, and on new ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_automl.compression.context import TrainedNetwork
from paddle_automl.core.files import write_json
from paddle_automl.core.schema import Section, Sequence
from paddle_automl.data.items import ItemList
from paddle_automl.data.splits import PreparedData
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import enter
from paddle_automl.pipeline.jobs.learning import judged_on
from paddle_automl.pipeline.jobs.networks import trained_network, trained_with_data
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.pipeline.runs.remembered import data_to_grow
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.evaluation import predict


@dataclass(frozen=True)
class CompareRequest:
    """Compare the network of the folder `old` with that of `new`, which was trained on its data and on more."""

    config: RunConfig
    new: Path
    old_config: RunConfig
    old: Path


class Share(Section):
    """Accuracy on some items of the test split."""

    items: int
    """How many they are."""
    accuracy: float | None = None
    """Fraction that is classified correctly; None without items."""


class CompareResult(Section):
    """Accuracies before and after a training with more data, on the test split."""

    new_classes: Sequence[str]
    """Classes that the earlier network does not know."""
    before: Share
    """The earlier network on its own test items."""
    after: Share
    """The new network on the same items."""
    remembered: Share
    """The same with answers of old classes alone: what it knows of them, though it takes some for a new class."""
    new_items: Share
    """The new network on new items of old classes."""
    new_class_items: Share
    """The new network on the items of the new classes."""
    total: Share
    """The new network on all test items."""


def run(request: CompareRequest, worker: Worker) -> CompareResult:
    """Evaluate both networks, and write the result into the folder of the new one."""
    enter(worker)
    folder, earlier = RunFolder(request.new), RunFolder(request.old)
    new, data = trained_with_data(request.config, folder, worker)
    old = trained_network(request.old_config, earlier)
    test, known = data.test, len(old.task.names)
    assert test.everything.hashes is not None
    tested = _tested(data_to_grow(earlier, read_record(earlier)).items)
    is_old = np.isin(test.everything.hashes[test.indices], tested)
    outputs = _outputs(new, data, request.config, worker)
    correct = outputs.argmax(axis=1) == test.codes
    own = is_old & (test.codes < known)
    result = CompareResult(
        new_classes=new.task.names[known:],
        before=_share(_outputs(old, data, request.old_config, worker)[own].argmax(axis=1) == test.codes[own]),
        after=_share(correct[own]),
        remembered=_share(outputs[own, :known].argmax(axis=1) == test.codes[own]),
        new_items=_share(correct[~is_old & (test.codes < known)]),
        new_class_items=_share(correct[test.codes >= known]),
        total=_share(correct),
    )
    write_json(folder.comparison, result.model_dump(mode="json"))
    return result


def _tested(items: ItemList) -> np.ndarray:
    return items.content[items.indices()["test"]]


def _share(correct: np.ndarray) -> Share:
    return Share(items=len(correct), accuracy=float(correct.mean()) if len(correct) else None)


def _outputs(found: TrainedNetwork, data: PreparedData, config: RunConfig, worker: Worker) -> np.ndarray:
    """Return the outputs of a network [N, K] on the test split; a class has the same number in both networks.

    A head on a frozen backbone is judged on its stored features.
    """
    if not len(data.test):
        return np.zeros((0, len(found.task.names)), dtype=np.float32)
    network, judged = judged_on(found.network, data, config, worker, found.task.outputs)
    split = data.test.with_input(found.input) if network is found.network else judged.test
    return predict(network, split)
