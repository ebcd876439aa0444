"""Batches of an evaluation take little memory: fewer of large items."""

import pytest

from paddle_automl.data import running
from paddle_automl.data.running import fitting_batch
from paddle_automl.training import evaluation


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ([(1, 8, 8)], 256),
        ([(3, 64, 64)], 256),
        ([(3, 288, 288)], 16),
        ([(3, 100_000, 100_000)], 1),
        ([(None,), (None,)], 256),
        ([(3, 288, 288), (3, 288, 288)], 8),
    ],
)
def test_large_items_come_in_small_batches(shapes, size):
    assert fitting_batch(shapes, 256) == size


def test_batches_do_not_change_the_outputs(monkeypatch, digits, make_model):
    model, sizes = make_model(), []
    model.register_forward_pre_hook(lambda layer, given: sizes.append(given[0].shape[0]))
    whole = evaluation.predict(model, digits.validation)
    monkeypatch.setattr(running, "MOST_NUMBERS", 8 * 8 * 7)
    sizes.clear()
    assert abs(evaluation.predict(model, digits.validation) - whole).max() < 1e-6
    assert max(sizes) == 7
