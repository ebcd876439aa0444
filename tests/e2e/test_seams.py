"""Proof of the seams: an input, a task and what they need come from a plugin, and every command works with them."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.e2e.conftest import run_forked, run_tool, write_config

TOY = Path(__file__).parent / "seams" / "toy.py"


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seams")
    config = {
        "output": str(folder / "output"),
        "plugins": [str(TOY)],
        "data": {"dataset": {"name": "toy_vectors", "count": 300}},
        "model": {"backbone": {"name": "perceptron", "width": 8}, "norm": "none"},
        "training": {
            "epochs": 12,
            "batch_size": 32,
            "optimizer": {"name": "adamw", "learning_rate": 0.02},
            "lr_schedule": "constant",
        },
        "search": {
            "trials": 3,
            "workers": 1,
            "controller": "random_search",
            "space": {"model.backbone": {"perceptron": {"width": {"choice": [8, 16]}}}},
        },
    }
    file = write_config(folder, config)
    return file, folder / "output", run_tool("search", "-c", file, cwd=folder)


def test_search_trains_exports_and_verifies(searched):
    _, output, ran = searched
    assert ran.code == 0, ran.out + ran.err
    summary = json.loads((output / "summary.json").read_text())
    assert summary["verified"]
    assert f"model --plugin {TOY} " in ran.out
    # A quarter of the levels each: guessing gives 1.25.
    assert summary["metrics"]["test"]["level_error"] < 0.5
    bundle = yaml.safe_load((output / "model" / "bundle.yaml").read_text())
    assert (bundle["task"]["name"], bundle["input"]["name"]) == ("levels", "vector")
    assert bundle["inputs"][0]["name"] == "numbers"


def test_predict_and_evaluate_speak_of_levels(searched, tmp_path):
    _, output, _ = searched
    for number, value in enumerate((-2.0, 2.0)):
        np.savetxt(tmp_path / f"{number}.vec", np.full(6, value))
    (tmp_path / "short.vec").write_text("1 2\n")
    refused = run_tool("predict", "-m", output, tmp_path / "0.vec")
    assert refused.code == 2
    assert f"--plugin PATH/{TOY.name}" in refused.err
    ran = run_tool("predict", "-m", output, "--plugin", TOY, "--json", "-", *sorted(tmp_path.glob("[01].vec")))
    assert ran.code == 0, ran.err
    answers = json.loads(ran.out)
    assert "low" in json.dumps(answers[0])
    assert "top" in json.dumps(answers[1])
    assert run_tool("predict", "-m", output, "--plugin", TOY, tmp_path / "short.vec").code == 1
    refused = run_tool("evaluate", "-m", output)
    assert refused.code == 2
    assert f"--plugin PATH/{TOY.name}" in refused.err
    ran = run_tool("evaluate", "-m", output, "--plugin", TOY)
    assert ran.code == 0, ran.err
    assert "right answers" in ran.out
    assert "level_error" in ran.out


def test_train_alone_and_export(searched, tmp_path):
    file, _, _ = searched
    run = tmp_path / "run"
    ran = run_tool("train", "-c", file, "-o", f"output={run}", "-o", "training.epochs=2")
    assert ran.code == 0, ran.err
    ran = run_tool("export", "-m", run)
    assert ran.code == 0, ran.out + ran.err
    assert (run / "model" / "bundle.yaml").is_file()


@pytest.mark.slow
def test_what_does_not_fit_is_told(searched, tmp_path):
    file, _, _ = searched
    cases = (
        ("train", "model.backbone=resnet", ("model.backbone", "image", "perceptron")),
        ("search", "task=single_label", ("task", "levels")),
        ("search", "search.objectives=[{metric: accuracy}]", ("accuracy", "level_error")),
        ("train", "data.augment=[horizontal_flip]", ("data.augment", "vector")),
    )
    for number, (tool, override, words) in enumerate(cases):
        ran = run_forked(tool, "-c", file, "-o", f"output={tmp_path / str(number)}", "-o", override)
        assert ran.code == 2, (override, ran.out, ran.err)
        assert all(word in ran.err for word in words), (override, ran.err)
