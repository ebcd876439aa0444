"""New classes take few items of old ones: how far their outputs are lowered."""

import logging

import numpy as np
import pytest

from paddle_automl.pipeline.jobs.newcomers import TOTAL, _tell, smallest_shift


def outputs_of(margins, taken):
    """Return the outputs of two old classes and a new one, and codes: `margins` are the new class's leads."""
    rows = [[0.0, -9.0, margin] for margin in margins] + [[0.0, -9.0, lead] for lead in taken]
    codes = [0] * len(margins) + [2] * len(taken)
    return np.array(rows), np.array(codes)


def test_nothing_is_lost_so_nothing_changes():
    outputs, codes = outputs_of([-1.0] * 40, [3.0] * 10)
    assert smallest_shift(outputs, codes, 2) == 0


def test_as_little_as_brings_old_items_back():
    # Two of 40 old items are taken, by leads of 0.3 and 0.6; no new one is near.
    outputs, codes = outputs_of([0.3, 0.6, *[-1.0] * 38], [3.0] * 10)
    shift = smallest_shift(outputs, codes, 2)
    assert shift == pytest.approx(-0.6, abs=0.051)
    outputs[:, 2] += shift
    assert (outputs[:40].argmax(axis=1) == 0).all()


def test_not_at_the_cost_of_the_whole():
    # All new items lead by less than the old one that is taken.
    outputs, codes = outputs_of([2.0, *[-1.0] * 39], [1.0] * 10)
    shift = smallest_shift(outputs, codes, 2)
    assert shift > -1.05
    outputs[:, 2] += shift
    assert (outputs.argmax(axis=1) == codes).mean() >= 0.98 - TOTAL


def test_old_mistakes_are_not_those_of_the_new_class():
    outputs, codes = outputs_of([-1.0] * 40, [3.0] * 10)
    codes[:5] = 1
    assert smallest_shift(outputs, codes, 2) == 0
    assert smallest_shift(outputs[:40], codes[:40], 2) == 0


def test_only_a_shift_is_told(caplog):
    outputs, codes = np.eye(3), np.arange(3)
    with caplog.at_level(logging.WARNING):
        _tell(outputs, codes, 2, 0.0, 1.0)
        assert not caplog.records
        _tell(outputs, codes, 2, -0.5, 0.005)
    assert "the outputs of new classes were lowered by 0.50" in caplog.text
