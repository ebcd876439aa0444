"""A Gaussian process over mixed rows: main effects and Matern 5/2, fitted by its posterior mode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from paddle_automl.search.learning.columns import Array

JITTER = 1e-7
SCALE_SPREAD, NOISE_CENTRE, NOISE_SPREAD = 1.5, float(np.log(1e-3)), 2.0
BOUNDS = ((-9.0, 6.0), (-5.0, 4.0), (-6.0, 4.0), (-14.0, 1.0))
"""Bounds of the logarithms of an inverse squared length-scale and of the variances of signal, effects and noise."""
EFFECTS = 0.5
"""The prior centre of the variance of the main effects, if there are any; that of the signal is the rest of 1."""
BLOCK = 256
"""Points predicted at once, so that their covariances fit into the processor's cache."""
RANGE = 0.35
"""The prior centre of the squared length-scales is this times the number of decisions."""


@dataclass(frozen=True)
class Kernel:
    """k(a, b) = s (1 + r + r^2 / 3) exp(-r) + e f(a) . f(b), r^2 = 5 sum_j l_j d_j(a, b).

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", eq. (4.17), and a linear model of the
    features f, whose weights have the variance e (section 2.7). d_j is the squared difference of two numbers, and
    0 or 1 for equal or different choices. `theta` [D + 3] holds the logarithms of the l_j, of s, of e, and of the
    noise variance.
    """

    theta: Array

    @property
    def inverse(self) -> Array:
        """The inverse squared length-scales [D]."""
        return np.exp(self.theta[:-3])

    @property
    def signal(self) -> float:
        """The signal's variance."""
        return float(np.exp(self.theta[-3]))

    @property
    def effects(self) -> float:
        """The variance of the features' weights."""
        return float(np.exp(self.theta[-2]))

    @property
    def noise(self) -> float:
        """The noise's variance, with the jitter that keeps the matrix invertible."""
        return float(np.exp(self.theta[-1])) + JITTER

    def of_squares(self, squares: Array) -> Array:
        """Return the part of k that depends on r^2 / 5."""
        r = np.sqrt(5.0 * squares)
        result = r / 3.0
        result += 1.0
        result *= r
        result += 1.0
        result *= np.exp(-r)
        result *= self.signal
        return result


class GaussianProcess:
    """Posterior of a Gaussian process given rows [N, D], standardised costs [N], and features [N, F] if any."""

    def __init__(
        self,
        categories: NDArray[np.bool_],
        kernel: Kernel,
        rows: Array,
        costs: Array,
        features: Array | None = None,
    ) -> None:
        self.categories = categories
        self.kernel = kernel
        self.rows = rows
        self.features = _given(features, rows)
        matrix = kernel.of_squares(np.tensordot(kernel.inverse, _distances(rows, categories), 1))
        matrix += kernel.effects * (self.features @ self.features.T)
        matrix[np.diag_indices_from(matrix)] += kernel.noise
        lower = np.linalg.cholesky(matrix)
        self._inverse_root = solve_triangular(lower, np.eye(len(rows)), lower=True)
        self._alpha = self._inverse_root.T @ (self._inverse_root @ costs)

    def predict(self, points: Array, features: Array | None = None) -> tuple[Array, Array]:
        """Return mean and standard deviation [M] of the cost at points [M, D] with features [M, F].

        Without the noise of a run (eq. 2.25, 2.26).
        """
        features = _given(features, points)
        parts = [
            self._predict(points[start : start + BLOCK], features[start : start + BLOCK])
            for start in range(0, len(points), BLOCK)
        ]
        return np.concatenate([mean for mean, _ in parts]), np.concatenate([spread for _, spread in parts])

    def _predict(self, points: Array, features: Array) -> tuple[Array, Array]:
        covariance = self.kernel.of_squares(self._squares(points))
        covariance += self.kernel.effects * (features @ self.features.T)
        spread = covariance @ self._inverse_root.T
        prior = self.kernel.signal + self.kernel.effects * np.einsum("ij,ij->i", features, features)
        variance = prior - np.einsum("ij,ij->i", spread, spread)
        return covariance @ self._alpha, np.sqrt(np.maximum(1e-10, variance))

    def with_pending(self, costs: Array, pending: Array, features: Array | None = None) -> GaussianProcess:
        """Return the process with running trials [P, D] assumed to end at their predicted mean.

        "Kriging believer" (Ginsbourger et al. 2010, section 4.2): the uncertainty there vanishes, so the next
        proposal lies elsewhere.
        """
        features = _given(features, pending)
        believed = self.predict(pending, features)[0]
        rows, values = np.vstack([self.rows, pending]), np.concatenate([costs, believed])
        return GaussianProcess(self.categories, self.kernel, rows, values, np.vstack([self.features, features]))

    def _squares(self, points: Array) -> Array:
        """Return r^2 / 5 [M, N] of points and rows.

        One matrix product: choices are one-hot, and sum_j l_j [a_j != b_j] = sum_j l_j - a . b.
        """
        inverse, numbers = self.kernel.inverse, ~self.categories
        roots = np.sqrt(inverse[numbers])
        a, b = points[:, numbers] * roots, self.rows[:, numbers] * roots
        norms = (a * a).sum(1)[:, None] + (b * b).sum(1) + inverse[self.categories].sum()
        for j in np.flatnonzero(self.categories):
            met = np.unique(self.rows[:, j])
            root = np.sqrt(0.5 * inverse[j])
            a = np.hstack([a, root * (points[:, j][:, None] == met)])
            b = np.hstack([b, root * (self.rows[:, j][:, None] == met)])
        clipped: Array = np.maximum(0.0, norms - 2.0 * a @ b.T)
        return clipped


def fit(
    rows: Array, costs: Array, categories: NDArray[np.bool_], iterations: int, features: Array | None = None
) -> Kernel:
    """Return the kernel whose parameters have the highest posterior density (L-BFGS-B, analytic gradient).

    Priors: log l_j ~ N(-log(0.35 D), 1.5), log s ~ N(0, 1), log noise ~ N(log 1e-3, 2); with features log s and
    log e ~ N(log 0.5, 1). The centre of the length-scales grows with the root of the number of decisions (as in
    Hvarfner et al. 2024, arXiv 2402.02229). The search starts from the priors' centres, so the result depends only
    on the data.
    """
    width = rows.shape[1]
    signal = 0.0 if features is None else float(np.log(1.0 - EFFECTS))
    scales = np.full(width, -np.log(RANGE * max(1, width)))
    centre = np.concatenate([scales, [signal, np.log(EFFECTS), NOISE_CENTRE]])
    features = _given(features, rows)
    result = minimize(
        _negative_log_posterior,
        centre,
        args=(_distances(rows, categories), features @ features.T, costs, centre),
        jac=True,
        method="L-BFGS-B",
        bounds=[BOUNDS[0]] * width + list(BOUNDS[1:]),
        options={"maxiter": iterations},
    )
    return Kernel(np.asarray(result.x, dtype=float))


def _negative_log_posterior(
    theta: Array, squares: Array, products: Array, costs: Array, centre: Array
) -> tuple[float, Array]:
    """Return minus the log posterior density and its gradient [D + 3] (Rasmussen and Williams eq. 5.8, 5.9).

    `squares` [D, N, N] are the d_j of all pairs, `products` [N, N] those of their features.
    """
    kernel = Kernel(theta)
    count = len(costs)
    r = np.sqrt(5.0 * np.tensordot(kernel.inverse, squares, 1))
    decay = np.exp(-r)
    matrix = kernel.signal * (1.0 + r + r * r / 3.0) * decay
    try:
        lower = np.linalg.cholesky(matrix + kernel.effects * products + kernel.noise * np.eye(count))
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    root = solve_triangular(lower, np.eye(count), lower=True)
    inverse = root.T @ root
    alpha = inverse @ costs
    value = 0.5 * float(costs @ alpha) + float(np.log(np.diag(lower)).sum())
    outer = inverse - np.outer(alpha, alpha)
    slope = outer * (-kernel.signal * (5.0 / 6.0) * (1.0 + r) * decay)
    gradient = np.empty_like(theta)
    flat = squares.reshape(len(squares), -1)
    gradient[:-3] = 0.5 * kernel.inverse * (flat @ slope.ravel())
    gradient[-3] = 0.5 * float((outer * matrix).sum())
    gradient[-2] = 0.5 * kernel.effects * float((outer * products).sum())
    gradient[-1] = 0.5 * float(np.exp(theta[-1])) * float(np.trace(outer))
    spreads = np.concatenate([np.full(len(theta) - 3, SCALE_SPREAD), [1.0, 1.0, NOISE_SPREAD]])
    away = (theta - centre) / spreads
    return value + 0.5 * float(away @ away), gradient + away / spreads


def _given(features: Array | None, rows: Array) -> Array:
    return np.zeros((len(rows), 0)) if features is None else features


def _distances(rows: Array, categories: NDArray[np.bool_]) -> Array:
    """Return d_j [D, N, N] of all pairs of rows."""
    differences = rows.T[:, :, None] - rows.T[:, None, :]
    squares: Array = np.where(categories[:, None, None], (differences != 0).astype(float), differences**2)
    return squares
