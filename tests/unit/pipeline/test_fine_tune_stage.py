"""Fine-tuning after a search of heads: kept where validation gains, left where it does not."""

import json
import time
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.compression.context import TrainedNetwork
from paddle_automl.compression.copying import copy_of
from paddle_automl.core.describe import options
from paddle_automl.core.errors import ConfigError, MachineError, TimeUpError, TrialError
from paddle_automl.core.loading import validate
from paddle_automl.core.seeds import generator
from paddle_automl.data.prepare import prepare
from paddle_automl.models.network import build_network
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.pipeline.config import FineTuning, RunConfig
from paddle_automl.pipeline.jobs import gain as gain_job
from paddle_automl.pipeline.jobs.gain import GainResult, paired_gains
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.stages import fine_tune
from paddle_automl.pipeline.stages.check import tell_of_no_fine_tuning
from paddle_automl.pipeline.stages.fine_tune import FRACTION, FREE_S, fine_tuned_config, pooled
from paddle_automl.pipeline.stages.run import run_search
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import restore
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.single_label import SingleLabel
from paddle_automl.testing.backbones import image_input
from paddle_automl.training.evaluation import predict
from paddle_automl.training.fine_tuning.base import RECIPES
from tests.unit.pipeline.runs import run_of

BACKBONE = {"name": "resnet", "width": 8, "blocks": [1, 1]}


class Messages(Observer):
    def __init__(self):
        self.texts = []

    def on_message(self, text):
        self.texts.append(text)


def config_of(tmp_path, recipe, **changes):
    weights = tmp_path / "weights.pdparams"
    if not weights.exists():
        config = validate(RunConfig, {"model": {"backbone": BACKBONE}})
        save_weights(weights, build_network(config.model, image_input(1, 8, 8), 10, seed=5).state_dict())
    given = {
        "output": str(tmp_path / "output"),
        "device": "cpu",
        "visualdl": False,
        "data": {"dataset": "digits"},
        "model": {"backbone": BACKBONE, "pretrained": str(weights), "freeze": "backbone"},
        "training": {"epochs": 2, "batch_size": 64, "optimizer": {"name": "adamw", "learning_rate": 0.02}},
        "search": {
            "trials": 1,
            "controller": "random_search",
            "space": {"training.optimizer.learning_rate": {"choice": [0.02]}},
        },
        "fine_tuning": {"recipes": [{"trained_stages": None, "frozen_norm": False, **recipe}]},
        **changes,
    }
    return validate(RunConfig, given)


@pytest.mark.slow
@pytest.mark.parametrize("data", ["train", "train+validation"])
def test_a_gain_is_exported(tmp_path, data):
    """A backbone of random weights gains much."""
    recipe = {"name": "fine_tune", "learning_rate": 0.02, "epochs": 3, "stage_decay": 1.0}
    config = config_of(tmp_path, recipe, refit={"data": data})
    messages = Messages()
    result = run_search(config, messages)
    folder = RunFolder(config.folder)
    where = "fine_tuned/all_data" if data == "train+validation" else "fine_tuned/fine_tune"
    assert result.source == where
    assert any("fine-tuning by fine_tune: accuracy on" in text and text.endswith("kept") for text in messages.texts)
    stage = json.loads(folder.manifest("fine_tune").read_text(encoding="utf-8"))["result"]
    gain = stage["gains"]["fine_tune"]
    assert gain["after"] - gain["before"] == pytest.approx(gain["gain"])
    assert gain["gain"] > gain["standard_error"] > 0
    assert result.bundle.verified
    assert result.bundle.metrics["validation"]["accuracy"] == pytest.approx(gain["after"], abs=1e-3)
    # A second start has nothing to do.
    assert run_search(config).source == where


@pytest.mark.slow
def test_what_gains_nothing_is_left(tmp_path):
    recipe = {"name": "low_rate", "learning_rate": 1e-9, "epochs": 1}
    config = config_of(tmp_path, recipe)
    messages = Messages()
    result = run_search(config, messages)
    assert not result.source.startswith("fine_tuned")
    assert any("fine-tuning by low_rate" in text and "not kept" in text for text in messages.texts)


@pytest.mark.parametrize("name", RECIPES.names())
def test_a_recipe_changes_how_not_what_is_trained(name, tmp_path):
    config = config_of(tmp_path, {"name": name})
    options = config.fine_tuning.recipes[0]
    start, folder = RunFolder(tmp_path / "start"), RunFolder(tmp_path / "new")
    found = fine_tuned_config(config, config, options, start, folder, fold=None)
    assert (found.model.freeze, found.model.pretrained) == (None, str(tmp_path / "start"))
    assert (found.model.backbone, found.model.head) == (config.model.backbone, config.model.head)
    assert found.training.optimizer.learning_rate == options.learning_rate
    assert found.training.epochs == options.epochs
    assert found.folder == folder.path


@pytest.mark.parametrize(("epochs", "frozen"), [(1, 0), (2, 1), (5, 3)])
def test_the_last_epoch_of_a_recipe_trains_the_backbone(tmp_path, epochs, frozen):
    config = config_of(tmp_path, {"name": "fine_tune", "epochs": epochs, "frozen_epochs": 3})
    options, folders = config.fine_tuning.recipes[0], (RunFolder(tmp_path / "start"), RunFolder(tmp_path / "new"))
    assert fine_tuned_config(config, config, options, *folders, fold=None).model.frozen_epochs == frozen


def test_a_recipe_has_the_steps_of_the_search_not_of_a_trial_without_time(tmp_path):
    config = config_of(tmp_path, {"name": "fine_tune"})
    short = config.training.model_copy(update={"steps_per_epoch": 3})
    old, options = config.model_copy(update={"training": short}), config.fine_tuning.recipes[0]
    folders = RunFolder(tmp_path / "start"), RunFolder(tmp_path / "new")
    assert fine_tuned_config(config, old, options, *folders, fold=None).training.steps_per_epoch is None


def test_recipes_need_weights_and_each_a_name_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match=r"fine_tuning\.recipes: need model\.pretrained"):
        validate(RunConfig, {"fine_tuning": {"recipes": ["fine_tune"]}})
    model = {"pretrained": "x.pdparams"}
    with pytest.raises(ConfigError, match=r"fine_tuning\.recipes: each recipe can be named once"):
        validate(RunConfig, {"model": model, "fine_tuning": {"recipes": ["low_rate", "low_rate"]}})
    with pytest.raises(ConfigError, match=r"unknown fine-tuning recipe 'fine_tun'; did you mean 'fine_tune'"):
        validate(RunConfig, {"model": model, "fine_tuning": {"recipes": ["fine_tun"]}})


def test_a_recipe_without_a_valid_training_stops_before_the_search(tmp_path, monkeypatch):
    def schedule(self, epochs):
        return {"name": "cosine", "warmup_epochs": epochs}

    monkeypatch.setattr(RECIPES["low_rate"], "schedule", schedule)
    with pytest.raises(
        ConfigError,
        match=r"fine_tuning\.recipes: low_rate: .*lr_schedule\.warmup_epochs must be less than epochs=8",
    ):
        config_of(tmp_path, {"name": "low_rate"})


def test_what_is_reserved_is_documented(tmp_path):
    text = " ".join(next(item.doc for item in options(FineTuning) if item.key == "recipes").split())
    assert FRACTION == 3 / 5
    assert f"three fifths of what is left of it after {FREE_S:.0f} s" in text
    assert f"a budget of {FREE_S:.0f} s or less" in text


@pytest.mark.parametrize(("budget", "told"), [(FREE_S, 1), (FREE_S + 1, 0), (None, 0)])
def test_a_budget_without_time_for_recipes_is_told_at_the_start(tmp_path, budget, told):
    heard = Messages()
    model, section = {"pretrained": "x.pdparams"}, {"recipes": ["fine_tune"]}
    tell_of_no_fine_tuning(run_of(tmp_path, budget=budget, observer=heard, model=model, fine_tuning=section))
    said = "budget.time: 220 s leave no time for fine_tuning.recipes, which need more than 220 s"
    assert heard.texts == [said] * told


def test_gains_of_pairs():
    """What both networks answer alike is no noise."""
    codes = np.arange(200) % 2
    task = restore(SingleLabel.Fitted(name="single_label", names=("a", "b")))
    right = np.eye(2)[codes]
    wrong = right.copy()
    wrong[:60] = wrong[:60, ::-1]
    predicted, better = (Predictions(outputs, codes, task) for outputs in (wrong, wrong.copy()))
    equal = paired_gains("accuracy", predicted, predicted, generator(0))
    assert np.all(equal == 0)
    better.outputs[:20] = right[:20]
    gains = paired_gains("accuracy", predicted, better, generator(0))
    assert gains.mean() == pytest.approx(0.1, abs=0.005)
    # 20 of 200 items differ: the root of 0.1 * 0.9 / 200.
    assert gains.std() == pytest.approx((0.09 / 200) ** 0.5, rel=0.15)


def test_each_network_is_judged_by_its_own_thresholds(tmp_path, monkeypatch):
    """Two networks with the same order of probabilities are equal, each with thresholds that were chosen for it."""
    dataset = {"name": "digits", "target": "digit_and_parity"}
    config = validate(RunConfig, {"data": {"dataset": dataset}, "task": "multi_label"})
    data = prepare(config.data, seed=0)
    paddle.seed(0)
    first = nn.Sequential(nn.Flatten(), nn.Linear(64, data.task.outputs))
    second = copy_of(first)
    second[1].bias.set_value(second[1].bias + 3.0)
    codes = data.validation.codes
    old, new = (
        TrainedNetwork(network, data.input, data.task.tuned(predict(network, data.validation), codes))
        for network in (first, second)
    )
    monkeypatch.setattr(gain_job, "enter", lambda worker: None)
    monkeypatch.setattr(gain_job, "trained_with_data", lambda *_: (new, data.with_task(new.task)))
    monkeypatch.setattr(gain_job, "trained_network", lambda *_: old)
    request = gain_job.GainRequest(config, tmp_path / "new", config, tmp_path / "old")
    found = gain_job.run(request, Worker("cpu", 1, tmp_path, lambda epoch, metrics: True))
    assert found.metric == "macro_f1"
    assert found.before == pytest.approx(found.after, abs=0.01)
    assert abs(found.gain) < 0.01


def test_folds_are_pooled_by_their_items():
    def gain(**changes):
        base = {"before": 0.8, "after": 0.9, "gain": 0.1, "standard_error": 0.04, "items": 100}
        return GainResult(metric="accuracy", **{**base, **changes})

    assert pooled([gain()]) == gain()
    whole = pooled([gain(), gain(after=0.8, gain=0.0, items=300)])
    assert (whole.items, whole.gain, whole.after) == (400, pytest.approx(0.025), pytest.approx(0.825))
    assert pooled([gain(), gain()]).standard_error == pytest.approx(0.04 / 2**0.5)


@pytest.mark.parametrize(
    ("error", "until", "again"),
    [
        (ConfigError("training.batch_size: no"), None, True),
        (TrialError("diverged"), None, False),
        (TrialError("diverged"), 1e12, True),
    ],
)
def test_a_recipe_that_fails_costs_the_search_nothing_else(tmp_path, monkeypatch, error, until, again):
    def broken(*_):
        raise error

    run = run_of_stage(tmp_path, monkeypatch)
    monkeypatch.setattr(fine_tune.FineTune, "_judged", broken)
    stage = fine_tune.FineTune()
    result = stage.work(run, until)
    assert result == {"kept": None, "gains": {}, "again": again}
    assert stage.is_intact(run, result) is not again
    assert run.observer.texts == [f"fine-tuning by low_rate was not possible: {error}"]
    error = MachineError("no space left")
    with pytest.raises(MachineError):
        stage.work(run, until)


def run_of_stage(tmp_path, monkeypatch, **sections):
    """Return a run whose winner is trial 0."""
    (tmp_path / "w.pdparams").touch()
    model = {"backbone": BACKBONE, "pretrained": str(tmp_path / "w.pdparams"), "freeze": "backbone"}
    recipes = {"recipes": [{"name": "low_rate"}]}
    run = run_of(tmp_path, observer=Messages(), model=model, fine_tuning=recipes, **sections)
    record = SimpleNamespace(number=0, params={})
    monkeypatch.setattr(fine_tune, "winner", lambda run: SimpleNamespace(first=record, runs=[record]))
    monkeypatch.setattr(fine_tune, "best_run", lambda run, chosen: record)
    return run


class Calls:
    """Answers the jobs of a recipe on folds: its own network gains what may be noise."""

    def __init__(self, broken=None):
        self.broken, self.until, self.requests = broken, [], []

    def __call__(self, executor, job, kind, shown, until=None):
        self.until.append(until)
        self.requests.append(job.request)
        if kind is GainResult:
            return GainResult(metric="accuracy", before=0.8, after=0.81, gain=0.01, standard_error=0.02, items=50)
        if self.broken and self.broken in job.request.folder.name:
            raise TimeUpError("the time for it was up")
        return None


@pytest.mark.parametrize(
    ("broken", "folders"),
    [(None, ["low_rate", "low_rate_head_1", "low_rate_fold_1"]), ("_head_1", ["low_rate", "low_rate_head_1"])],
)
@pytest.mark.parametrize("within_s", [30.0, None])
def test_no_job_of_a_recipe_outlasts_its_time(tmp_path, monkeypatch, broken, folders, within_s):
    run = run_of_stage(tmp_path, monkeypatch, data={"folds": 2})
    calls = Calls(broken)
    monkeypatch.setattr(fine_tune, "call", calls)
    monkeypatch.setattr(fine_tune, "read_record", lambda folder: SimpleNamespace(fold=0))
    monkeypatch.setattr(fine_tune, "tuned_task", lambda *_: None)
    start = run.folder.trial(0)
    start.write_config(run.config)
    began = time.monotonic()
    options = run.config.fine_tuning.recipes[0]
    found = fine_tune.FineTune()._judged(run, options, start, within_s)
    assert found.items == (50 if broken else 100)
    trainings = [request for request in calls.requests if hasattr(request, "within_s")]
    assert [request.folder.name for request in trainings] == folders
    if within_s is None:
        assert set(calls.until) == {None}
        return
    # The comparison has some seconds beside.
    assert all(until < began + within_s + fine_tune.JUDGED_S + 5 for until in calls.until)
    # A head with fewer epochs than the winner's would be easier to improve.
    head = trainings[1]
    assert (head.within_s < within_s, head.least_epochs) == (True, run.config.training.epochs)
    assert len(run.observer.texts) == bool(broken)


def test_a_fold_for_which_there_is_no_time_is_not_begun(tmp_path, monkeypatch):
    run = run_of_stage(tmp_path, monkeypatch, data={"folds": 2})
    calls = Calls()
    monkeypatch.setattr(fine_tune, "call", calls)
    monkeypatch.setattr(fine_tune, "read_record", lambda folder: SimpleNamespace(fold=0))
    monkeypatch.setattr(fine_tune, "tuned_task", lambda *_: None)
    run.folder.trial(0).write_config(run.config)
    options = run.config.fine_tuning.recipes[0]
    assert fine_tune.FineTune()._judged(run, options, run.folder.trial(0), 0.0).items == 50
