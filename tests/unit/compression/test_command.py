"""The command from a trained run to compressed bundles, and what it says to bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from paddle_automl.cli.compress import main
from paddle_automl.core.loading import load_config
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.pipeline.commands import CompressFile
from paddle_automl.pipeline.jobs.compress import REPORT_FILE

ROOT = Path(__file__).parents[3]
QUICK = [
    *("-o", "compression.speed={batch_sizes: [1], gate_batch_size: 1, rounds: 2, runs: 1}"),
    *("-o", "compression.max_drop=0.5"),
]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def post(tmp_path) -> Path:
    return write(tmp_path / "post.yaml", "compression: {steps: [{name: quantize_post, analysis: false}]}\n")


def test_the_shipped_configuration_is_valid():
    config = load_config(CompressFile, ROOT / "configs" / "compress" / "digits.yaml")
    assert [step.name for step in config.compression.steps] == ["prune_filters", "distill", "quantize_aware"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("compression: {}", "compression.steps: is empty"),
        ("compression: {step: [distill]}", "unknown key; did you mean 'steps'"),
        ("compression: {steps: [quantize_post, prune_filters]}", "put prune_filters before quantize_post"),
        ("compression: {steps: [{name: prune_filters, ratio: 1.5}]}", "compression.steps.0.ratio: .*less than 1"),
    ],
)
def test_mistakes_in_the_file_are_one_message(text, message, tmp_path, capsys):
    file = write(tmp_path / "chain.yaml", text + "\n")
    assert main(["-c", str(file), "-m", str(tmp_path)]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_run_that_is_missing_or_without_weights(post, tmp_path, capsys):
    assert main(["-c", str(post), "-m", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    write(tmp_path / "run" / "config.yaml", "data: {dataset: digits}\n")
    assert main(["-c", str(post), "-m", str(tmp_path / "run")]) == 2
    assert "its weights (best.pdparams) are gone" in capsys.readouterr().err


@pytest.mark.slow
def test_from_a_run_to_bundles(post, tmp_path, capsys):
    from paddle_automl.cli.train import main as train

    run = tmp_path / "run"
    recipe = write(
        tmp_path / "run.yaml",
        f"output: {run}\ndata: {{dataset: digits}}\nvisualdl: false\n"
        "model: {backbone: {name: resnet, width: 16, blocks: [1, 1]}}\ntraining: {epochs: 4}\n",
    )
    assert train(["-c", str(recipe)]) == 0
    assert main(["-c", str(post), "-m", str(run), *QUICK]) == 0
    report = json.loads((run / "compressed" / REPORT_FILE).read_text(encoding="utf-8"))
    assert [step["name"] for step in report["steps"]] == ["before", "quantize_post"]
    bundle = Bundle.open(run / "compressed" / "1_quantize_post")
    assert bundle.verified
    assert str(bundle.folder) in capsys.readouterr().out
    missing = ["-o", "compression.steps=[{name: quantize_post, skip: [nothing]}]"]
    assert main(["-c", str(post), "-m", str(run), *missing]) == 2
    assert "no layer is called 'nothing'" in capsys.readouterr().err
    assert Bundle.open(bundle.folder).verified
