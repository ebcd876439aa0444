"""Thresholds of labels: the probability at which a label begins to apply, chosen by F1 on validation."""

from __future__ import annotations

import numpy as np

from paddle_automl.tasks.base import TIE

USUAL = 0.5


def best_threshold(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the threshold with the highest F1 for probabilities [N] and 0/1 labels [N].

    Candidates lie halfway between neighbouring probabilities; of several best ones the nearest to 0.5 is chosen.
    Without a positive and a negative item, or with a probability that is not a number, it is 0.5.
    """
    probabilities = probabilities.astype(np.float64)
    positives = int((labels > 0).sum())
    if not 0 < positives < len(labels) or not np.isfinite(probabilities).all():
        return USUAL
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    hits = np.cumsum(labels[order] > 0)
    # With the threshold below item i, the label is predicted for i + 1 items.
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + positives)
    below = np.append(ranked[1:], 0.0)
    between = (ranked + below) / 2
    # The outputs of an exported network differ by rounding: a threshold must lie clearly between two of them.
    usable = ranked - below > 2 * TIE
    if not usable.any():
        return USUAL
    f1, between = f1[usable], between[usable]
    best = between[f1 >= f1.max() - 1e-12]
    if _f1_at(probabilities, labels, USUAL) >= f1.max() - 1e-12:
        return USUAL
    return round(float(best[np.abs(best - USUAL).argmin()]), 6)


def _f1_at(probabilities: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    decided, true = probabilities >= threshold, labels > 0
    return float(2 * (decided & true).sum() / max(int(decided.sum() + true.sum()), 1))
