"""Compression of networks that answer with several labels or with numbers: steps, gates, bundles, candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest

from paddle_automl.compression.base import STEPS, Outcome
from paddle_automl.compression.bundling import create_step_bundle
from paddle_automl.compression.candidate import check_candidate, make_candidate
from paddle_automl.compression.chain import compress
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.measuring import main_score, outputs_of
from paddle_automl.core.errors import ConfigError, UnsupportedError
from paddle_automl.core.loading import validate
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.samples import check_samples
from paddle_automl.inputs.image.input import ImageInput
from paddle_automl.training.evaluation import evaluate, predict
from tests.unit.compression.small import context, digits, trained

OTHERS = ["digit_and_parity", "value"]
MAIN = {"digit_and_parity": "macro_f1", "value": "r2"}
SPEED = {"batch_sizes": [1], "gate_batch_size": 4, "rounds": 2, "runs": 1}
PRUNE = {"name": "prune_filters", "flops": 0.7, "tune": {"epochs": 6, "rate": 1.0}, "align": 4}
POST = {"name": "quantize_post", "analysis_images": 32}
QUICK = DeploymentConfig.model_validate({"latency": {"warmup": 1, "runs": 2}})


def config(*steps, **options) -> CompressionConfig:
    return validate(CompressionConfig, {"steps": list(steps), "speed": SPEED, **options})


def step(name, **options):
    return STEPS[name](STEPS[name].Config.model_validate({"name": name, **options}))


@pytest.fixture(scope="module", params=OTHERS)
def target(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def chain(target):
    return compress(trained(target), config(PRUNE, POST, max_drop=0.05, min_agreement=0.9), context(target))


def test_a_chain_is_gated_by_the_main_metric(chain, target):
    before, pruned, quantized = chain.steps
    assert [item.metric for item in chain.steps] == [MAIN[target]] * 3
    assert [item.kept for item in chain.steps] == [True] * 3
    assert before.score == pytest.approx(main_of(before.model, target), abs=1e-5)
    assert (before.agreement, pruned.agreement) == (1.0, 1.0)
    assert quantized.drop == pytest.approx(before.score - quantized.score)
    assert pruned.flops < 0.72 * before.flops
    assert quantized.weights_ratio < 0.4
    assert {MAIN[target], "drop"} < set(chain.table()[0])
    assert chain.as_dict()["steps"][1]["metric"] == MAIN[target]


def main_of(model, target) -> float:
    return evaluate(model, context(target).data.validation, [MAIN[target]])[MAIN[target]]


def test_steps_report_what_they_change(chain, target):
    _, pruned, quantized = chain.steps
    assert f"{MAIN[target]}_before_tuning" in pruned.facts
    costs = [cost for curve in pruned.facts["sensitivity"].values() for _, cost in curve]
    assert all(0 <= cost <= 1 for cost in costs)
    assert max(costs) > 0.1
    damage = [value for _, value in quantized.facts["damage"]]
    assert damage == sorted(damage, reverse=True)
    assert damage[0] > 0


@pytest.mark.parametrize("position", [1, 2])
def test_bundles_pass_their_parity_check_and_answer_alike(chain, target, position, tmp_path):
    result = chain.steps[position]
    chosen = config(PRUNE, POST, min_agreement=0.9)
    bundle = create_step_bundle(
        result,
        folder=tmp_path / "bundle",
        context=context(target),
        compression=chosen,
        deployment=QUICK,
        config={},
        metrics={},
    )
    assert bundle.verified, bundle.info.parity
    parity = bundle.info.parity
    assert parity.metric == MAIN[target]
    assert parity.value == pytest.approx(result.score, abs=1e-6)
    assert bundle.task.fitted == result.task.fitted
    split = digits(target).validation.with_task(bundle.task)
    assert main_score(Predictor(bundle).predict_split(split), split) == pytest.approx(result.score, abs=0.01)
    assert check_samples(bundle).passed


def test_what_is_worse_in_the_main_metric_is_rejected(target, monkeypatch):
    def forget(*_):
        model = trained(target)
        model.fc.weight.set_value(paddle.zeros_like(model.fc.weight))
        return Outcome(model)

    monkeypatch.setattr(STEPS["distill"], "apply", forget)
    result = compress(trained(target), config("distill"), context(target)).steps[1]
    assert not result.kept
    assert result.drop > 0.5
    assert result.reason == f"{MAIN[target]} is worse by {result.drop:.4f}, allowed is 0.01"


@pytest.mark.slow
def test_an_8_bit_export_that_answers_otherwise_than_its_network_is_rejected(target):
    chosen = config({**POST, "analysis": False}, min_agreement=1.0, max_drop=10.0)
    result = compress(trained(target), chosen, context(target)).steps[1]
    assert 0.9 < result.agreement < 1
    assert f"export and network give the same answer for {result.agreement:.4f} of the items" in result.reason


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("prune_weights", {"ratio": 0.4, "increases": 1, "tune": {"epochs": 3, "average": False}}),
        ("quantize_aware", {"tune": {"epochs": 1, "rate": 0.02, "average": False}}),
        ("distill", {"tune": {"epochs": 2}, "method": {"hints": "relations"}}),
        ("prune_filters", {"ratio": 0.25, "sensitivity": False, "tune": {"epochs": 3}, "teacher": None}),
    ],
)
def test_the_other_steps_keep_what_the_network_knows(name, options, target):
    model = step(name, **options).apply(trained(target), context(target)).model
    assert main_of(model, target) > main_of(trained(target), target) - 0.05


def test_thresholds_are_those_of_each_networks_export(chain, target):
    if target == "value":
        assert len({id(item.task) for item in chain.steps}) == 1
        return
    ctx = context(target)
    before, pruned, _ = chain.steps
    assert before.task is ctx.task
    expected = ctx.task.tuned(predict(pruned.model, ctx.data.validation), ctx.data.validation.codes)
    np.testing.assert_allclose(pruned.task.thresholds, expected.thresholds, atol=1e-4)
    assert (pruned.task.thresholds != before.task.thresholds).any()


def test_fixed_thresholds_stay():
    ctx = context("digit_and_parity")
    fixed = type(ctx.task)(ctx.task.fitted.model_copy(update={"tune": False}))
    changed = replace(ctx, data=ctx.data.with_task(fixed))
    result = compress(trained("digit_and_parity"), config({**POST, "analysis": False}), changed).steps[1]
    assert result.task is fixed


def test_thresholds_are_not_chosen_on_items_that_were_learned(tmp_path):
    """A network that was trained on the validation items as well is sure of them."""
    target = "digit_and_parity"
    ctx = context(target, tune_task=False)
    result = compress(trained(target), config({**POST, "analysis": False}), ctx).steps[1]
    assert result.task is ctx.task
    candidate = make_candidate(
        trained(target), config(precision="int8"), ctx, folder=tmp_path / "b", deployment=QUICK, rebuilt_by={}
    )
    assert candidate.bundle.task.fitted == ctx.task.fitted


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_candidate_is_measured_as_it_would_be_served(target, precision, tmp_path):
    prune = {**PRUNE, "ratio": 0.25, "flops": None, "tune": {"epochs": 1}}
    candidate = make_candidate(
        trained(target),
        config(prune, precision=precision),
        context(target),
        folder=tmp_path / "bundle",
        deployment=QUICK,
        rebuilt_by={},
        objectives=["latency_ms", f"{MAIN[target]} - 0.001 * latency_ms"],
    )
    metrics, bundle = candidate.metrics, candidate.bundle
    split = context(target).data.validation.with_task(bundle.task)
    outputs = outputs_of(bundle.session(), split)
    assert metrics[MAIN[target]] == pytest.approx(main_score(outputs, split), abs=1e-6)
    assert set(split.task.metrics) < set(metrics)
    assert {"parameters", "flops", "size_mb", "latency_ms"} < set(metrics)
    assert bundle.info.metrics["compression"]["metric"] == MAIN[target]
    if target == "digit_and_parity":
        assert bundle.task.fitted != context(target).task.fitted


class Vectors(ImageInput):
    """An input of another name that gives the same arrays."""

    name = "vectors"


@pytest.mark.parametrize("name", ["prune_filters", "quantize_post", "quantize_aware"])
def test_steps_for_images_refuse_other_inputs(name):
    data = context().data
    other = replace(data, input=Vectors(data.input.fitted))
    message = rf"compression.steps.1: {name} needs a network that takes image input, but this one takes vectors"
    chosen = config("distill", name)
    for run in (compress, check_candidate):
        with pytest.raises(ConfigError, match=message):
            run(trained(), chosen, context(data=other))


def test_steps_for_any_input_take_other_inputs():
    data = context().data
    other = replace(data, input=Vectors(data.input.fitted))
    check_candidate(trained(), config("distill", {"name": "prune_weights", "increases": 1}), context(data=other))


def test_outputs_that_are_not_finite_fail_the_step(target, monkeypatch):
    def broken(self, model, ctx):
        found = trained(target)
        found.fc.bias.set_value(paddle.full(found.fc.bias.shape, float("nan")))
        return Outcome(found)

    monkeypatch.setattr(STEPS["distill"], "apply", broken)
    result = compress(trained(target), config("distill", max_drop=1e9), context(target)).steps[1]
    assert not result.kept
    assert "failed: the exported network has outputs that are not finite for 359 of 359" in result.reason
    assert result.as_dict()["metric"] == MAIN[target]
    with pytest.raises(UnsupportedError, match="not finite"):
        outputs_of(lambda arrays: np.full((len(arrays["image"]), 1), np.inf), digits().validation)
