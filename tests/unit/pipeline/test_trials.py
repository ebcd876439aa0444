"""Trials as configurations: merging, identity, covering candidates, clock, stages."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from paddle_automl.core.errors import ConfigError, OutputError, StudyError
from paddle_automl.core.loading import load_config, validate
from paddle_automl.pipeline.candidates import corners, covering
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.machine import devices_of, workers_of
from paddle_automl.pipeline.runs.folder import open_folder, remember_data
from paddle_automl.pipeline.runs.trials import identity, standalone, trial_config, write_config
from paddle_automl.pipeline.space import auto_spec, baseline_of, make_space
from paddle_automl.pipeline.stages.clock import EXPORT_S, GRACE_S, Clock
from paddle_automl.pipeline.stages.manifest import run_stage

SPACE = {
    "model.backbone": {
        "resnet": {"width": {"choice": [8, 16]}, "blocks": {"repeat": {"int": [1, 2]}, "times": {"int": [1, 2]}}},
        "vgg": {"width": {"choice": [8, 16]}},
    },
    "training.optimizer.learning_rate": {"log": [0.001, 0.5]},
}
BASE = {
    "output": "output/here",
    "model": {"backbone": {"name": "resnet", "width": 8, "blocks": [1, 1]}},
    "search": {"space": SPACE},
}


def config_of(**changes) -> RunConfig:
    return validate(RunConfig, {**BASE, **changes})


def test_a_trial_is_the_configuration_with_its_choices_and_without_a_search(tmp_path):
    config = config_of()
    space = make_space(config)
    params = {"model.backbone": "vgg", "model.backbone[vgg].width": 16, "training.optimizer.learning_rate": 0.1}
    trial = trial_config(config, space, params, tmp_path)
    assert trial.model.backbone.name == "vgg"
    assert trial.model.backbone.model_dump()["width"] == 16
    assert trial.search.space is None
    assert trial.training.optimizer.model_dump()["learning_rate"] == 0.1
    assert trial.data.split.seed == config.seed
    write_config(trial, tmp_path)
    text = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    assert "search:" not in text
    assert load_config(RunConfig, tmp_path / "config.yaml") == trial


def test_data_paths_of_a_trial_are_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = config_of(data={"dataset": {"name": "image_folder", "root": "my photos/花"}})
    root = standalone(config, Path("x"))["data"]["dataset"]["root"]
    assert root == str(tmp_path / "my photos" / "花")


def test_the_first_trial_is_the_configuration_itself():
    config = config_of()
    params = baseline_of(config, make_space(config))
    assert params == {
        "model.backbone": "resnet",
        "model.backbone[resnet].width": 8,
        "model.backbone[resnet].blocks.times": 2,
        "model.backbone[resnet].blocks.0": 1,
        "model.backbone[resnet].blocks.1": 1,
        "training.optimizer.learning_rate": 0.05,
    }


def test_a_value_outside_its_domain_stops_the_start_naming_key_and_domain():
    config = config_of(model={"backbone": {"name": "resnet", "width": 12, "blocks": [1]}})
    with pytest.raises(ConfigError, match=r"model.backbone.width: 12 is not among \[8, 16\]"):
        baseline_of(config, make_space(config))


def test_search_without_a_space_says_what_to_do():
    with pytest.raises(ConfigError, match=r"search.space: is not set.*tools/train.py"):
        make_space(validate(RunConfig, {}))


def test_covering_uses_every_option_once():
    config = config_of()
    space = make_space(config)
    found = covering(config, space, baseline_of(config, space))
    seen = {(name, value) for item in found for name, value in item.params.items()}
    for decision in space.decisions:
        for value in decision.domain.ends():
            assert (decision.name, value) in seen
    names = {item.config.model.backbone.name for item in corners(config, space)}
    assert names == {"resnet", "vgg"}


def test_a_bad_option_is_named_once_with_its_key():
    space = {"model.backbone": {"resnet": {}, "vgg": {"blocks": {"choice": [[1], [2]]}}}}
    config = config_of(search={"space": space})
    with pytest.raises(ConfigError) as caught:
        covering(config, make_space(config), {"model.backbone": "resnet"})
    assert len(caught.value.issues) == 1
    assert "search.space.model.backbone: option 'vgg': model.backbone.blocks: unknown key" in str(caught.value)


def test_a_key_that_does_not_exist_is_found_before_the_first_trial():
    config = config_of(search={"space": {"training.epoch": {"int": [1, 2]}}})
    with pytest.raises(ConfigError, match=r"training\.epoch"):
        baseline_of(config, make_space(config))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"search": {"space": SPACE, "trials": 99, "workers": 1, "controller": "random_search"}}, True),
        ({"budget": {"time": 5}, "final": {"epochs": 3}, "deployment": {"samples": 1}}, True),
        ({"seed": 1}, False),
        ({"training": {"epochs": 3}}, False),
        ({"data": {"augment": ["horizontal_flip"]}}, False),
        ({"model": {"backbone": {"name": "resnet", "width": 16, "blocks": [1, 1]}}}, False),
        ({"metric": "loss"}, False),
    ],
)
def test_identity_is_what_changes_a_result(changes, same):
    assert (identity(config_of()) == identity(config_of(**changes))) is same


def test_auto_space_has_every_backbone_and_parses():
    config = validate(RunConfig, {"search": {"space": "auto"}})
    assert {"resnet", "vgg", "inception"} <= set(auto_spec()["model.backbone"])
    space = make_space(config)
    assert covering(config, space, baseline_of(config, space) or {})


def test_epoch_metric_follows_the_first_objective_that_has_epochs():
    def with_first(metric):
        return config_of(search={"space": SPACE, "objectives": [{"metric": metric}]})

    assert with_first("macro_f1").epoch_metric() == "macro_f1"
    assert with_first("latency_ms").epoch_metric() == "accuracy"
    assert config_of(metric="loss").epoch_metric() == "loss"


def test_clock_keeps_time_back_for_the_last_training():
    config = config_of(budget={"time": 200.0}, training={"epochs": 10}, final={"epochs": 20})
    clock = Clock(config, started=1000.0)
    assert clock.trials_end() == pytest.approx(1000 + 200 * 0.75 - GRACE_S)
    record = SimpleNamespace(curve={10: 0.9}, seconds=10.0)
    clock.learn([record])
    assert clock.reserve == pytest.approx(1.2 * 20 * 1.0 + EXPORT_S)
    clock.learn([SimpleNamespace(curve={1: 0.9}, seconds=50.0)])
    assert clock.reserve == pytest.approx(100.0)
    assert Clock(config_of()).trials_end() is None


def test_a_stage_runs_once_for_the_same_inputs(tmp_path):
    calls = []
    output = tmp_path / "out"

    def work():
        calls.append(1)
        output.write_text("x")
        return {"n": len(calls)}

    assert run_stage(tmp_path, "s", {"a": 1}, [output], work) == {"n": 1}
    assert run_stage(tmp_path, "s", {"a": 1}, [output], work) == {"n": 1}
    assert run_stage(tmp_path, "s", {"a": 2}, [output], work) == {"n": 2}
    output.unlink()
    assert run_stage(tmp_path, "s", {"a": 2}, [output], work) == {"n": 3}


def test_folder_of_something_else_is_left_alone_and_fresh_renames(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "precious.txt").write_text("keep")
    with pytest.raises(OutputError, match="holds files, but no search"):
        open_folder(folder, fresh=False)
    open_folder(folder, fresh=True)
    aside = [path for path in tmp_path.iterdir() if path.name.startswith("run.")]
    assert [path.name for path in aside[0].iterdir()] == ["precious.txt"]
    assert list(folder.iterdir()) == []


def test_changed_data_is_refused_once_there_are_trials(tmp_path):
    facts = {"train": 10, "validation": 5, "test": 5, "classes": ["a", "b"], "input_shape": [1, 8, 8]}
    remember_data(tmp_path, {**facts, "fingerprint": "x"}, has_trials=False)
    remember_data(tmp_path, {**facts, "fingerprint": "x"}, has_trials=True)
    with pytest.raises(StudyError, match="train: 10 -> 11"):
        remember_data(tmp_path, {**facts, "train": 11, "fingerprint": "y"}, has_trials=True)
    remember_data(tmp_path, {**facts, "train": 11, "fingerprint": "y"}, has_trials=False)


def test_devices_and_workers(monkeypatch):
    from paddle_automl.pipeline import machine

    monkeypatch.setattr(machine, "gpu_count", lambda: 0)
    assert devices_of(config_of()) == ("cpu",)
    with pytest.raises(ConfigError, match="device: 'gpu:0' is asked for, but Paddle sees no GPU"):
        devices_of(config_of(device="gpu:0"))
    monkeypatch.setattr(machine, "gpu_count", lambda: 2)
    assert devices_of(config_of()) == ("gpu:0", "gpu:1")
    assert devices_of(config_of(device="gpu:1")) == ("gpu:1",)
    assert workers_of(config_of(), ("gpu:0", "gpu:1")) == 2
    with pytest.raises(ConfigError, match="gpu:3 does not exist"):
        devices_of(config_of(device="gpu:0,3"))
    with pytest.raises(ConfigError, match="device: must be auto, cpu, gpu"):
        config_of(device="tpu")
