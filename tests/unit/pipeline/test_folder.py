"""Folders of results: names, what they are, what is written into them, what changes are refused."""

import json
from pathlib import Path

import pytest

from paddle_automl.core import moved
from paddle_automl.core.errors import BundleError, StudyError
from paddle_automl.core.loading import load_config, validate
from paddle_automl.deployment.integrity import INFO
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.facts import DataFacts, remember_data
from paddle_automl.pipeline.runs.folder import BUNDLE_FILE, RunFolder
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.pipeline.runs.sources import best_trials, open_run
from paddle_automl.training import loop

FACTS = {
    "task": "single_label",
    "names": ["a", "b"],
    "train": 10,
    "validation": 5,
    "test": 5,
    "inputs": [{"name": "image", "shape": [1, 8, 8], "dtype": "float32"}],
    "fingerprint": "x",
}
RECORD = {
    "metrics": {"accuracy": 0.5, "loss": 1.0},
    "best_epoch": 2,
    "epochs_run": 3,
    "seconds": 1.0,
    "task": {"name": "single_label", "names": ["a", "b"]},
    "input": {"name": "image", "size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.2]},
}


def facts_of(**changes) -> DataFacts:
    return validate(DataFacts, {**FACTS, **changes})


def written(folder: Path, **changes) -> RunFolder:
    """Write what a training leaves behind."""
    run = RunFolder(folder)
    run.write_config(validate(RunConfig, {}))
    run.weights.touch()
    run.result.write_text(json.dumps({**RECORD, **changes}), encoding="utf-8")
    return run


def test_names_are_those_that_other_packages_write():
    run = RunFolder(Path("x"))
    assert run.weights.name == loop.BEST_FILE
    assert run.metrics.name == loop.METRICS_FILE
    assert BUNDLE_FILE == INFO


def test_a_trial_knows_its_search_and_its_name(tmp_path):
    search = RunFolder(tmp_path)
    trial = search.trial(7)
    assert search.relative(trial) == "trials/0007"
    assert search.inside("trials/0007") == trial
    assert trial.search is None
    search.study.touch()
    assert trial.search == search
    assert search.is_search


def test_the_refit_of_earlier_versions_is_found(tmp_path):
    search = RunFolder(tmp_path)
    assert search.refit.path.name == "refit"
    (tmp_path / "final").mkdir()
    assert search.refit.path.name == "final"
    (tmp_path / "refit").mkdir()
    assert search.refit.path.name == "refit"


def test_a_run_is_written_without_the_sections_of_a_search(tmp_path):
    run = RunFolder(tmp_path)
    (tmp_path / "old").touch()
    run.write_config(validate(RunConfig, {"search": {"trials": 3}}), clear=True)
    text = run.config.read_text(encoding="utf-8")
    assert "search:" not in text
    assert not (tmp_path / "old").exists()
    run.write_best(load_config(RunConfig, run.config))
    assert load_config(RunConfig, run.best).output == str(tmp_path / "best_again")


def test_changed_data_is_refused_once_there_are_trials(tmp_path):
    folder = RunFolder(tmp_path)
    remember_data(folder, facts_of(), has_trials=False)
    remember_data(folder, facts_of(), has_trials=True)
    with pytest.raises(StudyError, match="train: 10 -> 11"):
        remember_data(folder, facts_of(train=11, fingerprint="y"), has_trials=True)
    with pytest.raises(StudyError, match="other items or targets"):
        remember_data(folder, facts_of(fingerprint="y"), has_trials=True)
    remember_data(folder, facts_of(train=11, fingerprint="y"), has_trials=False)


def test_the_record_is_typed_and_that_of_earlier_versions_is_read(tmp_path):
    record = read_record(written(tmp_path / "new"))
    assert record.fitted_task().names == ("a", "b")
    assert record.fitted_input(RunFolder(tmp_path)).specs[0].shape == (1, 8, 8)
    old = {key: value for key, value in RECORD.items() if key not in ("task", "input")}
    old["classes"] = ["a", "b"]
    old["preprocess"] = {"image_size": [8, 8], "fit": "crop", "channels": 1, "mean": [0.5], "std": [0.2]}
    run = written(tmp_path / "old")
    run.result.write_text(json.dumps(old), encoding="utf-8")
    assert read_record(run) == record
    run.result.write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match="does not contain the network's input and task"):
        read_record(run)


def test_a_metric_may_be_undefined_in_a_record(tmp_path):
    run = written(tmp_path, metrics={"accuracy": 0.5, "roc_auc": float("nan")})
    assert read_record(run).metrics["roc_auc"] != read_record(run).metrics["roc_auc"]


def test_a_run_of_an_earlier_version_is_opened_without_a_warning(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(moved, "_warned", set())
    run = written(tmp_path)
    text = run.config.read_text(encoding="utf-8").replace("refit:", "final:")
    run.config.write_text(text, encoding="utf-8")
    assert open_run(tmp_path).config.refit.epochs is None
    assert caplog.records == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: run.config.unlink(), "holds neither bundle.yaml nor config.yaml"),
        (lambda run: run.weights.unlink(), r"its weights \(best.pdparams\) are gone.* train -c "),
    ],
)
def test_what_a_run_lacks_is_named(tmp_path, spoil, message):
    spoil(written(tmp_path))
    with pytest.raises(BundleError, match=message):
        open_run(tmp_path)


def test_a_search_stands_for_the_run_that_it_exported(tmp_path):
    search = RunFolder(tmp_path)
    search.study.touch()
    written(search.trial(3).path)
    search.manifest("export").parent.mkdir()
    search.manifest("export").write_text(json.dumps({"result": {"source": "trials/0003"}}), encoding="utf-8")
    assert open_run(tmp_path).folder == search.trial(3)


def test_a_training_that_had_little_time_is_repeated_with_all_steps(tmp_path):
    search = RunFolder(tmp_path)
    search.study.touch()
    trial = written(search.trial(0).path)
    trial.write_config(validate(RunConfig, {"training": {"epochs": 2, "steps_per_epoch": 40}}))

    def steps(**sections):
        search.write_search(validate(RunConfig, sections))
        return open_run(trial.path).asked_config.training.steps_per_epoch

    assert steps() is None
    assert steps(training={"steps_per_epoch": 90}) == 90
    assert steps(search={"space": {"training.steps_per_epoch": {"choice": [40, 90]}}}) == 40
    assert open_run(trial.path).config.training.steps_per_epoch == 40
    search.study.unlink()
    assert open_run(trial.path).asked_config.training.steps_per_epoch == 40


def test_an_unfinished_search_has_trials_to_name(tmp_path):
    search = RunFolder(tmp_path)
    search.study.touch()
    search.write_search(validate(RunConfig, {}))
    with pytest.raises(BundleError, match=r"has not exported a network yet; run the same command again to end it$"):
        open_run(tmp_path)
    for number, accuracy in enumerate([0.5, 0.7]):
        written(search.trial(number).path, metrics={"accuracy": accuracy})
    with pytest.raises(BundleError, match=r"end it, or name a trial, such as .*trials.0001$"):
        open_run(tmp_path)


def test_the_best_trials_are_those_of_the_metric(tmp_path):
    search = RunFolder(tmp_path)
    for number, (accuracy, loss) in enumerate([(0.5, 0.1), (0.7, 0.3), (0.6, 0.2)]):
        written(search.trial(number).path, metrics={"accuracy": accuracy, "loss": loss})
    search.trial(2).weights.unlink()

    def numbers(metric):
        return [int(trial.path.name) for trial in best_trials(tmp_path, metric)]

    assert numbers("accuracy") == [1, 0]
    assert numbers("loss") == [0, 1]
    assert numbers("accuracy - loss") == [0, 1]
