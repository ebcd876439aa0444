"""Action values that are factored over decisions, learned by Bayesian ridge regression.

The value of choices is a sum over decisions, ``Q(s, a) = w0 + sum_j w_j . phi_j(x_j)``, where x is the
configuration that the action leads to. phi_j is one-hot for a choice; for a number it is hat functions (the
cells of a table, with linear interpolation between them), u and u^2. An inactive decision adds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.encoding import Encoding

HATS = 4
INTERCEPT_VARIANCE = 100.0
"""Prior variance of w0 in units of the other weights', so that the mean reward is not shrunk to 0."""
MIN_VARIANCE = 0.02


class Features:
    """Maps rows [N, D] to features [N, F]."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.slices: dict[int, slice] = {}
        start = 1
        for j in encoding.free:
            column = encoding.columns[j]
            width = (column.size or 1) if column.category else self._hats(column.size) + 2 * (column.size != 2)
            self.slices[int(j)] = slice(start, start + width)
            start += width
        self.width = start

    def __call__(self, rows: Array) -> Array:
        """Return the features."""
        active = self.encoding.active(rows)
        result = np.zeros((len(rows), self.width))
        result[:, 0] = 1.0
        for j, part in self.slices.items():
            result[:, part] = self.of_column(j, rows[:, j]) * active[:, [j]]
        return result

    def effects(self, rows: Array) -> Array:
        """Return the features [N, F - 1] without the constant, scaled by the root of the number of decisions.

        Then the variance of a sum of main effects does not grow with the number of decisions.
        """
        scaled: Array = self(rows)[:, 1:] / np.sqrt(max(1, len(self.slices)))
        return scaled

    def of_column(self, j: int, coordinates: Array) -> Array:
        """Return the features [N, F_j] of one decision."""
        column = self.encoding.columns[j]
        if column.category:
            chosen: Array = np.equal(coordinates[:, None], np.arange(column.size or 1)).astype(float)
            return chosen
        count = self._hats(column.size)
        hats: Array = np.maximum(0.0, 1.0 - np.abs(coordinates[:, None] * (count - 1) - np.arange(count)))
        if column.size == 2:
            return hats
        centred = 2.0 * coordinates[:, None] - 1.0
        return np.hstack([hats, centred, centred**2])

    @staticmethod
    def _hats(size: int | None) -> int:
        return HATS if size is None else min(HATS, size)


@dataclass(frozen=True)
class Weights:
    """Posterior of the weights [F]: mean, and `root` [F, F] with covariance ``root @ root.T``."""

    mean: Array
    root: Array

    def draw(self, rng: np.random.Generator) -> Array:
        """Return weights drawn from the posterior (Thompson 1933)."""
        sample: Array = self.mean + self.root @ rng.normal(size=self.root.shape[1])
        return sample


def prior_variances(width: int, ridge: float) -> Array:
    """Return the prior variances [F] of the weights for a noise variance of 1."""
    variances = np.full(width, 1.0 / ridge)
    variances[0] *= INTERCEPT_VARIANCE
    return variances


def posterior(features: Array, rewards: Array, importance: Array, ridge: float) -> Weights:
    """Return the posterior of Bayesian ridge regression with weighted trials.

    Precision ``A = F' W F + diag(1 / prior)``, mean ``A^-1 F' W r``, covariance ``s^2 A^-1`` (Bishop 2006,
    "Pattern Recognition and Machine Learning", eq. 3.50 and 3.51, weighted) with s^2 the weighted residual
    variance. Experience replay of all trials, repeated until nothing changes, converges to it.
    """
    weighted = features * importance[:, None]
    precision = features.T @ weighted
    precision[np.diag_indices_from(precision)] += 1.0 / prior_variances(features.shape[1], ridge)
    lower = np.linalg.cholesky(precision)
    half = solve_triangular(lower, weighted.T @ rewards, lower=True)
    mean = solve_triangular(lower.T, half, lower=False)
    residuals = rewards - features @ mean
    variance = max(MIN_VARIANCE, float((importance * residuals**2).sum() / importance.sum()))
    root = np.sqrt(variance) * solve_triangular(lower.T, np.eye(len(lower)), lower=False)
    return Weights(mean, root)


def draw_by_kernel(
    features: Array, rewards: Array, importance: Array, ridge: float, rng: np.random.Generator
) -> Array:
    """Return weights [F] drawn from the posterior if there are fewer trials than features.

    Matheron's rule: a draw of the prior, corrected by the data (Wilson et al. 2020, arXiv 2002.09309,
    eq. 9). Only an [N, N] system is solved.
    """
    prior = prior_variances(features.shape[1], ridge)
    noise = 0.3 / np.maximum(importance, 1e-3)
    start = 0.5 * np.sqrt(prior) * rng.normal(size=len(prior))
    gap = rewards - features @ start - 0.3 * np.sqrt(noise) * rng.normal(size=len(noise))
    gram = (features * prior) @ features.T + np.diag(noise)
    correction = features.T @ np.linalg.solve(gram, gap)
    return np.asarray(start + prior * correction, dtype=float)
