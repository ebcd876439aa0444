"""Calibration on validation items: the temperature of probabilities, and the offsets of intervals."""

from __future__ import annotations

import math

import numpy as np

from paddle_automl.tasks.classification import cross_entropy

LEAST, MOST = 0.1, 10.0
"""Smallest and largest temperature."""
LEAST_ITEMS = 50
"""Fewer validation items than this say too little about a temperature."""
BINS = 15
"""Bins of the calibration error, as in Guo et al. 2017."""
_STEPS = 60
"""Halvings of the interval of temperatures: more than float64 resolves."""


def fit_temperature(outputs: np.ndarray, codes: np.ndarray) -> float:
    """Return the temperature T of ``softmax(log(outputs) / T)`` with the smallest cross entropy.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2. `outputs` are probabilities
    ``[N, K]``, `codes` are classes ``[N]``. The targets are not 1 for the true class but (N + 1) / (N + 2), as
    Platt 1999 proposes for his sigmoid: without a single mistake among few items, no temperature would be the
    smallest.
    Returns 1 without items, for a single class, and for outputs that are not finite.
    """
    count, classes = outputs.shape
    if not count or classes < 2 or not np.isfinite(outputs).all():
        return 1.0
    logs = np.log(np.maximum(outputs.astype(np.float64), np.finfo(np.float32).tiny))
    spared = 1 / (count + 2)
    wanted = np.full(logs.shape, spared / (classes - 1))
    wanted[np.arange(count), codes] = 1 - spared
    target = (wanted * logs).sum(axis=1).mean()
    # The loss is convex in b = 1/T; its derivative is mean(E_p[log]) - target, and rises.
    low, high = 1 / MOST, 1 / LEAST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        probabilities = sharpened(logs, middle)
        if (probabilities * logs).sum(axis=1).mean() < target:
            low = middle
        else:
            high = middle
    return float(2 / (low + high))


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    """Return the mean distance between confidence and accuracy over bins of confidence, weighted by their items.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. (3). `confidence` [N] from 0 to 1, `right`
    bool [N]; bin m of M holds confidences in ((m - 1)/M, m/M].
    """
    if not len(confidence):
        return 0.0
    if not np.isfinite(confidence).all():
        return float("nan")
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(place, weights=right - confidence.astype(np.float64), minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def error_of(outputs: np.ndarray, codes: np.ndarray) -> float:
    """Return the calibration error of the likeliest classes; `outputs` are ``[N, K]``, `codes` ``[N]``."""
    best = outputs.argmax(axis=1)
    return calibration_error(outputs[np.arange(len(best)), best], best == codes, BINS)


def safe_temperature(outputs: np.ndarray, codes: np.ndarray) -> float:
    """Return `fit_temperature`, or 1 if it does not help.

    That is with fewer than `LEAST_ITEMS` items, and if these items' own calibration error or cross entropy would
    become larger: the temperature is chosen for neither of them alone.
    """
    if len(codes) < LEAST_ITEMS:
        return 1.0
    temperature = fit_temperature(outputs, codes)
    scaled = at_temperature(outputs, temperature)
    larger = error_of(scaled, codes) > error_of(outputs, codes)
    return 1.0 if larger or cross_entropy(scaled, codes) > cross_entropy(outputs, codes) else temperature


def sharpened(logs: np.ndarray, power: float) -> np.ndarray:
    """Return the softmax of ``power * logs``, float64 ``[N, K]``."""
    scaled = power * logs
    found = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def at_temperature(outputs: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities ``[N, K]`` as if their raw outputs had been divided by `temperature`, float64."""
    logs = np.log(np.maximum(outputs.astype(np.float64), np.finfo(np.float32).tiny))
    return sharpened(logs, 1 / temperature)


def fit_offsets(
    low: np.ndarray, points: np.ndarray, high: np.ndarray, codes: np.ndarray, fraction: float
) -> np.ndarray:
    """Return by how much each column's interval has to be widened at either end to hold `fraction` of new items.

    Conformalized quantile regression, Romano, Patterson and Candes 2019, eq. (6) to (8): the score of an item is
    the least offset with which its interval holds it, and the offset is the ``ceil((N + 1) fraction)``-th
    smallest score. With fewer items it is the largest one, or 0 where that is below 0: so few cannot say that an
    interval is too wide. As an interval always holds the predicted number (`points`), the score is ``code - high``
    above it and ``low - code`` below it. All arrays are ``[N, D]``, in the user's unit, from items that the network
    was not trained on; ends that crossed stay as they are. An offset below 0 narrows the interval. Returns zeros
    ``[D]`` without items, and 0 for a column with outputs that are not finite.
    """
    count, columns = codes.shape
    if not count:
        return np.zeros(columns)
    below, above = low - codes, codes - high
    exact = np.minimum(below, above)
    scores = np.sort(np.where(codes > points, above, np.where(codes < points, below, exact)), axis=0)
    # Without the rounding, 0.9 * 10 = 9.000000000000002 would need the tenth.
    place = math.ceil(round((count + 1) * fraction, 9))
    found = scores[place - 1] if place <= count else np.maximum(scores[-1], 0.0)
    return np.where(np.isfinite(scores).all(axis=0), found, 0.0)
