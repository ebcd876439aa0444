"""A training with cross-validation: the task of all folds, and one that does not come to its end."""

import numpy as np
import pytest

from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs import compress, train
from paddle_automl.pipeline.jobs.base import shared_of
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.search.executors.base import Worker

SECTIONS = {
    "task": "single_label",
    "visualdl": False,
    "data": {"folds": 2, "items": 200},
    "model": {"backbone": {"name": "resnet", "width": 4, "blocks": [1]}},
    "training": {"epochs": 2, "batch_size": 100, "loss": "cross_entropy"},
}


@pytest.mark.parametrize("all_folds", [False, True])
def test_a_training_that_is_killed_in_its_second_fold_leaves_the_result_of_the_first(
    tmp_path, monkeypatch, all_folds
):
    """Without a result its weights would not count, and the study has the values of the first fold."""
    load, reported = train._load, []

    def killed(request, worker, fold):
        if fold:
            raise KeyboardInterrupt
        return load(request, worker, fold)

    def report(epoch, metrics):
        reported.append(metrics)
        # The deadline stops the first fold as patience does.
        return not all_folds

    monkeypatch.setattr(train, "enter", lambda worker: None)
    monkeypatch.setattr(train, "_load", killed)
    config = validate(RunConfig, {**SECTIONS, "output": str(tmp_path)})
    request = train.TrainRequest(config, tmp_path, shared_of(config), all_folds=all_folds)
    with pytest.raises(KeyboardInterrupt):
        train.run(request, Worker("cpu", 1, None, report))
    found, folder = read_record(RunFolder(tmp_path)), RunFolder(tmp_path)
    assert (found.fold, found.folds, found.epochs_run) == (0, 1, 1 if all_folds else 2)
    assert found.all_epochs == found.epochs_run
    assert found.metrics["accuracy"] == max(metrics["accuracy"] for metrics in reported)
    assert found.standard_errors == {}
    assert folder.weights.is_file()


@pytest.mark.parametrize("task", [{"name": "regression", "interval": 0.8}, "single_label"])
def test_intervals_are_widened_by_the_validation_items_of_all_folds(tmp_path, monkeypatch, task):
    """Each with the outputs of the network that has not seen it; probabilities are those of the network kept."""
    trained, made = train._train, []

    def one(*args, **options):
        made.append(trained(*args, **options))
        return made[-1]

    monkeypatch.setattr(train, "enter", lambda worker: None)
    monkeypatch.setattr(train, "_train", one)
    sections = {**SECTIONS, "task": task, "training": {"epochs": 1, "batch_size": 100}, "output": str(tmp_path)}
    config = validate(RunConfig, sections)
    request = train.TrainRequest(config, tmp_path, shared_of(config))
    found = train.run(request, Worker("cpu", 1, None, lambda *_: True))
    own, given = made[0].result.task, made[0].data.task
    if task == "single_label":
        assert found.task == own.fitted
        assert all(item.result.outputs is None for item in made)
    else:
        outputs = np.concatenate([item.result.outputs for item in made])
        codes = np.concatenate([item.data.validation.codes for item in made])
        assert len(outputs) == len(codes) > 1000
        assert found.task == given.calibrated(outputs, codes).fitted
        assert found.task.offset != own.fitted.offset
    # A compressed network would be calibrated on one fold alone.
    assert compress._tunes(found) == (task == "single_label")
    assert compress._tunes(found.model_copy(update={"folds": None}))
    assert not compress._tunes(found.model_copy(update={"on": "train+validation"}))
