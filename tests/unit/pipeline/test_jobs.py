"""Jobs in processes of their own: typed requests and results, cross validation, export, evaluation, settling."""

import json
import re
import subprocess
import sys
import time
from statistics import fmean

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import ConfigError, DataError, InfeasibleError, TimeUpError, TrialError
from paddle_automl.core.loading import load_config, validate
from paddle_automl.pipeline.commands import export_run
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.evaluation import evaluation_of
from paddle_automl.pipeline.jobs.base import call, job_of, shared_of, start_executor
from paddle_automl.pipeline.jobs.check import CheckRequest, CheckResult
from paddle_automl.pipeline.jobs.export import BundleResult, ExportRequest
from paddle_automl.pipeline.jobs.score import ScoreRequest
from paddle_automl.pipeline.jobs.timing import TimeRequest, TimeResult
from paddle_automl.pipeline.jobs.train import TrainRequest, TrainResult
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import mean_and_error, read_record
from paddle_automl.pipeline.settling import settled
from paddle_automl.search.executors.base import Reported
from paddle_automl.tasks.base import TASKS

SMALL = {
    "device": "cpu",
    "model": {"backbone": {"name": "resnet", "width": 4, "blocks": [1]}},
    "training": {"epochs": 2, "batch_size": 128, "optimizer": {"name": "adamw", "learning_rate": 0.02}},
    "deployment": {"latency": {"batch_sizes": []}, "samples": 2, "parity": {"raw_files": 2}},
}


def config_of(**changes) -> RunConfig:
    return validate(RunConfig, {**SMALL, **changes})


def dataset(target: str, **data):
    return {"dataset": {"name": "digits", "target": target}, **data}


@pytest.fixture(scope="module")
def executor():
    with start_executor(config_of(), 1, caching=False) as local:
        yield local


def train(executor, folder, on_report=None, all_folds=False, **changes) -> TrainResult:
    config = settled(config_of(**changes), executor)
    RunFolder(folder).write_config(config)
    request = TrainRequest(config, folder, shared_of(config), all_folds=all_folds)
    return call(executor, job_of("train", request, folder / "log", config), TrainResult, on_report)


@pytest.fixture(scope="module")
def labels(executor, tmp_path_factory) -> RunFolder:
    """Return a run that answers with several labels."""
    folder = tmp_path_factory.mktemp("labels")
    train(executor, folder, data=dataset("digit_and_parity"))
    return RunFolder(folder)


def test_what_the_configuration_leaves_open_follows_from_the_targets(executor):
    found = settled(config_of(data=dataset("value")), executor)
    assert found.task.name == "regression"
    assert [(o.metric, o.goal) for o in found.search.objectives] == [("r2", "maximize")]
    assert found.training.loss.name == "mse"
    assert found.epoch_metric() == "r2"
    stated = settled(config_of(data=dataset("value"), task="regression", metric="mae"), executor)
    assert stated.epoch_metric() == "mae"
    assert settled(config_of(search={"objectives": [{"metric": "loss"}]}), executor).epoch_metric() == "loss"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": dataset("ink"), "task": "single_label"}, r"^task: .*single_label.*numbers"),
        (
            {"data": dataset("value"), "training": {"loss": "cross_entropy"}},
            "'cross_entropy' cannot train the task",
        ),
    ],
)
def test_a_task_that_the_data_contradict_is_named(executor, changes, message):
    with pytest.raises(ConfigError, match=message):
        settled(config_of(**changes), executor)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": {"objectives": [{"metric": "r2"}]}}, "search.objectives: the metric 'r2' cannot score"),
        ({"metric": "r2"}, "metric: the metric 'r2' cannot score the task single_label"),
        ({"metric": {"metric": "recall", "class": "ten"}}, "metric: recall.*ten"),
    ],
)
def test_a_metric_that_the_task_lacks_is_named(executor, changes, message):
    with pytest.raises(ConfigError, match=message):
        settled(config_of(**changes), executor)


def test_the_check_names_every_candidate_that_cannot_be_built(executor, tmp_path):
    config = settled(config_of(), executor)
    bad = validate(RunConfig, {**SMALL, "model": {"pretrained": "nowhere.pdparams"}})
    seen = []
    request = CheckRequest(config, (("good", config), ("loaded", bad)), shared_of(config))
    job = job_of("check", request, tmp_path / "log", config)
    with pytest.raises(ConfigError, match=r"loaded: .*nowhere"):
        call(executor, job, CheckResult, lambda number, metrics: seen.append(number))
    assert seen == [0, 1, 2]
    request = CheckRequest(config, (("good", config),), shared_of(config))
    facts = call(executor, job_of("check", request, tmp_path / "log", config), CheckResult)
    assert (facts.task, facts.train, facts.validation, facts.test) == ("single_label", 1079, 359, 359)
    assert facts.inputs[0].shape == (1, 8, 8)


def test_a_job_ends_at_its_deadline(executor, tmp_path):
    config = settled(config_of(), executor)
    request = TimeRequest(config, (("one", config),), shared_of(config))
    job = job_of("timing", request, tmp_path / "log", config)
    with pytest.raises(TimeUpError):
        call(executor, job, TimeResult, until=time.monotonic())
    times = call(executor, job, TimeResult)
    assert times.smallest.label == times.largest.label == "one"
    assert times.smallest.trial_s > times.smallest.epoch_s > 0


def test_a_trial_with_folds_trains_them_all_and_reports_the_first(executor, tmp_path):
    reports = []
    result = train(executor, tmp_path, lambda epoch, metrics: reports.append(metrics), data={"folds": 2})
    assert len(reports) == 2
    first = reports[result.best_epoch - 1]
    assert (result.fold, result.folds) == (0, 2)
    assert result.metrics["accuracy"] != first["accuracy"]
    other = 2 * result.metrics["accuracy"] - first["accuracy"]
    assert result.standard_errors["accuracy"] == pytest.approx(abs(first["accuracy"] - other) / 2)
    assert set(result.standard_errors) == {"loss", "accuracy", "macro_f1"}
    assert result == read_record(RunFolder(tmp_path))
    # The kept weights have not seen the items of the first fold.
    found = evaluation_of(tmp_path, mistakes=0).result
    assert found.metrics["accuracy"] == pytest.approx(first["accuracy"], abs=1e-6)
    export_run(tmp_path)
    by_bundle = evaluation_of(tmp_path, "validation", mistakes=0).result
    assert by_bundle.metrics["accuracy"] == pytest.approx(first["accuracy"], abs=1e-6)


@pytest.mark.parametrize(("all_folds", "judged"), [(False, 1), (True, 2)])
def test_a_trial_that_is_stopped_has_one_fold_unless_it_has_converged(executor, tmp_path, all_folds, judged):
    result = train(executor, tmp_path, lambda *report: False, all_folds=all_folds, data={"folds": 2})
    assert (result.stopped, result.epochs_run, result.folds) == ("report", 1, judged)


def test_mean_and_standard_error():
    means, errors = mean_and_error([{"accuracy": value} for value in (0.8, 0.9, 1.0)])
    assert means == {"accuracy": pytest.approx(0.9)}
    assert errors == {"accuracy": pytest.approx(0.1 / 3**0.5)}


def test_thresholds_reach_the_bundle_and_the_evaluation(labels):
    outcome = export_run(labels.path)
    assert outcome.verified
    thresholds = read_record(labels).task.thresholds
    assert len(set(thresholds)) > 1
    from paddle_automl.deployment.bundle import Bundle

    assert Bundle.open(outcome.bundle).task.fitted.thresholds == thresholds
    by_bundle = evaluation_of(labels.path, "validation", mistakes=3)
    assert by_bundle.result.metrics == pytest.approx(outcome.metrics["validation"], abs=1e-4)
    assert by_bundle.result.tables[0].columns == ("label", "precision", "recall", "F1", "threshold", "support")
    assert len(by_bundle.as_dict()["worst_mistakes"]) == 3


def test_a_verified_bundle_is_not_replaced_by_one_that_is_not(executor, labels, tmp_path):
    config = settled(config_of(data=dataset("digit_and_parity")), executor)
    target = tmp_path / "model"

    def export(strict, note):
        parity = config.deployment.parity.model_copy(update={"max_difference": 1e-12 if strict else 1e-4})
        deployment = config.deployment.model_copy(update={"parity": parity})
        request = ExportRequest(
            config.model_copy(update={"deployment": deployment}),
            labels.path,
            target,
            shared_of(config),
            test=False,
            note=note,
            keep_verified=True,
        )
        return call(executor, job_of("export", request, tmp_path / "log", config), BundleResult)

    assert not export(True, "first").verified
    second = export(False, "second")
    assert (second.verified, second.kept) == (True, "")
    kept = export(True, "third")
    assert kept.verified
    assert kept.kept.startswith("the parity check of the new one failed: NOT verified: ")
    assert kept.metrics["note"] == "second"
    assert "test" not in kept.metrics
    request = ScoreRequest(config, target, shared_of(config))
    scored = call(executor, job_of("score", request, tmp_path / "log", config), BundleResult)
    assert "note" not in scored.metrics
    assert set(scored.metrics["test"]) == set(scored.metrics["validation"])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_all_items_of_a_folder_are_scored_whatever_their_number(executor, tmp_path):
    """One image per class, in color and of another size: nothing is split, all are read as the network's were."""
    folder, few = tmp_path / "run", tmp_path / "few"
    train(executor, folder)
    for digit in range(10):
        (few / str(digit)).mkdir(parents=True)
        pixels = np.full((20, 20, 3), 25 * digit, dtype=np.uint8)
        Image.fromarray(pixels).save(few / str(digit) / "one.png")
    other = {"data.dataset": {"name": "image_folder", "root": str(few)}}
    outcome = evaluation_of(folder, mistakes=20, overrides=other)
    assert (outcome.split, outcome.as_dict()["images"]) == ("all", 10)
    assert sum(map(sum, outcome.as_dict()["confusion_matrix"])) == 10
    assert all(str(few) in item["file"] for item in outcome.result.worst_mistakes)
    (few / "ten").mkdir()
    Image.new("L", (8, 8)).save(few / "ten" / "one.png")
    with pytest.raises(DataError, match="ten"):
        evaluation_of(folder, "all", overrides=other)
    with pytest.raises(DataError, match=r"data\.input"):
        evaluation_of(folder, "all", overrides={"data.input.size": 16})


@pytest.mark.slow
def test_points_of_a_regression_are_there_to_be_drawn(executor, tmp_path):
    train(executor, tmp_path, data=dataset("ink"))
    result = evaluation_of(tmp_path, "test", mistakes=0).result
    points = np.asarray(result.points["residuals"])
    assert points.shape == (result.items, 2)
    assert result.metrics["mae"] == pytest.approx(fmean(abs(points[:, 0] - points[:, 1])), rel=1e-3)


def test_a_refit_has_the_scale_that_it_has_learned_and_not_that_of_the_first_fold(executor, tmp_path):
    config = settled(config_of(data=dataset("ink"), training={"epochs": 1}), executor)
    tuned = TASKS["regression"].Fitted(name="regression", names=("ink",), mean=(1.0,), scale=(2.0,))
    request = TrainRequest(config, tmp_path / "refit", shared_of(config), "train+validation", tuned)
    refit = call(executor, job_of("train", request, tmp_path / "log", config), TrainResult)
    # Of 64 pixels from 0 to 16.
    assert 200 < refit.task.mean[0] < 450
    assert 20 < refit.task.scale[0] < 120


def test_a_trial_imports_nothing_that_the_fork_server_has_not():
    """What is imported in each trial anew is time that each trial waits."""
    code = (
        "import sys, tempfile, json\n"
        "from pathlib import Path\n"
        "import paddle_automl.pipeline.jobs.preload\n"
        "from paddle_automl.pipeline.config import RunConfig\n"
        "from paddle_automl.pipeline.jobs.base import Shared\n"
        "from paddle_automl.pipeline.jobs.train import TrainRequest, run\n"
        "from paddle_automl.search.executors.base import Worker\n"
        "config = RunConfig.model_validate(json.loads(sys.argv[1]))\n"
        "before = set(sys.modules)\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    worker = Worker('cpu', 1, None, lambda epoch, metrics: True)\n"
        "    run(TrainRequest(config, Path(folder), Shared(('accuracy', 'latency_ms'))), worker)\n"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('paddle_automl')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(SMALL)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_a_training_with_little_time_has_fewer_epochs_and_says_so(executor, tmp_path, monkeypatch):
    """Its configuration does, and its reports, by which a search compares it with others."""
    poll, events = executor.poll, []

    def watched(timeout_s):
        found = poll(timeout_s)
        events.extend(found)
        return found

    monkeypatch.setattr(executor, "poll", watched)
    many = {**SMALL["training"], "epochs": 100_000}
    config = settled(config_of(data=dataset("digit"), training=many), executor)
    RunFolder(tmp_path).write_config(config)
    request = TrainRequest(config, tmp_path, shared_of(config), within_s=4.0)
    started = time.monotonic()
    result = call(executor, job_of("train", request, tmp_path / "log", config), TrainResult)
    assert time.monotonic() - started < 60
    stated = load_config(RunConfig, RunFolder(tmp_path).config).training
    assert result.epochs_run == stated.epochs < 100_000
    assert {event.epochs for event in events if isinstance(event, Reported)} == {stated.epochs}
    # On a slow machine so few that their number of steps is told too.
    assert re.match(rf"{stated.epochs} of 100000 epochs.*, because of the time left$", result.notes[0])
    # Alone it does the same again.
    again = tmp_path / "again"
    recipe = {**many, "epochs": stated.epochs, "steps_per_epoch": stated.steps_per_epoch}
    other = train(executor, again, data=dataset("digit"), training=recipe)
    assert other.metrics["accuracy"] == result.metrics["accuracy"]


def test_a_training_that_would_be_too_short_is_not_begun(executor, tmp_path):
    config = settled(config_of(training={**SMALL["training"], "epochs": 100_000}), executor)
    request = TrainRequest(config, tmp_path, shared_of(config), within_s=20.0, least_epochs=50_000)
    with pytest.raises(TrialError, match=r"too little time is left: .+ fit into \d+ s"):
        call(executor, job_of("train", request, tmp_path / "log", config), TrainResult)
    assert not RunFolder(tmp_path).weights.exists()


@pytest.mark.slow
def test_a_network_beyond_a_constraint_is_not_trained(executor, tmp_path):
    config = settled(config_of(data=dataset("digit"), search={"constraints": ["parameters <= 10"]}), executor)
    RunFolder(tmp_path).write_config(config)
    request = TrainRequest(config, tmp_path, shared_of(config), within_s=600.0, constrained=True)
    reported = []
    with pytest.raises(InfeasibleError, match=r"beyond search\.constraints: parameters is .*, required <= 10"):
        call(
            executor,
            job_of("train", request, tmp_path / "log", config),
            TrainResult,
            lambda *found: reported.append(found),
        )
    assert reported == []
    assert not RunFolder(tmp_path).weights.exists()
    # Outside of a search the same configuration is trained.
    train(executor, tmp_path / "alone", data=dataset("digit"), search={"constraints": ["parameters <= 10"]})
