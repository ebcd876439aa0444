"""The tables of a comparison for the terminal, and the same results for the JSON file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Grid

from paddle_automl.benchmarks.search.peers import PEERS
from paddle_automl.benchmarks.search.runs import Results, Run
from paddle_automl.benchmarks.search.statistics import SIGNIFICANT, basis, quartiles, standings
from paddle_automl.search.learning.columns import Array

FINAL_CHOICE = (
    "'final choice': fraction of pairs in which repeating the best few chose better than the best observation of "
    "as many trials without repeats; ties count half."
)


@dataclass(frozen=True)
class Question:
    """The comparison. `final` says which controllers end with repeats of the best few: "own", "all" or "none".

    "own" are all controllers except those of other projects and the reference.
    """

    tasks: Sequence[str]
    controllers: Sequence[str]
    budgets: Sequence[int]
    seeds: int
    against: str
    final: str

    def how(self, controller: str) -> str:
        """Return which of a run's two choices counts for a controller."""
        foreign = controller == self.against or controller.split(":")[0] in ("tpe", "optuna", *PEERS)
        return "final" if self.final == "all" or (self.final == "own" and not foreign) else "observed"


def summary_of(results: Results, question: Question) -> dict[str, Any]:
    """Return all results that are printed."""
    budgets = {}
    for budget in question.budgets:
        args = (question.tasks, question.controllers, question.seeds, budget)
        regrets = results.regrets(*args, question.how)
        observed = results.regrets(*args, lambda _: "observed")
        final = results.regrets(*args, lambda _: "final")
        budgets[str(budget)] = {
            "tasks": {
                name: {c: quartiles(regrets[t, :, i]) for i, c in enumerate(question.controllers)}
                for t, name in enumerate(question.tasks)
            },
            "standings": [asdict(s) for s in standings(question.controllers, regrets, question.against)],
            "final_choice_gain": {
                c: _wins(final[:, :, i], observed[:, :, i]) for i, c in enumerate(question.controllers)
            },
            "shown": _shown(results, question, budget),
        }
    times = {name: _times(results, question, name) for name in question.controllers}
    return {
        "question": asdict(question),
        "basis": basis(len(question.tasks), question.seeds, len(question.controllers) - 1),
        "budgets": budgets,
        "overhead_ms": {name: float(1000.0 * (run / asked).mean()) for name, (run, asked) in times.items()},
        "run_s": {name: float(run.mean()) for name, (run, _) in times.items()},
    }


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """Print the tables."""
    question = summary["question"]
    names = question["controllers"]
    for budget, part in summary["budgets"].items():
        grid = Grid(
            title=f"Normalized regret after {budget} trials: median (quartiles) of {question['seeds']} seeds"
        )
        grid.add_column("task")
        for name in names:
            grid.add_column(name)
        for task, row in part["tasks"].items():
            grid.add_row(task, *(f"{row[n][1]:.4f} ({row[n][0]:.4f} .. {row[n][2]:.4f})" for n in names))
        console.print(grid)
        _print_shown(console, part["shown"], names, budget)
        against = question["against"]
        grid = Grid(
            title=f"{len(question['tasks'])} tasks, {question['seeds']} seeds, {budget} trials "
            f"(final choice: {question['final']})"
        )
        for column in ("controller", "mean rank", f"ahead of {against}", "p (Wilcoxon, Holm)", "", "final choice"):
            grid.add_column(column)
        for row in sorted(part["standings"], key=lambda row: float(row["rank"])):
            rank, wins, p_value = figures_of(row)
            verdict = ""
            if row["p_value"] is not None and row["p_value"] < SIGNIFICANT:
                verdict = "better" if row["better"] else "worse"
            gain = f"{part['final_choice_gain'][row['controller']]:.2f}"
            grid.add_row(row["controller"], rank, wins, p_value, verdict, gain)
        console.print(grid)
    console.print(summary["basis"])
    console.print(FINAL_CHOICE)
    times = [
        f"{name} {value:.1f} ({summary['run_s'][name]:.1f} s)" for name, value in summary["overhead_ms"].items()
    ]
    console.print(f"CPU milliseconds per trial, proposal and record (seconds per run): {', '.join(times)}")


def figures_of(standing: dict[str, Any]) -> tuple[str, str, str]:
    """Return rank with its interval, fraction of wins, and p-value (or "-") of a standing as texts."""
    error = "" if standing["rank_error"] is None else f" +- {standing['rank_error']:.2f}"
    p_value = "-" if standing["p_value"] is None else f"{standing['p_value']:.2g}"
    return f"{standing['rank']:.2f}{error}", f"{standing['wins']:.2f}", p_value


def _print_shown(console: Console, shown: dict[str, Any], names: Sequence[str], budget: str) -> None:
    for figure, tasks in shown.items():
        grid = Grid(title=f"{figure} of the chosen configuration after {budget} trials: mean")
        grid.add_column("task")
        for name in names:
            grid.add_column(name)
        for task, row in tasks.items():
            grid.add_row(task, *(f"{row[name]:.2f}" for name in names))
        console.print(grid)


def _shown(results: Results, question: Question, budget: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return the means of the further values: name -> task -> controller."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for task in question.tasks:
        for controller in question.controllers:
            how = question.how(controller)
            runs = [Run(task, controller, seed) for seed in range(question.seeds)]
            figures = results.runs[runs[0].key]["budgets"][str(budget)][how].keys() - {"regret", "truth"}
            for figure in sorted(figures):
                values = [results.figure(run, budget, how, figure) for run in runs]
                found.setdefault(figure, {}).setdefault(task, {})[controller] = float(np.nanmean(values))
    return found


def _times(results: Results, question: Question, controller: str) -> tuple[Array, Array]:
    """Return the seconds of processor time of all runs, and the number of trials of each."""
    keys = [Run(task, controller, seed).key for task in question.tasks for seed in range(question.seeds)]
    runs = [results.runs[key] for key in keys]
    return np.array([run["seconds"] for run in runs]), np.array([max(1, run["asked"]) for run in runs])


def _wins(one: Any, other: Any) -> float:
    value = float(((one < other) + 0.5 * (one == other)).mean())
    return 0.5 if math.isnan(value) else value
