"""Bad input: one clear message, the right exit code, nothing finished is lost."""

import json
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import ROOT, TINY, run_forked, run_tool, write_config


def attempt(folder: Path, *words: str, **changes):
    file = write_config(folder, {**TINY, "output": str(folder / "out"), **changes})
    return run_tool("search", "-c", file, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "training.epoch=3"], r"-o training.epoch: training.epoch: unknown key; did you mean 'epochs'?"),
        (["-o", "training.epochs=many"], "training.epochs: input should be a valid integer"),
        (["-o", "search.controller=baysian"], "unknown controller 'baysian'; did you mean 'bayesian'?"),
        (["-o", "model.backbone=resnett"], "unknown backbone 'resnett'; did you mean 'resnet'?"),
        (["-o", "search.space=null"], "search.space: is not set"),
        (["-o", "search.space.training.epoch={int: [1, 2]}"], "training.epoch"),
        (["-o", "search.space.model.backbone.resnet.width={choice: [8, -1]}"], "width"),
        (["-o", "data.dataset={name: image_folder, root: nowhere}"], "nowhere"),
        (["-o", "search.objectives=[{metric: speed}]"], "search.objectives.0.metric"),
        (["-o", "device=gpu:0"], "device: 'gpu:0' needs a GPU, but Paddle sees none"),
        (["-o", "output=/proc/nothing/here"], "output: cannot write to"),
    ],
)
def test_mistakes_stop_the_start_with_their_key(tmp_path, words, message):
    file = write_config(tmp_path, {**TINY, "output": str(tmp_path / "out")})
    ran = run_forked("search", "-c", file, *words)
    assert ran.code == 2, ran.out + ran.err
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_an_option_that_cannot_be_built_is_named_before_the_first_trial(tmp_path):
    space = {"model.backbone": {"resnet": {"strides": {"choice": [[1], [64]]}}}}
    config = {
        **TINY,
        "output": str(tmp_path / "out"),
        "search": {**TINY["search"], "space": space},
        "model": {"backbone": {"name": "resnet", "width": 8, "blocks": [1], "strides": [1]}},
    }
    ran = run_forked("search", "-c", write_config(tmp_path, config))
    assert ran.code == 2, ran.out + ran.err
    assert "search.space.model.backbone[resnet].strides" in ran.err
    assert not (tmp_path / "out/trials").exists()


@pytest.mark.slow
def test_a_diverging_trial_fails_and_the_search_goes_on(tmp_path):
    space = {"training.optimizer.learning_rate": {"choice": [0.1, 1.0e30]}}
    search = {**TINY["search"], "controller": "grid", "space": space, "trials": 2, "workers": 1}
    ran = attempt(tmp_path, search=search, training={**TINY["training"], "clip_global_norm": None})
    assert ran.code == 0, ran.err
    assert "failed: diverged" in ran.out
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert [trial["state"] for trial in summary["trials"]] == ["complete", "failed"]
    assert summary["verified"] is True


def test_all_trials_failing_ends_the_search_saying_what_they_share(tmp_path):
    training = {**TINY["training"], "optimizer": {"name": "momentum", "learning_rate": 1.0e30}}
    search = {**TINY["search"], "space": {"model.dropout": {"choice": [0.0, 0.1, 0.2]}}, "max_failures": 2}
    ran = attempt(tmp_path, search=search, training=training)
    assert ran.code == 2
    assert "the first 2 trials all failed" in ran.err
    assert "diverged" in ran.err
    assert "train.log" in ran.err


@pytest.mark.slow
def test_hanging_and_hungry_trials_are_ended(tmp_path):
    training = {**TINY["training"], "epochs": 500}
    search = {**TINY["search"], "trial_timeout_s": 2.0, "max_failures": 2}
    hanging = attempt(tmp_path, search=search, training=training)
    assert hanging.code == 2
    assert "took longer than trial_timeout_s=2" in hanging.err
    search = {**TINY["search"], "trial_memory_mb": 50, "max_failures": 1}
    hungry = attempt(tmp_path, "--fresh", search=search, training=training)
    assert hungry.code == 2
    assert "used more than trial_memory_mb=50" in hungry.err


@pytest.mark.slow
def test_a_limit_that_no_trial_keeps_is_said_with_the_nearest_trial(tmp_path):
    objectives = [{"metric": "accuracy"}, {"metric": "parameters", "limit": 10}]
    ran = attempt(tmp_path, search={**TINY["search"], "objectives": objectives})
    assert ran.code == 2
    assert "no trial is within the limits (parameters 10)" in ran.err
    relaxed = attempt(
        tmp_path, search={**TINY["search"], "objectives": [{"metric": "accuracy"}, {"metric": "parameters"}]}
    )
    assert relaxed.code == 0, relaxed.err
    assert "Pareto front" in relaxed.out


@pytest.mark.slow
def test_a_bundle_beyond_the_allowed_difference_is_kept_marked_and_makes_the_exit_code_1(tmp_path):
    ran = attempt(tmp_path, deployment={"parity": {"max_difference": 1.0e-30}})
    assert ran.code == 1
    assert "not verified" in ran.err
    assert "(allowed 1e-30); worst: " in ran.err
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert summary["verified"] is False
    bundle = yaml.safe_load((tmp_path / "out/model/bundle.yaml").read_text(encoding="utf-8"))
    assert bundle["parity"]["verified"] is False


@pytest.mark.parametrize("path", ["nowhere", "tests"])
def test_model_path_that_is_none(path):
    ran = run_forked("evaluate", "-m", ROOT / path)
    assert ran.code == 2
    assert path in ran.err
    assert "Traceback" not in ran.err


def test_unknown_command_names_the_nearest():
    import subprocess
    import sys

    run = subprocess.run(
        [sys.executable, "-m", "paddle_automl", "serch"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "did you mean 'search'?" in run.stderr
