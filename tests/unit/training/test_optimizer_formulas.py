"""Each optimizer's steps against its paper's formula, in NumPy."""

import math

import numpy as np
import pytest

from tests.unit.training.optimizer_steps import GRADIENTS, START, newton_schulz, run


def nadam(p, rate, beta1=0.9, beta2=0.999, psi=0.004, epsilon=1e-8):
    m = v = np.zeros_like(p)
    product = 1.0
    for t, g in enumerate(GRADIENTS, 1):
        now, later = (beta1 * (1 - 0.5 * 0.96 ** (s * psi)) for s in (t, t + 1))
        product *= now
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        mean = later * m / (1 - product * later) + (1 - now) * g / (1 - product)
        p = p - rate * mean / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return p


def radam(p, rate, beta1=0.9, beta2=0.999):
    m = v = np.zeros_like(p)
    rho = 2 / (1 - beta2) - 1
    rectified = 0
    for t, g in enumerate(GRADIENTS, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        mean = m / (1 - beta1**t)
        rho_t = rho - 2 * t * beta2**t / (1 - beta2**t)
        if rho_t > 5:
            rectified += 1
            factor = (rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t)
            mean = mean * math.sqrt(factor) * math.sqrt(1 - beta2**t) / np.sqrt(v)
        p = p - rate * mean
    assert 0 < rectified < len(GRADIENTS)
    return p


def adagrad(p, rate):
    total = np.full_like(p, 0.1)
    for g in GRADIENTS:
        total = total + g * g
        p = p - rate * g / (np.sqrt(total) + 1e-6)
    return p


def adadelta(p, rate, rho=0.95, epsilon=1e-6):
    v = u = np.zeros_like(p)
    for g in GRADIENTS:
        v = rho * v + (1 - rho) * g * g
        d = g * np.sqrt((u + epsilon) / (v + epsilon))
        u = rho * u + (1 - rho) * d * d
        p = p - rate * d
    return p


def adamax(p, rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = u = np.zeros_like(p)
    for t, g in enumerate(GRADIENTS, 1):
        m, u = beta1 * m + (1 - beta1) * g, np.maximum(beta2 * u + epsilon, np.abs(g))
        p = p - rate * m / (u * (1 - beta1**t))
    return p


def lion(p, rate, decay=0.2):
    m = np.zeros_like(p)
    for g in GRADIENTS:
        p = p - rate * (np.sign(0.9 * m + 0.1 * g) + decay * p)
        m = 0.99 * m + 0.01 * g
    return p


def muon(p, rate, decay=0.2):
    v = np.zeros_like(p)
    for g in GRADIENTS:
        v = 0.95 * v + g
        # Paddle's matrices are [in, out].
        u = newton_schulz(g + 0.95 * v, 5) * math.sqrt(3 / 2)
        p = p - rate * (u + decay * p)
    return p


def descent(p, rate):
    for g in GRADIENTS:
        p = p - rate * g
    return p


def lookahead(p, rate):
    slow = p
    for t, g in enumerate(GRADIENTS, 1):
        p = p - rate * g
        if t % 5 == 0:
            p = slow = slow + 0.5 * (p - slow)
    return p


def schedule_free(p, rate):
    z = x = p
    for t, g in enumerate(GRADIENTS, 1):
        z = z - rate * g
        x = x + (z - x) / t
    # What the parameters hold between steps: the point of the next gradient.
    return 0.1 * z + 0.9 * x


CASES = [
    (nadam, {}),
    (radam, {}),
    (adagrad, {"initial_sum": 0.1}),
    (adadelta, {}),
    (adamax, {}),
    (lion, {"weight_decay": 0.2}),
    (muon, {"weight_decay": 0.2}),
    (lookahead, {"base": "sgd"}),
    (schedule_free, {}),
    (descent, {}),
]


@pytest.mark.parametrize(("formula", "options"), CASES, ids=lambda item: getattr(item, "__name__", ""))
def test_twelve_steps_follow_the_formula(formula, options):
    name = "sgd" if formula is descent else formula.__name__
    expected = formula(START, 0.3)
    np.testing.assert_allclose(run(name, learning_rate=0.3, **options), expected, rtol=2e-4, atol=1e-5)
