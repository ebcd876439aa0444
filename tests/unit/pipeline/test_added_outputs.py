"""Outputs for new classes are added to a head whose old ones stay."""

import numpy as np
import pytest

from paddle_automl.pipeline.jobs.added_outputs import Added, Given, best_penalty, fitted, grown


def blobs(count, seed):
    """Return items of two old classes, which the raw outputs tell apart, and of a new one along another axis."""
    rng = np.random.default_rng(seed)
    codes = np.repeat([0, 1, 2], count)
    centres = np.array([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    inputs = centres[codes] + rng.normal(0, 0.5, (len(codes), 3))
    return Given(inputs, np.stack([2 * inputs[:, 0], -2 * inputs[:, 0]], axis=1), codes)


def test_new_items_are_found_and_old_outputs_are_as_they_were():
    given, held = blobs(30, 0), blobs(30, 1)
    outputs = fitted(given, 1, 0.01).outputs(held)
    assert np.array_equal(outputs[:, :2], held.raw)
    assert (outputs.argmax(axis=1) == held.codes).mean() > 0.95


def test_the_fit_is_a_minimum():
    given = blobs(20, 0)
    found = fitted(given, 1, 0.1)
    size = 0.1 * np.square(given.inputs).sum(axis=1).mean()

    def loss(weight, bias):
        raw = Added(weight, bias).outputs(given)
        logs = raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))
        return -logs[np.arange(len(raw)), given.codes].sum() + size / 2 * np.square(weight).sum()

    best = loss(found.weight, found.bias)
    for step in np.eye(4) * 0.05:
        for sign in (1, -1):
            assert loss(found.weight + sign * step[:3, None], found.bias + sign * step[3]) > best


def test_the_penalty_is_chosen_on_items_that_are_held_out():
    given = blobs(30, 0)
    even = np.arange(len(given.codes)) % 2 == 0
    one, other = (Given(given.inputs[rows], given.raw[rows], given.codes[rows]) for rows in (even, ~even))
    penalty, outputs = best_penalty([(one, other), (other, one)], 1)
    assert 0 < penalty < 1
    assert [item.shape for item in outputs] == [(45, 3), (45, 3)]


def test_the_grown_head_has_the_old_rows_first():
    head = {"backbone.w": np.zeros(2), "fc.weight": np.ones((3, 2), np.float32), "fc.bias": np.ones(2, np.float32)}
    added = Added(np.full((3, 1), 5.0), np.full(1, 7.0))
    arrays = grown({"backbone.w": np.full(2, 9.0)}, head, "fc", added)
    assert arrays["backbone.w"].tolist() == [9, 9]
    assert arrays["fc.weight"].tolist() == [[1, 1, 5]] * 3
    assert arrays["fc.bias"].tolist() == pytest.approx([1, 1, 7])
    assert arrays["fc.weight"].dtype == np.float32
