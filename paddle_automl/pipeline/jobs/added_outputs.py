"""A head with further outputs: its old ones stay as they are, and only those of new classes are learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn

from paddle_automl.models.network import Network
from paddle_automl.models.pretrained import BACKBONE
from paddle_automl.paddle_compat.modes import evaluating

PENALTIES = (1 / 300, 1 / 100, 1 / 30, 1 / 10, 1 / 3)
"""Penalties on squared weights that are tried, in units of the items' mean squared length."""
ITERATIONS = 200


@dataclass(frozen=True)
class Given:
    """What new outputs are learned from: the last layer's inputs [N, F], the raw old outputs [N, K], and codes."""

    inputs: np.ndarray
    raw: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class Added:
    """Weights [F, M] and biases [M] of M new outputs."""

    weight: np.ndarray
    bias: np.ndarray

    def outputs(self, given: Given) -> np.ndarray:
        """Return the raw outputs of old and new classes, [N, K + M]."""
        return np.concatenate([given.raw, given.inputs @ self.weight + self.bias], axis=1)


def last_layer(model: Network, outputs: int) -> tuple[str, nn.Linear] | None:
    """Return name and layer that gives the raw outputs of a head; None if it is not a linear layer with a bias."""
    found = [(name, layer) for name, layer in model.named_sublayers() if isinstance(layer, nn.Linear)]
    found = [(name, layer) for name, layer in found if not name.startswith(BACKBONE)]
    if not found or found[-1][1].bias is None or found[-1][1].weight.shape[1] != outputs:
        return None
    return found[-1]


def given_of(model: Network, features: np.ndarray, codes: np.ndarray, outputs: int, old: int) -> Given:
    """Return what the head of `model` makes of features [N, F]; it has `outputs` outputs, the first `old` count."""
    named = last_layer(model, outputs)
    assert named is not None
    seen: list[np.ndarray] = []
    hook = named[1].register_forward_pre_hook(lambda layer, args: seen.append(args[0].numpy()))
    try:
        with evaluating(model), paddle.no_grad():
            raw = model.head(paddle.to_tensor(np.ascontiguousarray(features))).numpy()
    finally:
        hook.remove()
    return Given(seen[-1].astype(np.float64), raw[:, :old].astype(np.float64), codes)


def fitted(given: Given, added: int, penalty: float) -> Added:
    """Return the outputs of `added` new classes that make the codes likeliest, the old outputs being as given.

    That is a logistic regression with an offset: convex, so it has one answer.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    old, features = given.raw.shape[1], given.inputs.shape[1]
    size = penalty * float(np.square(given.inputs).sum(axis=1).mean())
    targets = (given.codes[:, None] == np.arange(old + added)).astype(np.float64)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat[:-added].reshape(features, added), flat[-added:]
        logs = log_softmax(Added(weight, bias).outputs(given), axis=1)
        slope = (np.exp(logs) - targets)[:, old:]
        gradient = np.concatenate([(given.inputs.T @ slope + size * weight).ravel(), slope.sum(axis=0)])
        return float(-(targets * logs).sum() + size / 2 * np.square(weight).sum()), gradient

    start = np.zeros(features * added + added)
    found: Any = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    return Added(found.x[:-added].reshape(features, added), found.x[-added:])


def best_penalty(parts: list[tuple[Given, Given]], added: int) -> tuple[float, list[np.ndarray]]:
    """Return the penalty under which held items are likeliest, and their raw outputs for each part.

    A part are the items to learn from and those that are held out.
    """
    tried: dict[float, tuple[float, list[np.ndarray]]] = {}
    for penalty in PENALTIES:
        outputs = [fitted(learned, added, penalty).outputs(held) for learned, held in parts]
        loss = sum(_loss(raw, held.codes) for raw, (_, held) in zip(outputs, parts, strict=True))
        tried[penalty] = (loss, outputs)
    best = min(tried, key=lambda penalty: tried[penalty][0])
    return best, tried[best][1]


def _loss(raw: np.ndarray, codes: np.ndarray) -> float:
    from scipy.special import log_softmax

    return -float(log_softmax(raw, axis=1)[np.arange(len(raw)), codes].sum())


def grown(
    arrays: dict[str, np.ndarray], head: dict[str, np.ndarray], layer: str, added: Added
) -> dict[str, np.ndarray]:
    """Return the tensors of a network with the old `head`, whose last `layer` has the new outputs after the old."""
    result = {**arrays, **{name: array for name, array in head.items() if not name.startswith(BACKBONE)}}
    for name, values, axis in (("weight", added.weight, 1), ("bias", added.bias, 0)):
        key = f"{layer}.{name}"
        result[key] = np.concatenate([head[key], values.astype(np.float32)], axis=axis)
    return result
