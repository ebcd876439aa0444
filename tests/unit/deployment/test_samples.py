"""The samples of a format in 8 bits: what it gave at the export, and the looser rule of earlier bundles."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.crosscheck import Comparison, Pair
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.parity_record import most_different
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.samples import (
    MOST_UNSTORED,
    OTHER_PROCESSOR,
    SampleCheck,
    check_samples,
    with_own_outputs,
)
from paddle_automl.deployment.verify import Checks, verify_bundle
from tests.unit.deployment.conftest import quick, tampered

QUICK = Checks(latency=False)
NAME = "paddle_program"


@pytest.fixture(scope="module")
def exact(net, data, tmp_path_factory) -> Bundle:
    folder = tmp_path_factory.mktemp("samples") / "b"
    deployment = quick(formats=[NAME])
    return create_bundle(net, folder=folder, data=data, deployment=deployment, config={}, metrics={})


@pytest.fixture
def bundle(exact, tmp_path) -> Bundle:
    """A bundle of an earlier version: one of its formats is in 8 bits and differed by 0.62 at the export."""
    (record,) = exact.info.formats
    changes = {"max_difference": None, "min_agreement": 0.95, "max_drop": 0.01, "largest_difference": 0.62}
    int8 = record.model_copy(update={"parity": record.parity.model_copy(update=changes)})
    return Bundle.open(tampered(exact, tmp_path / "b")).updated(formats=[int8])


def expected_of(bundle):
    return json.loads((bundle.folder / "samples" / "expected.json").read_text(encoding="utf-8"))


class Changed:
    """A loaded network with other outputs."""

    def __init__(self, session, change):
        self.session, self.change = session, change

    def __call__(self, arrays):
        return self.change(self.session(arrays))

    def all_outputs(self, arrays):
        outputs, *others = self.session.all_outputs(arrays)
        return [self.change(outputs), *others]


def giving(monkeypatch, change):
    """Let the format in 8 bits give changed outputs."""
    kept = Bundle.session

    def session(self, *, name=None, **options):
        found = kept(self, name=name, **options)
        return Changed(found, change) if name == NAME else found

    monkeypatch.setattr(Bundle, "session", session)


def check(bundle) -> SampleCheck:
    return check_samples(Predictor(bundle, runtime=NAME))


def nan(outputs):
    return np.where(np.arange(len(outputs))[:, None] == 2, np.nan, outputs)


def noise(outputs):
    return np.random.default_rng(0).dirichlet(np.ones(outputs.shape[1]), len(outputs)).astype(np.float32)


def test_an_earlier_bundle_allows_no_wrong_answers(bundle, monkeypatch):
    assert "formats" not in expected_of(bundle)
    found = check(bundle)
    assert found.passed
    assert found.max_difference == MOST_UNSTORED < 0.5
    giving(monkeypatch, lambda outputs: np.roll(outputs, 1, axis=1))
    assert not check(bundle).passed


def test_outputs_that_are_no_numbers_fail_by_themselves(bundle, monkeypatch):
    giving(monkeypatch, nan)
    loose = check_samples(Predictor(bundle, runtime=NAME), max_difference=2.0)
    assert (loose.not_finite, loose.passed) == (1, False)
    assert loose.describe().startswith("FAILED: 5 samples, 1 without finite outputs, ")
    assert not verify_bundle(bundle.folder, QUICK).samples[NAME].passed
    giving(monkeypatch, lambda outputs: np.where(np.isnan(outputs), np.inf, outputs))
    assert not check(bundle).passed


def test_a_format_in_8_bits_is_held_to_its_own_outputs(bundle, monkeypatch):
    shift = np.array([0.2, -0.1, -0.1], np.float32)
    # The network in 8 bits gives other probabilities than the trained one, but always the same.
    with monkeypatch.context() as patch:
        giving(patch, lambda outputs: outputs + shift)
        stored = with_own_outputs(bundle, NAME)
        network, own = expected_of(stored)["samples"], expected_of(stored)["formats"][NAME]
        assert np.allclose(np.array(own) - [item["outputs"] for item in network], shift, atol=1e-5)
        found = check(Bundle.open(stored.folder))
        assert found.passed
        assert found.max_difference == OTHER_PROCESSOR
        assert found.largest_difference < 1e-6
    for change in (noise, nan, lambda outputs: outputs, lambda outputs: np.roll(outputs, 1, axis=1)):
        with monkeypatch.context() as patch:
            giving(patch, change)
            assert not check(stored).passed
            assert not verify_bundle(stored.folder, QUICK).passed
    with monkeypatch.context() as patch:
        giving(patch, lambda outputs: outputs + shift * 1.2)
        assert check(stored).passed


def test_an_exact_format_keeps_the_outputs_of_the_network(bundle):
    assert with_own_outputs(bundle, "paddle_inference") is bundle
    found = check_samples(Predictor(bundle, runtime="paddle_inference"))
    assert found.passed
    assert found.max_difference == 1e-4


def pair(items, agreement, required=0.95, allowed=None):
    return Pair("onnx", "onnx_int8", items, agreement, 0.3, allowed, required)


def test_few_items_may_disagree_by_chance_and_many_may_not():
    assert [most_different(items, 0.95) for items in (1, 5, 20, 1000)] == [1, 2, 4, 71]
    assert [most_different(items, 1.0) for items in (1, 5, 1000)] == [0, 0, 0]
    assert most_different(7, 0.0) == 7
    assert pair(5, 0.8).passed
    assert pair(5, 0.6).passed
    assert not pair(5, 0.4).passed
    assert pair(1000, 0.94).passed
    assert not pair(1000, 0.92).passed
    assert not pair(1000, 0.999, required=1.0).passed
    assert not pair(5, 1.0, allowed=0.2).passed
    assert "required 0.95, so 2 may differ" in pair(5, 0.8).describe()


def test_two_formats_in_8_bits_may_each_differ_from_the_network(bundle, data):
    predictors = {name: Predictor(bundle, runtime=name) for name in bundle.formats}
    comparison = Comparison(predictors, bundle.task, max_difference=1e-4)
    (found,) = comparison.run([data.validation.raw(np.arange(40))])
    # Paddle's own file in 8 bits is of a network that had been quantized before.
    assert (found.required, found.allowed) == (0.9, None)
    assert not bundle.record_of(NAME).exact
    (record,) = bundle.info.formats
    int8 = record.model_copy(update={"exporter": EXPORTERS["onnx_int8"].Config(name="onnx_int8")})
    both = [SimpleNamespace(bundle=SimpleNamespace(record_of=lambda name: int8), format="x")] * 2
    (found,) = Comparison(dict(zip("ab", both, strict=True)), bundle.task, max_difference=1e-4).pairs.values()
    assert found.required == 0.9


def test_one_of_five_samples_may_change_in_8_bits(bundle, monkeypatch):
    def one(outputs):
        changed = outputs.copy()
        changed[0] = np.roll(changed[0], 1)
        return changed

    giving(monkeypatch, one)
    stored = with_own_outputs(bundle, NAME)
    found = verify_bundle(stored.folder, QUICK)
    assert found.passed, found.problems
    assert [(item.items, item.agreement) for item in found.pairs] == [(5, 0.8)]
