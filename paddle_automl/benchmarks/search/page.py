"""The results of a comparison as one HTML page with plots, which needs no other file."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.benchmarks.search.runs import Results, Run
from paddle_automl.benchmarks.search.text import FINAL_CHOICE, figures_of
from paddle_automl.core.files import write_text

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:.25em .6em;text-align:right}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)


def write_page(path: Path, summary: dict[str, Any], results: Results) -> None:
    """Write the page."""
    question = summary["question"]
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Controllers compared</title>",
        f"<style>{STYLE}</style><h1>Controllers compared</h1>",
        f"<p>{len(question['tasks'])} tasks, {question['seeds']} seeds; 'ahead' and p against "
        f"{html.escape(question['against'])}; final choice with repeats: {question['final']}. "
        f"{html.escape(summary['basis'])}</p>",
    ]
    names = question["controllers"]
    for budget, part in summary["budgets"].items():
        rows = sorted(part["standings"], key=lambda row: float(row["rank"]))
        parts.append(f"<h2>{budget} trials</h2>")
        parts.append(
            _table(
                ["controller", "mean rank", "ahead", "p (Wilcoxon, Holm)", "final choice"],
                [
                    [
                        row["controller"],
                        *(text.replace("+-", "±") for text in figures_of(row)),
                        f"{part['final_choice_gain'][row['controller']]:.2f}",
                    ]
                    for row in rows
                ],
            )
        )
        medians = [
            [task, *(f"{row[n][1]:.4f} ({row[n][0]:.4f} .. {row[n][2]:.4f})" for n in names)]
            for task, row in part["tasks"].items()
        ]
        parts.append(_table(["normalized regret: median (quartiles)", *names], medians))
        for figure, tasks in part["shown"].items():
            means = [[task, *(f"{row[n]:.2f}" for n in names)] for task, row in tasks.items()]
            parts.append(_table([f"mean {figure}", *names], means))
    parts.append(f"<p>{html.escape(FINAL_CHOICE)}</p><h2>Processor time</h2>")
    parts.append(
        _table(
            ["controller", "ms per trial", "s per run"],
            [[name, f"{summary['overhead_ms'][name]:.1f}", f"{summary['run_s'][name]:.2f}"] for name in names],
        )
    )
    parts.append("<h2>Regret of the best observation, by trials</h2>")
    parts.extend(
        f"<img alt='{html.escape(task)}' src='{_plot(task, question, results)}'>" for task in question["tasks"]
    )
    write_text(path, "".join([*parts, "</html>\n"]))


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["<table><tr>", *(f"<th>{html.escape(cell)}</th>" for cell in head), "</tr>"]
    for row in rows:
        lines += ["<tr>", *(f"<td>{html.escape(cell)}</td>" for cell in row), "</tr>"]
    return "".join([*lines, "</table>"])


def _plot(task: str, question: dict[str, Any], results: Results) -> str:
    """Return a plot of the median curves with quartiles as a data URL."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for controller in question["controllers"]:
        runs = [results.runs[Run(task, controller, seed).key] for seed in range(question["seeds"])]
        # Some may be kept from a comparison with more trials.
        curves = [run["curve"][: max(question["budgets"])] for run in runs]
        length = max(1, max(len(curve) for curve in curves))
        # A run that ended early keeps its last value.
        padded = [[*curve, *[curve[-1] if curve else None] * (length - len(curve))] for curve in curves]
        values = np.array([[np.nan if v is None else max(v, 1e-5) for v in curve] for curve in padded], dtype=float)
        steps = np.arange(1, length + 1)
        seen = ~np.isnan(values).all(axis=0)
        low, middle, high = np.nanpercentile(values[:, seen], [25, 50, 75], axis=0)
        (line,) = axes.plot(steps[seen], middle, label=controller)
        axes.fill_between(steps[seen], low, high, color=line.get_color(), alpha=0.12)
    axes.set(title=task, xlabel="trials", ylabel="normalized regret", yscale="log")
    axes.legend(fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
