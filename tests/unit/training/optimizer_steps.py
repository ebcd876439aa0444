"""Steps of an optimizer along given gradients."""

import numpy as np

from paddle_automl.testing.optimizers import parameter, step
from paddle_automl.training.optimizers.base import OPTIMIZERS, ParameterGroup
from paddle_automl.training.optimizers.muon import QUINTIC

GRADIENTS = np.random.default_rng(0).normal(size=(12, 2, 3))
START = np.arange(6.0).reshape(2, 3) - 2


def build(name, groups, **options):
    return OPTIMIZERS[name](OPTIMIZERS[name].Config(**options)).build(groups, None)


def run(name, **options):
    """Return where the gradients lead from the start."""
    p = parameter(START)
    optimizer = build(name, [ParameterGroup([p])], **options)
    for gradient in GRADIENTS:
        step(optimizer, [p], [gradient])
    return p.numpy()


def newton_schulz(x, iterations):
    """Return the published form, with all products of the large matrix."""
    x = x / np.linalg.norm(x)
    a, b, c = QUINTIC
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x
