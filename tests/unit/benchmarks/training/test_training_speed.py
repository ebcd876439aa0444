import io
import json

import pytest
from rich.console import Console

from paddle_automl.benchmarks import command as benchmark
from paddle_automl.benchmarks.training import command, tables
from paddle_automl.benchmarks.training.crew import Figures, Variant, crew, take_turns
from paddle_automl.benchmarks.training.project_networks import build, spec_of
from paddle_automl.benchmarks.training.workloads import WORKLOADS
from paddle_automl.core.errors import AutoMLError, ConfigError
from paddle_automl.models.profile import profile


@pytest.mark.parametrize("name", ["cnn", "resnet18", "mobilenet"])
def test_the_stated_work_is_that_of_the_network(name):
    workload = WORKLOADS[name]
    # Three passes of two operations per multiply-accumulate; the first layer's is small.
    assert profile(build(name, workload), [spec_of(workload)]).flops * 6e-6 == pytest.approx(
        workload.mflop, rel=0.05
    )


def test_batches_are_the_same_in_every_process():
    workload = WORKLOADS["textcnn"]
    assert workload.inputs().shape == (64, 64)
    assert (workload.inputs() == workload.inputs()).all()
    assert workload.labels().max() < 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["training", "--nets", "vgg"],
            "--nets: must be all or some of cnn, resnet18, mobilenet, textcnn, got 'vgg'",
        ),
        (["training", "--variants", "tensorflow"], "--variants: must be all or some of paddle, "),
        (["training", "--rounds", "0"], "--rounds: must be at least 1"),
        (["training", "--torch", "/nowhere/python"], "--torch: /nowhere/python cannot import torch and numpy"),
        (["runtime", "--nets", ""], "--nets: must be all or some of"),
    ],
)
def test_wrong_words_are_refused_before_anything_runs(arguments, message, capsys):
    assert benchmark.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_variant_sees_nothing_of_what_is_compared(monkeypatch):
    monkeypatch.setenv("KMP_BLOCKTIME", "7")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setenv("PADDLE_AUTOML_KERNELS", "0")
    environment = Variant("project").environment()
    assert "KMP_BLOCKTIME" not in environment
    assert "MALLOC_ARENA_MAX" not in environment
    assert environment["PADDLE_AUTOML_KERNELS"] == "1"
    assert environment["OMP_NUM_THREADS"] == "1"


class Fake:
    """Answers like a worker; `speed` images per CPU-second."""

    def __init__(self, speed, log):
        self.speed, self.log = speed, log

    def ask(self, what, *, network, steps):
        self.log.append((self.speed, network, steps))
        return {"images": steps * 10, "cpu_s": steps * 10 / self.speed, "wall_s": 1.0}


def test_variants_take_turns_in_a_moving_order():
    log = []
    members = {"slow": Fake(2.0, log), "fast": Fake(100.0, log)}
    found = take_turns(members, ["cnn"], 3, each_round=lambda _: None, tell=lambda _: None)
    assert found["cnn"]["fast"].speed == pytest.approx(100.0)
    assert found["cnn"]["fast"].per_second == [100.0] * 3
    # Two warm-up steps each, then blocks of about a second, at least a step.
    assert [entry[0] for entry in log[4:]] == [2, 100, 100, 2, 2, 100]
    assert {entry[0]: entry[2] for entry in log[4:]} == {2: 1, 100: 10}


def test_figures_and_table():
    variants = {name: command.VARIANTS[name] for name in ("paddle", "project", "project-bf16")}
    figures = {"cnn": {n: Figures([100.0 * k] * 3, [50.0 * k] * 3) for k, n in enumerate(variants, 1)}}
    about = {name: {"version": "3", "dtype": v.dtype} for name, v in variants.items()}
    record = command._record(figures, variants, about, {"float32": 100.0})
    found = record["networks"]["cnn"]["variants"]
    assert found["project"]["over_paddle"] == 2.0
    assert found["project"]["roofline_share"] == pytest.approx(200 * WORKLOADS["cnn"].mflop / 1000 / 100)
    assert "roofline_share" not in found["project-bf16"]
    screen = Console(file=io.StringIO(), width=150)
    tables.print_speeds(screen, record)
    text = screen.file.getvalue()
    assert "project / paddle" in text
    assert "2.00" in text
    assert "torch" not in text


def test_a_worker_that_fails_says_why():
    with crew({"broken": Variant("project", "float32")}) as members, pytest.raises(AutoMLError, match="KeyError"):
        members["broken"].ask("train", network="nothing", steps=1)


def test_a_worker_that_does_not_start_is_no_broken_pipe():
    with crew({"torch": Variant("torch", python="/bin/false")}) as members, pytest.raises(AutoMLError):
        members["torch"].ask("train", network="cnn", steps=1)


@pytest.mark.slow
def test_commands(tmp_path, capsys):
    target = tmp_path / "figures.json"
    words = ["--nets", "textcnn", "--rounds", "1", "--json", str(target)]
    assert benchmark.main(["training", "--variants", "paddle,project,project-bf16", *words]) == 0
    found = json.loads(target.read_text())["networks"]["textcnn"]["variants"]
    assert found["project"]["over_paddle"] > 1.5
    assert benchmark.main(["runtime", *words]) == 0
    record = json.loads(target.read_text())
    assert record["networks"]["textcnn"]["variants"]["paddle, none"]["over_none"] == 1
    assert record["idle_cpu_ms"]["all"] < record["idle_seconds"] * 1000
    assert "fraction of the roofline" in capsys.readouterr().out


def test_unknown_words():
    with pytest.raises(ConfigError, match="got ''"):
        command.chosen("--nets", "", ["a"])
