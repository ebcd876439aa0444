"""The choice of a rejection score by a training without some of the classes."""

import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest

from paddle_automl.core.loading import validate
from paddle_automl.models.network import build_network
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs import withheld
from paddle_automl.pipeline.jobs.base import load_data
from paddle_automl.pipeline.jobs.withheld import choice_of, choose_score
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.stages.export import rejection_s
from paddle_automl.pipeline.training import train_run
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.fitting import Pace
from paddle_automl.training.freezing import Start


def config_of(**changes) -> RunConfig:
    return validate(
        RunConfig,
        {
            "data": {"dataset": "digits", "split": {"validation": 0.3, "test": 0.3}},
            "model": {"backbone": {"name": "vgg", "width": 4, "convs": [1]}},
            "training": {"epochs": 2, "batch_size": 64},
            **changes,
        },
    )


@pytest.fixture(scope="module")
def worker(tmp_path_factory) -> Worker:
    return Worker("cpu", 1, tmp_path_factory.mktemp("scratch"), lambda epoch, metrics: True)


@pytest.fixture(scope="module")
def data(worker):
    return load_data(config_of(), worker)


def test_a_score_is_chosen_and_the_same_one_again(data, worker, tmp_path):
    found = choose_score(config_of(), data, worker, 60.0)
    assert set(found.tried) == {"max_probability", "gen", "energy"}
    assert len(found.withheld) == 3
    assert found.score.name == max(found.tried, key=lambda name: found.tried[name].auroc)
    assert all(0 < item.auroc < 1 and 0 <= item.refused <= 1 for item in found.tried.values())
    assert choose_score(config_of(), data, worker, 60.0) == found
    folder = RunFolder(tmp_path)
    assert choice_of(folder) is None
    folder.rejection.write_text(json.dumps(found.model_dump(mode="json")), encoding="utf-8")
    assert choice_of(folder) == found
    folder.rejection.write_text("{", encoding="utf-8")
    assert choice_of(folder) is None


def test_withheld_classes_are_never_trained_on(data, worker, monkeypatch):
    seen = {}

    def train(model, given, *args, **kwargs):
        seen["train"], seen["validation"] = set(given.train.codes), set(given.validation.codes)
        raise ValueError("enough")

    monkeypatch.setattr(withheld, "train", train)
    assert choose_score(config_of(), data, worker, 60.0) is None
    assert len(seen["train"]) == 7
    assert seen["validation"] == seen["train"]


def test_it_is_trained_as_the_network_is(data, worker, monkeypatch, tmp_path):
    """Among other things with the same layers of a pretrained backbone."""
    starts = []

    def train(model, given, recipe, goal, start, **options):
        starts.append(start)
        raise ValueError("enough")

    monkeypatch.setattr(withheld, "train", train)
    model = config_of().model
    weights = tmp_path / "weights.pdparams"
    save_weights(weights, build_network(model, data.input, 10, seed=0).state_dict())
    options = {
        "frozen_epochs": 1,
        "pretrained_rate": 0.5,
        "stage_decay": 0.7,
        "trained_stages": 1,
        "thaw_epochs": 2,
    }
    given = config_of(model={**model.model_dump(), "pretrained": str(weights), "frozen_norm": True, **options})
    choose_score(given, data, worker, 60.0)
    assert starts == [Start(1, 0.5, True, 0.7, 1, 2)]


@pytest.fixture
def trainings(monkeypatch):
    """The recipe and the start of each training, none of which is done."""
    found = []

    def train(model, given, recipe, goal, start, **options):
        found.append((recipe, start))
        raise ValueError("enough")

    monkeypatch.setattr(withheld, "train", train)
    return found


def test_its_frozen_epochs_are_not_what_is_timed_and_shrink_with_it(data, worker, trainings, monkeypatch, tmp_path):
    timed = []

    def measured(*args, start, **options):
        timed.append(start)
        return Pace(step_s=0.1, evaluation_s=0.0)

    monkeypatch.setattr(withheld, "measure_pace", measured)
    model = config_of().model
    weights = tmp_path / "weights.pdparams"
    save_weights(weights, build_network(model, data.input, 10, seed=0).state_dict())
    options = {**model.model_dump(), "pretrained": str(weights), "frozen_epochs": 8, "thaw_epochs": 4}
    given = config_of(model=options, training={"epochs": 40, "batch_size": 64})
    choose_score(given, data, worker, 1000.0, 20)
    # An epoch takes 0.1 s for each step of the known classes.
    steps = trainings[0][0].steps(int((data.train.codes < 7).sum()))
    choose_score(given, data, worker, 10.5 * 0.1 * steps * 1.1, 20)
    assert timed == [Start(), Start()]
    assert [(recipe.epochs, start.frozen_epochs, start.thaw_epochs) for recipe, start in trainings] == [
        (20, 4, 2),
        (10, 2, 1),
    ]


def test_a_short_training_has_the_rate_of_a_short_one(data, worker, trainings, tmp_path):
    """That of a refit was lowered for its length; that of a trial was not."""
    search = RunFolder(tmp_path)
    search.study.touch()
    recipe = {"epochs": 8, "batch_size": 64, "optimizer": {"name": "momentum", "learning_rate": 0.1}}
    for folder in (search.refit, search.trial(3)):
        given = config_of(training=recipe, refit={"rate_power": 0.5}, output=str(folder.path))
        choose_score(given, data, worker, 60.0, 2)
        choose_score(given, data, worker, 60.0)
    rates = [found.optimizer.learning_rate for found, _ in trainings]
    assert rates == pytest.approx([0.2, 0.1, 0.1, 0.1])


def test_a_network_that_knows_the_classes_from_its_start_is_not_asked(data, worker, trainings, tmp_path, caplog):
    first = config_of(visualdl=False, device="cpu", output=str(tmp_path / "first"), training={"epochs": 1})
    train_run(first)
    model = {**first.model.model_dump(), "pretrained": str(tmp_path / "first")}
    with caplog.at_level(logging.INFO, logger="paddle_automl"):
        assert choose_score(config_of(model=model), data, worker, 60.0) is None
    assert not trainings
    assert "the network that this one starts from knows the classes" in caplog.text
    # Those of other data are strangers.
    result = (tmp_path / "first" / "result.json").read_text(encoding="utf-8")
    record = json.loads(result)
    record["task"]["names"] = [f"class {number}" for number in range(10)]
    (tmp_path / "first" / "result.json").write_text(json.dumps(record), encoding="utf-8")
    choose_score(config_of(model=model), data, worker, 60.0)
    assert len(trainings) == 1


def test_a_long_refit_does_not_prevent_the_choice(data, worker, monkeypatch):
    epochs = []

    def train(model, given, recipe, *args, **kwargs):
        epochs.append(recipe.epochs)
        raise ValueError("enough")

    monkeypatch.setattr(withheld, "train", train)
    long = config_of(training={"epochs": 5000, "batch_size": 8})
    choose_score(long, data, worker, 5.0)
    assert epochs == []
    choose_score(long, data, worker, 5.0, 2)
    choose_score(config_of(), data, worker, 60.0, 9)
    assert epochs == [2, 2]


def test_no_choice(data, worker):
    off = {"rejection": {"active": False}}
    assert choose_score(config_of(deployment=off), data, worker, 60.0) is None
    assert choose_score(config_of(), data, worker, 0.0) is None
    # Not one epoch fits.
    assert choose_score(config_of(training={"epochs": 500, "batch_size": 8}), data, worker, 0.5) is None
    rows = np.flatnonzero(np.isin(data.train.codes, (0, 1)))
    frozen = config_of(model={"pretrained": "imagenet", "freeze": "backbone", "backbone": "efficientnet_lite"})
    assert choose_score(frozen, data, worker, 60.0) is None
    assert len(rows)


def test_the_time_is_a_part_of_the_budget():
    class Run:
        def __init__(self, epoch_s=None, classes=10, **changes):
            self.config = config_of(task="single_label", **changes)
            self.results = {"check": SimpleNamespace(names=[str(number) for number in range(classes)])}
            self.estimates = type("Estimates", (), {"epoch_s": epoch_s})()

    assert rejection_s(Run()) == rejection_s(Run(classes=3)) == 20
    # Without one of two classes there is nothing to learn.
    assert rejection_s(Run(classes=2)) == 0
    assert rejection_s(Run(budget={"time": "60s"})) == 6
    assert rejection_s(Run(epoch_s=1.0)) == pytest.approx(2 * 1.1 + 1)
    # A quarter of two such epochs without a third of the items takes longer than 20 s.
    assert rejection_s(Run(epoch_s=41.0)) == 0
    assert rejection_s(Run(deployment={"rejection": {"training_s": 0}})) == 0
    assert rejection_s(Run(deployment={"rejection": {"active": False}})) == 0
    assert rejection_s(Run(compression={"in_trials": True, "precision": "float32"})) == 0
