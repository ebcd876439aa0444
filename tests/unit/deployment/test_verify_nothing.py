"""A verification passes only if something was run, on items that exist."""

import paddle
import pytest

from paddle_automl.deployment.verify import Checks, verify_bundle

without_gpu = pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="this Paddle can run on a GPU")


@without_gpu
def test_a_bundle_of_which_no_format_can_be_run(bundle):
    found = verify_bundle(bundle.folder, Checks(device="gpu"))
    assert list(found.skipped) == ["paddle_inference"]
    assert not found.passed
    (problem,) = found.problems
    assert problem.startswith("no format could be run here, so no answer was checked: paddle_inference: ")
