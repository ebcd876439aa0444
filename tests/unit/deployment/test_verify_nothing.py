"""A verification passes only if something was run, on items that exist."""

import numpy as np
import paddle
import pytest

from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.crosscheck import Comparison
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.verify import Checks, verify_bundle
from tests.unit.deployment.conftest import quick

QUICK = Checks(latency=False)
without_gpu = pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="this Paddle can run on a GPU")


@without_gpu
def test_a_bundle_of_which_no_format_can_be_run(bundle):
    found = verify_bundle(bundle.folder, Checks(device="gpu"))
    assert list(found.skipped) == ["paddle_inference"]
    assert not found.passed
    (problem,) = found.problems
    assert problem.startswith("no format could be run here, so no answer was checked: paddle_inference: ")


def test_data_are_run_by_a_single_format(bundle, data, monkeypatch):
    batches = [data.validation.raw(np.arange(20)), data.validation.raw(np.arange(20, 33))]
    found = verify_bundle(bundle.folder, QUICK, data=batches, source="my_photos")
    assert found.passed
    assert [(run.name, run.items, run.not_finite) for run in found.runs] == [("paddle_inference", 33, 0)]
    assert "paddle_inference on my_photos: 33 items, all outputs finite" in found.describe()
    kept = Predictor.predict_items

    def broken(self, items, **options):
        outputs = kept(self, items, **options)
        return np.where(np.arange(len(outputs))[:, None] == 7, np.nan, outputs)

    monkeypatch.setattr(Predictor, "predict_items", broken)
    found = verify_bundle(bundle.folder, QUICK, data=batches, source="my_photos")
    assert found.problems == ("paddle_inference on my_photos: 33 items, 2 without finite outputs",)


def test_no_items_are_no_agreement(net, data, bundle, tmp_path):
    (pair,) = Comparison({"a": Predictor(bundle), "b": Predictor(bundle)}, data.task, max_difference=1).run([])
    assert (pair.items, pair.passed) == (0, False)
    found = verify_bundle(bundle.folder, QUICK, data=[], source="an_empty_folder")
    assert found.problems == ("paddle_inference on an_empty_folder: no items to run",)
    deployment = quick(formats=["paddle_program"], samples=0)
    two = create_bundle(net, folder=tmp_path / "b", data=data, deployment=deployment, config={}, metrics={})
    found = verify_bundle(two.folder, QUICK)
    assert (found.passed, found.pairs) == (True, ())
