"""A teacher in plain training, in every trial of a search, and the ensemble of a search's best trials."""

import json

import pytest
import yaml

from paddle_automl.core.files import read_json_lines
from tests.e2e.conftest import TINY, run_tool, write_config

STUDENT = {key: value for key, value in TINY.items() if key not in ("search", "refit")}


@pytest.mark.slow
def test_a_student_of_a_run_learns_from_it_and_says_so_in_its_configuration(searched, tmp_path):
    _, output, _ = searched
    alone = write_config(tmp_path, {**STUDENT, "output": str(tmp_path / "alone")}, "alone.yaml")
    taught = write_config(
        tmp_path,
        {
            **STUDENT,
            "output": str(tmp_path / "taught"),
            "distillation": {"teacher": str(output), "hints": "attention", "temperature": 2.0},
        },
    )
    assert run_tool("train", "-c", alone).code == 0
    ran = run_tool("train", "-c", taught)
    assert ran.code == 0, ran.err
    first = read_json_lines(tmp_path / "alone/metrics.jsonl")
    second = read_json_lines(tmp_path / "taught/metrics.jsonl")
    assert len(second) == len(first)
    assert second[0]["loss"] != first[0]["loss"]
    written = yaml.safe_load((tmp_path / "taught/config.yaml").read_text(encoding="utf-8"))
    assert written["distillation"]["teacher"] == [str(output)]
    ensemble = run_tool(
        "train", "-c", taught, "-o", "distillation.best_trials=2", "-o", "distillation.hints=none", "-o",
        f"output={tmp_path / 'ensemble'}",
    )  # fmt: skip
    assert ensemble.code == 0, ensemble.err


@pytest.mark.slow
def test_temperature_weight_and_teacher_are_legal_choices_of_a_search(searched, tmp_path):
    _, teacher, _ = searched
    space = {
        "training.optimizer.learning_rate": {"log": [0.01, 0.3]},
        "distillation.temperature": {"float": [1.0, 8.0]},
        "distillation.weight": {"choice": [0.0, 0.7]},
        "distillation.hints": {"choice": ["none", "fitnets"]},
    }
    config = {
        **TINY,
        "output": str(tmp_path / "out"),
        "training": {**TINY["training"], "epochs": 2},
        "refit": {"epochs": 2},
        "distillation": {"teacher": str(teacher), "weight": 0.7},
        "search": {**TINY["search"], "space": space},
    }
    file = write_config(tmp_path, config)
    ran = run_tool("search", "-c", file)
    assert ran.code == 0, ran.err
    assert "verified" in ran.out
    for folder in (tmp_path / "out/trials").iterdir():
        trial = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        assert trial["distillation"]["teacher"] == [str(teacher)]
    best = yaml.safe_load((tmp_path / "out/best.yaml").read_text(encoding="utf-8"))
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert best["distillation"]["temperature"] == summary["choices"]["distillation.temperature"]


@pytest.mark.slow
def test_the_ensemble_of_the_best_trials_becomes_one_student(searched, tmp_path):
    _, output, _ = searched
    student = "{backbone: {name: resnet, width: 4, blocks: [1]}}"
    ran = run_tool(
        "compress", "-c", write_config(tmp_path, {"compression": {"max_drop": 1.0}}), "-m", output,
        "--to", tmp_path / "small",
        "-o", f"compression.steps=[{{name: distill, teacher: [], best_trials: 2, student: {student}}}]",
        "-o", "compression.speed={batch_sizes: [1], gate_batch_size: 1, rounds: 2, runs: 1}",
    )  # fmt: skip
    assert ran.code in (0, 1), ran.err
    report = json.loads((tmp_path / "small/compression.json").read_text(encoding="utf-8"))
    before, after = report["steps"]
    assert not after["reason"].startswith("failed")
    assert after["parameters"] < before["parameters"]
    too_many = run_tool(
        "compress", "-c", write_config(tmp_path, {"compression": {}}), "-m", output, "--to", tmp_path / "none",
        "-o", "compression.steps=[{name: distill, teacher: [], best_trials: 5}]",
    )  # fmt: skip
    assert too_many.code == 2
    assert "the weights of 2 trials were kept" in too_many.err


@pytest.mark.slow
def test_five_trials_of_a_longer_search_teach_one_small_student(tmp_path):
    training = {**TINY["training"], "epochs": 10}
    search = {**TINY["search"], "trials": 7, "keep_checkpoints": 5}
    search["space"] = {
        "model.backbone": {"resnet": {"width": {"choice": [12, 16, 24]}}},
        "training.optimizer.learning_rate": {"log": [0.05, 0.3]},
    }
    model = {"backbone": {"name": "resnet", "width": 16, "blocks": [1, 1]}}
    file = write_config(
        tmp_path,
        {**TINY, "model": model, "training": training, "search": search, "output": str(tmp_path / "out")},
    )
    assert run_tool("search", "-c", file).code == 0
    student = {"backbone": {"name": "resnet", "width": 8, "blocks": [1, 1]}}
    step = {"name": "distill", "teacher": [], "best_trials": 5, "student": student}
    speed = {"batch_sizes": [1], "gate_batch_size": 8, "rounds": 3, "runs": 2}
    chain = write_config(
        tmp_path, {"compression": {"steps": [step], "max_drop": 0.05, "speed": speed}}, "chain.yaml"
    )
    ran = run_tool("compress", "-c", chain, "-m", tmp_path / "out", "--to", tmp_path / "small")
    report = json.loads((tmp_path / "small/compression.json").read_text(encoding="utf-8"))
    before, after = report["steps"]
    assert ran.code == 0, ran.out
    assert after["kept"]
    assert after["parameters"] < 0.5 * before["parameters"]
    assert after["score"] > 0.9
