"""Two plots at the end of a search: its history, and the learning curves of its trials."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paddle_automl.core.display_text import plot_text
from paddle_automl.core.files import replacing
from paddle_automl.search.objective import Objective
from paddle_automl.search.progress import best_so_far
from paddle_automl.search.records import TrialRecord

_STATES = {"complete": ("o", "tab:blue"), "pruned": ("v", "tab:orange")}
_MAX_LEGEND = 8


def plot_history(records: Sequence[TrialRecord], objective: Objective, file: Path) -> None:
    """Draw each trial's value of the first objective and the best so far, as a PNG."""
    figure, axes = _canvas(f"Search history: {objective.metric}")
    for state, (marker, color) in _STATES.items():
        points = [(r.number, r.values[0]) for r in records if r.state == state and r.values and r.repeat_of is None]
        if points:
            axes.scatter(*zip(*points, strict=True), marker=marker, color=color, label=state, zorder=3)
    again = [(r.number, r.values[0]) for r in records if r.values and r.repeat_of is not None]
    if again:
        axes.scatter(*zip(*again, strict=True), marker="D", color="tab:purple", label="repeat", s=20, zorder=3)
    best = [(r.number, y) for r, y in zip(records, best_so_far(records, objective), strict=True) if y is not None]
    axes.step([x for x, _ in best], [y for _, y in best], where="post", color="tab:green", label="best so far")
    failed = [record.number for record in records if record.state == "failed"]
    for number in failed:
        axes.axvline(number, color="tab:red", alpha=0.3, linewidth=1)
    if failed:
        axes.plot([], [], color="tab:red", alpha=0.3, label="failed")
    axes.set_xlabel("trial")
    axes.set_ylabel(plot_text(objective.metric))
    axes.legend(loc="best", fontsize=8)
    _save(figure, file)


def plot_curves(records: Sequence[TrialRecord], metric: str, best: int | None, file: Path) -> None:
    """Draw the validation metric of every trial by epoch; the best trial is highlighted."""
    figure, axes = _canvas(f"Learning curves: {metric} on validation")
    drawn = [record for record in records if record.curve and record.duplicate_of is None]
    for record in drawn:
        epochs, values = zip(*sorted(record.curve.items()), strict=True)
        if record.number == best:
            axes.plot(epochs, values, color="tab:green", linewidth=2.5, label=f"best: trial {best}", zorder=5)
        else:
            label = f"trial {record.number}" if len(drawn) <= _MAX_LEGEND else None
            axes.plot(epochs, values, linewidth=1, alpha=0.6, label=label, marker="." if len(epochs) == 1 else None)
    axes.set_xlabel("epoch")
    axes.set_ylabel(plot_text(metric))
    if drawn:
        axes.legend(loc="best", fontsize=8)
    _save(figure, file)


def _canvas(title: str) -> tuple[Any, Any]:
    # It builds its font cache on first use; users need no message about that.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    # The object interface draws without a window system and without pyplot's global state.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(plot_text(title))
    axes.grid(alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, axes


def _save(figure: Any, file: Path) -> None:
    with replacing(file) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
