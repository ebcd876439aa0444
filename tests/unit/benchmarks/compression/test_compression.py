"""The benchmark of compression: what it asks for, what it keeps, what it says."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from rich.console import Console

from paddle_automl.benchmarks.command import main
from paddle_automl.benchmarks.compression import measure
from paddle_automl.benchmarks.compression.measure import Figures
from paddle_automl.benchmarks.compression.plan import CHAIN, NETWORKS, Plan
from paddle_automl.benchmarks.compression.report import print_figures, requirements
from paddle_automl.core.errors import DataError
from paddle_automl.core.loading import validate
from paddle_automl.data.samples import Samples
from paddle_automl.inputs.image.input import ImageInput
from paddle_automl.inputs.image.options import ImageFitted
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.models.profile import profile
from paddle_automl.pipeline.commands import CompressFile
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.tasks.base import RawTargets


def pace(p50: float, speedup: float) -> dict[str, float]:
    return {"p50_ms": p50, "p95_ms": 2 * p50, "speedup": speedup}


def step(name: str, accuracy: float, **changes):
    data = {
        "name": name,
        "accuracy": accuracy,
        "parameters": 1000,
        "flops": 100,
        "weights_ratio": 1.0,
        "kept": True,
        "reason": "",
        "latency": {"float32": {size: pace(2.0, 1.0) for size in ("1", "8", "32")}},
    }
    return {**data, **changes}


def figures():
    int8 = {"int8": {"1": pace(1.0, 1.2), "8": pace(1.0, 1.9), "32": pace(1.0, 1.7)}}
    before = step("before", 0.98)
    small = {"latency": int8, "weights_ratio": 0.27, "test_accuracy": 0.97}
    compression = {"speed": {"batch_sizes": [1, 8, 32]}}
    cases = {
        "prune_filters": [before, step("prune_filters", 0.975, flops=50, test_accuracy=0.965)],
        "quantize_post": [before, step("quantize_post", 0.98, **small)],
        "quantize_aware": [before, step("quantize_aware", 0.975, **small)],
        CHAIN: [before, step("prune_filters", 0.9, kept=False, latency={}, reason="failed")],
    }
    return {
        "network": "resnet",
        "dataset": "digits",
        "parameters": 1000,
        "test_accuracy": 0.97,
        "cases": {
            name: {"compression": compression, "seconds": 200.0, "load_before": 0.5, "steps": steps}
            for name, steps in cases.items()
        },
    }


def verdicts(found) -> dict[str, bool]:
    return {requirement.text: requirement.reached for requirement in requirements(found)}


def test_the_named_networks_are_large_enough():
    for name, least in (("resnet", 300_000), ("mobilenet", 100_000)):
        config = validate(ModelConfig, {"backbone": NETWORKS[name]})
        grey = ImageInput(ImageFitted(name="image", size=(32, 32), channels=1, mean=(0.0,), std=(1.0,)))
        model = build_network(config, grey, 10, seed=0)
        assert profile(model, grey.specs).parameters >= least


@pytest.mark.parametrize("dataset", ["digits", "fashion_mnist"])
@pytest.mark.parametrize("quick", [False, True])
def test_plans_are_valid_configurations(dataset, quick, tmp_path):
    plan = Plan("resnet", dataset, tmp_path, quick=quick, formats=("onnx",))
    assert validate(RunConfig, plan.run()).data.input.sides == (32, 32)
    for section in plan.cases().values():
        chain = validate(CompressFile, {"compression": section}).compression
        assert [item.name for item in chain.formats] == ["onnx"]
    assert [step["name"] for step in plan.cases()[CHAIN]["steps"]] == ["prune_filters", "distill", "quantize_aware"]


def test_all_requirements_are_reached():
    assert len(verdicts(figures())) == 8
    assert all(verdicts(figures()).values())


@pytest.mark.parametrize(
    ("case", "change", "broken"),
    [
        ("prune_filters", {"flops": 60}, "half the FLOPs"),
        ("prune_filters", {"accuracy": 0.96}, "half the FLOPs"),
        ("prune_filters", {"test_accuracy": 0.95}, "half the FLOPs"),
        ("quantize_post", {"accuracy": 0.97}, "quantize_post: int8 at most"),
        ("quantize_aware", {"test_accuracy": 0.96}, "quantize_aware: int8 at most"),
        ("quantize_post", {"weights_ratio": 0.31}, "quantize_post: weights"),
        ("quantize_post", {"latency": {"int8": {s: pace(1, 1.7) for s in ("1", "8", "32")}}}, "at least 1.8"),
    ],
)
def test_a_requirement_that_is_missed_is_said(case, change, broken):
    found = copy.deepcopy(figures())
    found["cases"][case]["steps"][-1].update(change)
    missed = [text for text, reached in verdicts(found).items() if not reached]
    assert len(missed) == 1
    assert broken in missed[0]


def test_the_chain_has_its_time_on_digits_alone():
    found = figures()
    found["cases"][CHAIN]["seconds"] = 301.0
    assert [text for text, reached in verdicts(found).items() if not reached] == ["the whole chain within 300 s"]
    found["dataset"] = "fashion_mnist"
    assert all(verdicts(found).values())


def test_the_table_and_its_verdicts_are_printed():
    console = Console(width=200, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    print_figures(console, figures())
    text = console.export_text()
    for part in ("0.9750 (-0.50)", "0.9650 (-0.50)", "1.00/2.00 1.90x", "0.270", "(failed)", "load 0.5"):
        assert part in text, part
    assert text.count("reached: ") == 8
    assert "not reached" not in text


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """Stand-ins of the commands that write what these write, and say what was called."""
    calls = []

    class Trained:
        folder = tmp_path / "out" / "resnet_digits"
        metrics = {"parameters": 1000.0}  # noqa: RUF012

    class Outcome:
        steps = tuple(
            {**step(name, 0.0), "score": score, "facts": {}}
            for name, score in (("before", 0.98), ("quantize_post", 0.97))
        )

    def train_run(config):
        calls.append("train")
        Trained.folder.mkdir(parents=True, exist_ok=True)
        RunFolder(Trained.folder).weights.touch()
        return Trained

    def compress_run(config, path, target):
        assert path == Trained.folder
        calls.append(target.name)
        return Outcome

    monkeypatch.setattr(measure, "train_run", train_run)
    monkeypatch.setattr(measure, "compress_run", compress_run)
    monkeypatch.setattr(measure, "evaluate_model", lambda *args, **kwargs: {"metrics": {"accuracy": 0.96}})
    return calls


def test_what_was_measured_is_kept(commands, tmp_path):
    path = tmp_path / "figures.json"
    plan = Plan("resnet", "digits", tmp_path / "out")
    found = Figures(path).measure(plan, commands.append)
    cases = ["prune_filters", "quantize_post", "quantize_aware", CHAIN]
    told = [
        "resnet_digits: training",
        "train",
        *(text for case in cases for text in (f"resnet_digits: {case}", case)),
    ]
    assert commands == told
    after = found["cases"]["quantize_post"]["steps"][1]
    assert (after["accuracy"], after["test_accuracy"]) == (0.97, 0.96)
    assert "facts" not in found["cases"]["quantize_post"]["steps"][0]
    again = Figures(path)
    assert again.measure(plan, commands.append) == found
    assert commands == told
    # A case that is missing is made, the rest is not made again.
    del again.plans[plan.key]["cases"][CHAIN]
    again.measure(plan, commands.append)
    assert commands[len(told) :] == [f"resnet_digits: {CHAIN}", CHAIN]


def test_other_files_are_no_figures(tmp_path):
    path = tmp_path / "figures.json"
    for text, message in (("{}", "holds no results of this command"), ("{", "cannot read the results")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            Figures(path)


def test_fashion_mnist_needs_its_folder(tmp_path, capsys):
    assert main(["compression", "--dataset", "fashion_mnist", "--output", str(tmp_path / "out")]) == 2
    assert "--data: is needed for fashion_mnist" in capsys.readouterr().err


def test_a_part_of_fashion_mnist_is_taken(tmp_path, monkeypatch):
    images = np.arange(2600, dtype=np.uint8).reshape(2600, 1, 1, 1)
    labels = np.arange(2600, dtype=np.int64) % 10
    samples = Samples(
        RawTargets("classes", labels, tuple("abcdefghij")),
        items=images,
        splits={"train": np.arange(2500), "test": np.arange(2500, 2600)},
    )
    monkeypatch.setattr("paddle_automl.benchmarks.compression.plan.Idx.load", lambda self: samples)
    plan = Plan("resnet", "fashion_mnist", tmp_path / "out", tmp_path, quick=True)
    plan.prepare()
    with np.load(plan.archive) as archive:
        assert {key: len(archive[key]) for key in archive.files if key.startswith("x")} == {
            "x_train": 1500,
            "x_validation": 500,
            "x_test": 100,
        }
        np.testing.assert_array_equal(archive["y_validation"], labels[1500:2000])
    assert json.dumps(plan.run())


@pytest.mark.slow
def test_the_whole_command_runs(tmp_path, capsys):
    arguments = ["compression", "--quick", "--net", "mobilenet", "--output", str(tmp_path / "out")]
    assert main([*arguments, "--json", str(tmp_path / "f.json")]) == 0
    assert "the whole chain within 300 s" in capsys.readouterr().out
    assert (
        len(json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["criteria"]["mobilenet_digits_quick"])
        == 8
    )
