"""What a CPU can show of mixed precision: which calls of Paddle are made with what."""

import logging
from contextlib import nullcontext

import paddle
import pytest

from paddle_automl.models import kernels
from paddle_automl.models.tables import RowTable
from paddle_automl.training.config import AmpConfig
from paddle_automl.training.precision import SMALL_STEP, Precision


class Recorder:
    """Stands in for paddle.amp on a GPU."""

    def __init__(self, monkeypatch):
        self.calls = []
        monkeypatch.setattr(paddle.amp, "is_float16_supported", lambda device=None: True)
        monkeypatch.setattr(paddle.amp, "is_bfloat16_supported", lambda device=None: True)
        monkeypatch.setattr(paddle.amp, "GradScaler", self.make_scaler)
        monkeypatch.setattr(paddle.amp, "decorate", self.decorate)
        monkeypatch.setattr(paddle.amp, "auto_cast", self.auto_cast)

    def make_scaler(self, **options):
        self.calls.append(("scaler", options))
        return self

    def scale(self, loss):
        self.calls.append(("scale",))
        return loss * 4

    def step(self, optimizer):
        self.calls.append(("scaler.step", optimizer))

    def update(self):
        self.calls.append(("update",))

    def decorate(self, **options):
        self.calls.append(("decorate", options))
        return options["models"], options["optimizers"]

    def auto_cast(self, **options):
        self.calls.append(("auto_cast", options))
        return nullcontext()


@pytest.fixture
def amp(monkeypatch):
    return Recorder(monkeypatch)


class Optimizer:
    steps = 0

    def step(self):
        self.steps += 1


def run(precision, model, optimizer):
    model, optimizer = precision.prepare(model, optimizer)
    with precision.context():
        loss = model(paddle.ones([1, 2])).sum()
    precision.backward(loss)
    precision.step(optimizer)
    return model


def test_on_a_cpu_one_line_says_that_it_is_ignored(caplog, amp):
    with caplog.at_level(logging.WARNING, logger="paddle_automl"):
        precision = Precision(AmpConfig(dtype="float16", level="O2"), "cpu")
        optimizer = Optimizer()
        run(precision, paddle.nn.Linear(2, 1), optimizer)
    assert len(caplog.records) == 1
    assert "training.amp: no float16: Paddle ignores float16 on a CPU; training uses float32" in caplog.text
    assert precision.description == "float32"
    assert amp.calls == []
    assert optimizer.steps == 1


def test_without_amp_nothing_is_said(caplog):
    precision = Precision(None, "cpu")
    assert precision.description == "float32"
    assert not caplog.records


def test_bfloat16_needs_no_scaler(amp):
    precision = Precision(AmpConfig(dtype="bfloat16", level="O1"), "gpu:0")
    optimizer = Optimizer()
    run(precision, paddle.nn.Linear(2, 1), optimizer)
    assert amp.calls == [("auto_cast", {"level": "O1", "dtype": "bfloat16"})]
    assert optimizer.steps == 1
    assert precision.description == "bfloat16 O1"


def test_float16_scales_the_loss_and_steps_through_the_scaler(amp):
    precision = Precision(AmpConfig(dtype="float16", level="O1"), "gpu:0")
    optimizer, model = Optimizer(), paddle.nn.Linear(2, 1)
    run(precision, model, optimizer)
    assert [call[0] for call in amp.calls] == ["scaler", "auto_cast", "scale", "scaler.step", "update"]
    assert optimizer.steps == 0
    assert model.bias.grad.item() == 4


def test_o2_decorates_with_master_weights_and_is_undone(amp):
    precision = Precision(AmpConfig(dtype="float16", level="O2"), "gpu:0")
    model, optimizer = paddle.nn.Linear(2, 1), Optimizer()
    run(precision, model, optimizer)
    decorated = amp.calls[1][1]
    assert decorated == {
        "models": model,
        "optimizers": optimizer,
        "level": "O2",
        "dtype": "float16",
        "master_weight": True,
        "save_dtype": "float32",
        "excluded_layers": [RowTable],
    }
    model.to(dtype="float16")
    precision.restore(model)
    assert model.weight.dtype == paddle.float32


def test_a_gpu_without_the_type_goes_on_in_float32(amp, monkeypatch, caplog):
    monkeypatch.setattr(paddle.amp, "is_bfloat16_supported", lambda device=None: False)
    assert Precision(AmpConfig(dtype="bfloat16"), "gpu:0").description == "float32"
    assert "no bfloat16: Paddle does not have it on gpu:0" in caplog.text


@pytest.mark.skipif(bool(kernels.unsupported("bfloat16")), reason="this processor computes no bfloat16")
def test_a_cpu_with_bfloat16_computes_in_it_when_steps_are_large_enough(caplog):
    precision = Precision(AmpConfig(dtype="bfloat16"), "cpu", step_flops=SMALL_STEP)
    assert precision.description == "bfloat16"
    with precision.context() as used:
        assert used == "bfloat16"
    with precision.evaluation_context() as used:
        assert used == "float32"
    assert not caplog.records
    caplog.set_level(logging.INFO, "paddle_automl")
    small = Precision(AmpConfig(dtype="bfloat16"), "cpu", step_flops=SMALL_STEP - 1)
    assert small.description == "float32"
    assert "too small" in caplog.text


@pytest.mark.skipif(bool(kernels.unsupported("float32")), reason="this machine has no fast layers")
def test_a_cpu_uses_the_fast_layers_without_being_asked():
    precision = Precision(None, "cpu", step_flops=SMALL_STEP)
    with precision.context() as used:
        assert used == "float32"
    with Precision(None, "cpu", step_flops=1).context() as used:
        assert used is None
