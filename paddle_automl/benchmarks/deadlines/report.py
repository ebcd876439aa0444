"""The results as a table, and the requirements that were met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from paddle_automl.benchmarks.deadlines.cases import Case

FIRST_BUNDLE_S, EXPORT_S = 60.0, 12.0
"""Seconds by which a verified bundle must exist, if the first trial has ended this long before that."""
COLUMNS = ("search", "promised s", "took s", "verified", "first bundle s", "trials", "validation", "test")


def misses(case: Case, figures: Mapping[str, Any]) -> list[str]:
    """Return the requirements that were not met."""
    found = []
    if figures["took_s"] > case.allowed_s:
        found.append(f"it took {figures['took_s']:.1f} s, allowed are {case.allowed_s:.1f} s")
    if not figures["verified"]:
        found.append("there is no verified bundle at the end")
    first, trial = figures["first_bundle_s"], figures["first_trial_s"]
    if first is not None and trial is not None and first > FIRST_BUNDLE_S >= trial + EXPORT_S:
        found.append(
            f"the first verified bundle came after {first:.1f} s, although a trial had ended after {trial:.1f} s"
        )
    if case.hangs and not figures["hung"]:
        found.append("no trial hung, so nothing was tested")
    if figures["exit_code"] != 0:
        found.append(f"exit code {figures['exit_code']}: {' | '.join(figures['last_lines'])}")
    return found


def print_figures(console: Console, found: Sequence[tuple[Case, Mapping[str, Any]]]) -> None:
    """Print a row per search and the requirements that each one missed."""
    table = Table(title="whole searches with a time budget", title_justify="left")
    for name in (*COLUMNS, "seconds of each stage"):
        table.add_column(name, justify="left" if name in ("search", "verified") else "right")
    for case, figures in found:
        numbers = [_text(figures[key], ".4f") for key in ("validation", "test")]
        stages = ", ".join(f"{name} {seconds:.0f}" for name, seconds in figures["stage_seconds"].items())
        table.add_row(
            case.name,
            str(case.budget_s),
            f"{figures['took_s']:.1f}" + (" !" if figures["took_s"] > case.allowed_s else ""),
            "yes" if figures["verified"] else "NO",
            _text(figures["first_bundle_s"], ".1f"),
            _text(figures["trials"], "d"),
            *numbers,
            stages or "-",
        )
    console.print(table)
    metrics = sorted({figures["metric"] for _, figures in found if figures["metric"]})
    console.print(
        f"validation, test: {' or '.join(metrics) or 'not known'}; allowed are 2% or 10 s above the budget"
    )
    for case, figures in found:
        for miss in misses(case, figures):
            console.print(f"{case.name}, {case.budget_s} s: {miss}", style="bold", markup=False)


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
