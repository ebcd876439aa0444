"""An 8-bit network that loses too much keeps the layers that do most damage in float."""

import time
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn.quant.format import LinearQuanter

from paddle_automl.compression import calibration
from paddle_automl.compression import chain as chain_module
from paddle_automl.compression.base import STEPS, Form, Outcome, Repair
from paddle_automl.compression.chain import FOLLOWING, _Chain, compress
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.int8_layers import observed_outputs, ready_for_int8
from paddle_automl.compression.results import StepResult
from paddle_automl.core.loading import validate
from paddle_automl.models import kernels
from paddle_automl.paddle_compat.slim.quantization import PostTraining, QuantedConv2D
from tests.unit.compression.small import SPECS, batch, context, images, trained

DAMAGED = "backbone.stages.0.0.residual.1.conv"


def spoiled():
    """Return the trained network with a huge map between two convolutions, which the second one ignores."""
    model = trained()
    first, second = model.backbone.stages[0][0].residual
    with paddle.no_grad():
        weight, bias, kernel = first.norm.weight.numpy(), first.norm.bias.numpy(), second.conv.weight.numpy()
        weight[0], bias[0], kernel[:, 0] = 3000, 3000, 0
        first.norm.weight.set_value(weight)
        first.norm.bias.set_value(bias)
        second.conv.weight.set_value(kernel)
    return model


def chain(analysis=True, **options):
    speed = {"batch_sizes": [1], "gate_batch_size": 1, "rounds": 2, "runs": 1}
    steps = [{"name": "quantize_post", "analysis": analysis}]
    return validate(CompressionConfig, {"steps": steps, "speed": speed, **options})


def calibrated(model, **options):
    arrays = {"image": images(64)}
    options = {"observer": "abs_max", "skip": (), "option": "skip", **options}
    return calibration.calibrate(model, SPECS, arrays, **options)


@pytest.fixture
def calibrations(monkeypatch):
    """Return a list that gets an item for every calibration."""
    made = []

    def counted(*args):
        made.append(args)
        return PostTraining(*args)

    monkeypatch.setattr(calibration, "PostTraining", counted)
    return made


@pytest.mark.timeout(170)
def test_the_layer_that_breaks_the_network_stays_float32(calibrations):
    model = spoiled()
    result = compress(model, chain(max_drop=0.02), context(original=model))
    after = result.steps[1]
    assert after.facts["broken_by"] > 0.02
    assert after.facts["damage"][0][0] == DAMAGED
    assert after.facts["float_layers"] == [DAMAGED]
    assert DAMAGED in after.facts["skipped"]
    assert DAMAGED not in after.facts["layers"]
    assert after.drop <= 0.02
    assert f"1 of {len(after.facts['damage'])} layers in float32: {DAMAGED}" in after.reason
    assert result.table()[-1]["in float32"] == DAMAGED
    assert after.kept or "neither clearly faster nor smaller" in after.reason
    assert len(calibrations) == 1


def test_a_network_without_damage_is_quantized_whole():
    model = trained()
    after = compress(model, chain(max_drop=0.05), context(original=model)).steps[1]
    assert "float_layers" not in after.facts
    assert after.repaired.layers == ()
    assert "in float32" not in after.reason


def test_without_an_analysis_layers_are_ranked_when_it_is_needed():
    model = spoiled()
    made = STEPS["quantize_post"](chain(analysis=False).steps[0]).apply(model, context(original=model))
    assert "damage" not in made.facts
    order = made.repair.layers_by_damage()
    assert order[0] == DAMAGED
    assert sorted(order) == sorted(made.facts["layers"])


def test_the_damage_is_the_same_with_the_fast_layers(monkeypatch):
    found, probes = calibrated(spoiled()), {"image": images(16)}
    damage = found.damage(probes, classes=True)
    assert max(damage, key=damage.get) == DAMAGED
    monkeypatch.setattr(calibration.kernels, "use", lambda dtype: nullcontext())
    assert found.damage(probes, classes=True) == pytest.approx(damage, rel=0.1, abs=1e-4)


@pytest.mark.parametrize("observer", ["abs_max", "avg", "hist"])
def test_ranges_are_those_of_a_network_that_is_run_with_observers(observer):
    """The fast layers show them the same maps, in another order of the axes."""
    model, (x,) = trained(), batch(64)
    ready, names = ready_for_int8(model, SPECS)
    slow = PostTraining(ready, [*names.values(), *observed_outputs(ready)], observer)
    with paddle.no_grad():
        slow.model(x)
    expected, got = slow.convert().state_dict(), calibrated(model, observer=observer).whole.state_dict()
    assert list(got) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name].numpy(), value.numpy(), rtol=1e-4, atol=1e-4, err_msg=name)


def test_layers_go_back_to_float_without_a_calibration(calibrations):
    model = trained()
    found, (x,) = calibrated(model), batch(32)
    left = found.leaving([*found.names][:2])
    expected = calibrated(model, skip=tuple([*found.names][:2])).whole
    np.testing.assert_array_equal(left(x).numpy(), expected(x).numpy())
    stem = left.backbone.stem.conv.conv
    np.testing.assert_array_equal(stem.weight.numpy(), model.backbone.stem.conv.conv.weight.numpy())
    floats = found.leaving([*found.names])
    assert not any(isinstance(layer, QuantedConv2D) for layer in floats.sublayers())
    assert isinstance(floats.fc, nn.Linear)
    assert len(calibrations) == 2


def test_the_simulation_is_the_same_with_the_fast_layers(monkeypatch):
    if kernels.unsupported():
        pytest.skip(kernels.unsupported())
    whole, (x,) = calibrated(trained()).whole, batch(64)
    quantize, shapes = LinearQuanter.forward, []

    def noted(self, given):
        shapes.append(given.shape)
        return quantize(self, given)

    with paddle.no_grad():
        expected = whole(x)
        monkeypatch.setattr(LinearQuanter, "forward", noted)
        with kernels.use("float32"):
            got = whole(x)
    # All maps are rounded on the fast path; the features before the head are not.
    assert shapes == [[64, 32]]
    # A value at the border of two steps may be rounded to either.
    assert float((got - expected).abs().mean()) < 0.01 * float(expected.abs().mean())


def test_without_time_nothing_is_repaired():
    model = spoiled()
    result = compress(model, chain(analysis=False, max_drop=0.02), context(original=model), time.monotonic())
    after = result.steps[1]
    assert (after.kept, after.repaired.layers) == (False, ())
    assert "accuracy is worse by" in after.reason
    assert after.reason.endswith("s are needed")
    assert "; no time was left to return layers to float: " in after.reason
    assert 0 < after.agreement < 1


class Numbered(Repair):
    """Layers by numbers; a network is the number of those in float."""

    def layers_by_damage(self):
        return [str(number) for number in range(20)]

    def leaving(self, layers):
        return Outcome(len(layers))


@pytest.mark.parametrize(
    ("drops", "agrees", "expected", "tries", "compared"),
    [
        ({0, 1, 2, 3, 4}, range(20), 5, [1, 2, 4, 8, 6, 5], [5]),
        ({0, 1, 2, 3, 4}, range(7, 20), 7, [1, 2, 4, 8, 6, 5, 1, 2, 4, 8, 6, 7], [5, 8, 6, 7]),
        ((), range(3, 20), 3, [1, 2, 4, 3], [0, 1, 2, 4, 3]),
        (range(20), range(20), 0, [1, 2, 4, 8, 16, 19], [0]),
        ({0}, (), 0, [1, 1, 2, 4, 8, 16, 19], [1, 1, 2, 4, 8, 16, 19, 0]),
    ],
)
def test_the_agreement_is_measured_of_what_is_chosen(monkeypatch, drops, agrees, expected, tries, compared):
    tried, seen = [], []

    def measure(self, result, model, last=None):
        tried.append(model)
        result.drop = 0.1 if model in drops else 0.0
        self.sessions[0] = {"int8": model}

    def compare(self, result):
        if np.isnan(result.agreement):
            seen.append(result.model)
            result.agreement = float(result.model in agrees)

    monkeypatch.setattr(_Chain, "_measure", measure)
    monkeypatch.setattr(_Chain, "_measure_agreement", compare)
    monkeypatch.setattr(_Chain, "_measure_formats", lambda self, result: {})
    step = STEPS["quantize_post"](chain().steps[0])
    monkeypatch.setattr(step, "apply", lambda model, context: Outcome(0, repair=Numbered()), raising=False)
    made = _Chain(chain(max_drop=0.05), context(), None)
    result = made._applied(step, StepResult("before", True, "", Form.DENSE, trained(), None))
    assert (result.model, len(result.repaired.layers), made.sessions[0]) == (expected, expected, {"int8": expected})
    assert (tried, seen) == ([0, *tries], compared)


def test_a_repair_ends_with_what_it_has_found(monkeypatch):
    """Here the time is up before the fourth try, of which the third is the first that works."""
    monkeypatch.setattr(_Chain, "_measure_agreement", lambda self, result: None)
    times = iter([0.0, 10.0, 20.0, 30.0, 41.0])
    monkeypatch.setattr(chain_module, "time", SimpleNamespace(monotonic=lambda: next(times)))

    def measure(self, result, model, last=None):
        result.drop = 0.1 if model < 4 else 0.0
        self.sessions[0] = {"int8": model}

    monkeypatch.setattr(_Chain, "_measure", measure)
    made = _Chain(chain(max_drop=0.05), context(), None, until=50 + 10 * FOLLOWING, before_s=10, trying_s=10)
    last = StepResult("before", True, "", Form.DENSE, trained(), None)
    broken = StepResult("quantize_post", False, "", Form.QUANTIZED, 0, context().task, drop=0.1)
    made.sessions[0] = {"int8": 0}
    result = made._repaired(STEPS["quantize_post"](chain().steps[0]), Numbered(), broken, last)
    assert (result.model, made.sessions[0]) == (4, {"int8": 4})
    assert broken.unrepaired == "no time was left to return layers to float: 35 s are needed"
