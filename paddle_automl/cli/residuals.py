"""Plot of a regression: predictions over true values, and residuals."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.display_text import plot_text
from paddle_automl.core.files import replacing

PREFIX = "residuals"
MOST_ROWS = 6
"""Most columns that are drawn; each is a row of two plots."""


def plot_residuals(points: Mapping[str, Sequence[Sequence[float]]], file: Path) -> None:
    """Draw true and predicted values of each column (``[N, 2]`` by name) as a PNG."""
    # It builds its font cache on first use; users need no message about that.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    # The object interface draws without a window system and without pyplot's global state.
    from matplotlib.figure import Figure

    drawn = list(points.items())[:MOST_ROWS]
    figure = Figure(figsize=(9, 4 * len(drawn)), layout="constrained")
    rows = figure.subplots(len(drawn), 2, squeeze=False)
    for (name, pairs), (left, right) in zip(drawn, rows, strict=True):
        column = name.removeprefix(PREFIX).lstrip(".")
        _draw(np.asarray(pairs, dtype=float), column, left, right)
    with replacing(file) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _draw(pairs: np.ndarray, column: str, left: Any, right: Any) -> None:
    truth, predicted = pairs[:, 0], pairs[:, 1]
    low, high = float(pairs.min()), float(pairs.max())
    left.plot([low, high], [low, high], color="tab:green", linewidth=1)
    left.scatter(truth, predicted, s=8, alpha=0.5)
    left.set(xlabel="truth", ylabel="prediction", title=plot_text(column or "prediction"))
    right.axhline(0.0, color="tab:green", linewidth=1)
    right.scatter(predicted, predicted - truth, s=8, alpha=0.5)
    right.set(xlabel="prediction", ylabel="prediction - truth", title="residuals")
    for axes in (left, right):
        axes.grid(alpha=0.25)
