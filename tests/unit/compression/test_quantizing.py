"""Which layers get 8 bits, and by which operators they are trained."""

from __future__ import annotations

from dataclasses import replace

import paddle
import pytest

from paddle_automl.compression.base import STEPS
from paddle_automl.compression.chain import compress
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.core.errors import DataError
from paddle_automl.core.loading import validate
from paddle_automl.models import kernels
from paddle_automl.training import learner, precision
from paddle_automl.training.evaluation import evaluate
from tests.unit.compression.small import batch, context, digits, trained


def step(name, **options):
    return STEPS[name](STEPS[name].Config.model_validate({"name": name, **options}))


@pytest.mark.parametrize("name", ["quantize_aware", "quantize_post"])
def test_only_chosen_layers_are_quantized_whatever_they_are_called(name):
    """Paddle looks for layers by a name that is not theirs alone: here the dropout is called like the head."""
    options = {"analysis": False} if name == "quantize_post" else {"tune": {"epochs": 1, "average": False}}
    model = trained()
    expected = step(name, **options).apply(model, context()).model
    named = trained()
    for layer in (named.dropout, named.backbone.stem.conv.norm):
        layer._full_name = "identity_0"
    named.dropout._full_name = named.fc.full_name()
    got = step(name, **options).apply(named, context()).model
    assert set(got.state_dict()) == set(expected.state_dict())
    assert float((got(*batch()) - expected(*batch())).abs().max()) == 0


def test_batch_norm_in_quantized_training_keeps_its_statistics_inside_fast_layers():
    model = trained()
    norm = model.backbone.stem.conv.norm
    norm.train()
    norm._use_global_stats = True
    x = paddle.randn([4, 16, 8, 8])
    before = norm._mean.numpy().copy()
    expected = norm(x)
    with kernels.use("float32"):
        got = norm(x)
    assert float((kernels.plain(got) - expected).abs().max()) < 1e-6
    assert (norm._mean.numpy() == before).all()


def test_without_calibration_data_nothing_runs(monkeypatch):
    data = digits()
    empty = replace(data, train=data.train.with_indices(data.train.indices[:0]))
    ran = []
    monkeypatch.setattr(STEPS["prune_filters"], "apply", lambda *_: ran.append(1))
    chain = validate(CompressionConfig, {"steps": [{"name": "prune_filters", "ratio": 0.5}, "quantize_post"]})
    with pytest.raises(DataError, match="quantize_post: there is no training image to calibrate with"):
        compress(trained(), chain, context(data=empty))
    assert ran == []


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("prune_filters", {"ratio": 0.25, "tune": {"epochs": 2}}),
        ("prune_weights", {"ratio": 0.4, "increases": 1, "tune": {"epochs": 2, "average": False}}),
        ("distill", {"tune": {"epochs": 2}, "method": {"hints": "fitnets"}}),
        ("quantize_aware", {"tune": {"epochs": 1, "average": False}}),
    ],
)
def test_fast_layers_tune_to_the_same_network(name, options, monkeypatch):
    """With the fast CPU layers where they serve, and with Paddle's own operators alone."""
    if kernels.unsupported():
        pytest.skip(kernels.unsupported())
    used = []
    monkeypatch.setattr(
        learner,
        "Precision",
        lambda *args: used.append(precision.Precision(*args)) or used[-1],
    )
    monkeypatch.setattr(precision, "SMALL_STEP", 0)
    fast = step(name, **options).apply(trained(), context()).model
    monkeypatch.setattr(precision, "SMALL_STEP", 10**15)
    plain = step(name, **options).apply(trained(), context()).model
    kinds = {item.cpu_type for item in used}
    assert kinds == {"float32", None}
    first, second = (evaluate(model, digits().validation, ["loss", "accuracy"]) for model in (fast, plain))
    assert first["loss"] == pytest.approx(second["loss"], rel=0.02)
    assert first["accuracy"] == pytest.approx(second["accuracy"], abs=0.012)
