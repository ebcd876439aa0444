"""A search whose candidates are (architecture, recipe, teacher, ratio, precision), measured once compressed."""

import json

import pytest
import yaml

from paddle_automl.deployment.bundle import Bundle
from tests.e2e.conftest import TINY, run_tool, write_config

RATIO, PRECISION = "compression.steps.0.ratio", "compression.precision"
pytestmark = pytest.mark.slow

SEARCH = {
    "controller": "grid",
    "trials": 4,
    "workers": 2,
    "keep_checkpoints": 2,
    "objectives": [{"metric": name} for name in ("accuracy", "latency_ms", "size_mb", "parameters", "flops")],
    "space": {
        RATIO: {"float": [0.25, 0.5]},
        PRECISION: {"choice": ["float32", "int8"]},
        "distillation.temperature": {"choice": [2.0, 4.0]},
    },
}
PRUNE = {"name": "prune_filters", "ratio": 0.5, "align": 4, "tune": {"epochs": 1, "rate": 1.0}}
COMPRESSION = {"in_trials": True, "precision": "int8", "steps": [PRUNE]}


def facts_of(trial):
    config = yaml.safe_load((trial / "config.yaml").read_text(encoding="utf-8"))
    result = json.loads((trial / "result.json").read_text(encoding="utf-8"))
    return config["compression"], result["metrics"], result


@pytest.fixture(scope="module")
def compressed(searched, tmp_path_factory):
    _, teacher, _ = searched
    folder = tmp_path_factory.mktemp("compressed")
    config = {
        **TINY,
        "output": str(folder / "out"),
        "visualdl": False,
        "training": {**TINY["training"], "epochs": 2},
        "refit": {"epochs": 3},
        "model": {"backbone": {"name": "resnet", "width": 16, "blocks": [1]}},
        "deployment": {"latency": {"runs": 10}},
        "distillation": {"teacher": str(teacher)},
        "compression": COMPRESSION,
        "search": SEARCH,
    }
    file = write_config(folder, config)
    return file, folder / "out", run_tool("search", "-c", file)


def test_objectives_are_those_of_the_compressed_network(compressed):
    _, output, ran = compressed
    assert ran.code == 0, ran.err
    trials = sorted((output / "trials").iterdir())
    assert len(trials) == 4
    for trial in trials:
        chain, metrics, result = facts_of(trial)
        names = ["prune_filters", "quantize_post"] if chain["precision"] == "int8" else ["prune_filters"]
        assert list(result["compression"]) == names
        left = result["compression"]["prune_filters"]["flops_left"]
        assert 0 < left < 1
        # int8 weights take a quarter, the rest of the file is scales and names.
        ratio = metrics["size_mb"] / (4e-6 * metrics["parameters"])
        assert ratio < 0.75 if chain["precision"] == "int8" else ratio > 0.95
        assert metrics["latency_ms"] > 0
    kept = [trial for trial in trials if (trial / "model").is_dir()]
    assert len(kept) == sum((trial / "best.pdparams").exists() for trial in trials) == 2
    for trial in kept:
        seen = Bundle.open(trial / "model").info.metrics["validation"]["accuracy"]
        assert seen == pytest.approx(facts_of(trial)[1]["accuracy"], abs=1e-5)


def test_the_winner_is_shipped_compressed_tested_and_verified(compressed):
    _, output, _ = compressed
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    best = yaml.safe_load((output / "best.yaml").read_text(encoding="utf-8"))
    assert best["compression"]["precision"] == summary["choices"][PRECISION]
    assert best["compression"]["steps"][0]["ratio"] == summary["choices"][RATIO]
    bundle = Bundle.open(output / "model")
    assert bundle.verified
    assert bundle.info.exporter.name == (
        "paddle_program" if best["compression"]["precision"] == "int8" else "paddle_inference"
    )
    assert bundle.info.metrics["compression"]["form"] in ("dense", "quantized")
    assert 0 < bundle.info.metrics["test"]["accuracy"] == summary["metrics"]["test"]["accuracy"]
    assert "compressed" not in {path.name for path in output.iterdir()}


def test_the_same_command_again_repeats_nothing(compressed):
    file, output, _ = compressed
    before = {path: path.stat().st_mtime_ns for path in output.glob("trials/*/result.json")}
    again = run_tool("search", "-c", file)
    assert again.code == 0, again.err
    assert "continuing: 4 trials are already done" in again.out
    assert {path: path.stat().st_mtime_ns for path in output.glob("trials/*/result.json")} == before


def test_a_trial_run_alone_is_compressed_in_the_same_way(compressed, tmp_path):
    _, output, _ = compressed
    trial = next(folder for folder in sorted((output / "trials").iterdir()) if (folder / "model").is_dir())
    alone = run_tool("train", "-c", trial / "config.yaml", "-o", f"output={tmp_path / 'alone'}")
    assert alone.code == 0, alone.err
    _, before, _ = facts_of(trial)
    _, after, _ = facts_of(tmp_path / "alone")
    assert after["parameters"] == before["parameters"]
    assert after["size_mb"] == before["size_mb"]
    assert after["accuracy"] == pytest.approx(before["accuracy"], abs=0.02)
    exported = run_tool("export", "-m", trial, "--to", tmp_path / "bundle")
    assert exported.code == 0, exported.err
    told = json.loads(run_tool("evaluate", "-m", tmp_path / "bundle", "--split", "validation", "--json").out)
    assert told["metrics"]["accuracy"] == pytest.approx(before["accuracy"], abs=1e-5)
    assert Bundle.open(tmp_path / "bundle").info.metrics["compression"]["parameters"] == after["parameters"]
