"""The trials in their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.display_text import shown
from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection, need_study
from paddle_automl.reporting.blocks import Block, Cell, Chart, Grid, Paragraph
from paddle_automl.reporting.charts import BLUE, GREEN, GREY, ORANGE, RED, Drawing, label
from paddle_automl.reporting.choices import describe_params
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.sections._search import column, limit_axis, trial_of
from paddle_automl.reporting.words import Texts, Words, figure
from paddle_automl.search.progress import best_so_far

MOST_ROWS = 500
STATES = {"complete": ("o", BLUE), "pruned": ("v", GREY), "repeat": ("D", ORANGE)}


@SECTIONS.register("history")
class HistorySection(ReportSection):
    """Values of all trials, the best so far, and which failed and why."""

    place = 20
    texts: ClassVar[Texts] = {
        "title": ("History", "搜索过程"),
        "best": ("best so far", "当前最佳"),
        "repeat": ("repeat", "重复"),
        "text": (
            "{metric} of each trial on the validation items, and the best so far.",
            "每个试验在验证集上的 {metric}，以及当前最佳。",
        ),
        "cut": ("Weaker trials lie outside the drawing.", "较差的试验在图外。"),
        "failures": (
            "{count} trials failed; the most frequent reason: {reason}",
            "{count} 个试验失败；最常见的原因：{reason}",
        ),
        "no_failures": ("No trial failed.", "没有失败的试验。"),
        "table": ("all trials", "全部试验"),
        "rows": ("the first {count} of {total} trials", "前 {count} 个试验（共 {total} 个）"),
        "copy": ("copy of {number}", "试验 {number} 的副本"),
        "again": ("trial {number} again", "重复试验 {number}"),
        "folds": ("{judged} of {folds} folds", "{folds} 折中的 {judged} 折"),
        "note": ("note", "备注"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return all trials."""
        if material.study is None:
            need_study(material)
        if not material.records:
            raise Missing("no_results")
        space = material.study.space  # type: ignore[union-attr]
        best = [best_so_far(material.records, goal, place) for place, goal in enumerate(material.goals)]
        return {
            "objectives": [goal.model_dump(mode="json") for goal in material.goals],
            "trials": [
                {**trial_of(record), "choices": describe_params(space, record.params)}
                for record in material.records
            ],
            "best_so_far": best,
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return a drawing per objective, the failures, and the table."""
        blocks: list[Block] = []
        for place, goal in enumerate(content["objectives"]):
            if column(content["trials"], place):
                blocks.append(self._chart(content, place, goal, words))
        failed = [
            trial for trial in content["trials"] if trial["state"] == "failed" and trial["duplicate_of"] is None
        ]
        reasons = [trial["reason"] or "-" for trial in failed]
        if failed:
            most = max(reasons, key=reasons.count)
            blocks.append(Paragraph(words("failures", count=len(failed), reason=shown(words.recorded(most)))))
        else:
            blocks.append(Paragraph(words("no_failures")))
        return [*blocks, _table(content, words)]

    def _chart(self, content: Mapping[str, Any], place: int, goal: Mapping[str, Any], words: Words) -> Chart:
        trials = [trial for trial in content["trials"] if len(trial["values"]) > place]
        metric = goal["metric"]
        with Drawing() as drawing:
            axes = drawing.axes
            for state, (marker, color) in STATES.items():
                some = [t for t in trials if ("repeat" if t["repeat_of"] is not None else t["state"]) == state]
                if some:
                    axes.plot(
                        [t["number"] for t in some],
                        column(some, place),
                        marker,
                        color=color,
                        markersize=5,
                        label=words(state),
                        zorder=3,
                    )
            best = [
                (trial["number"], value)
                for trial, value in zip(content["trials"], content["best_so_far"][place], strict=True)
                if value is not None
            ]
            axes.step(*zip(*best, strict=True), where="post", color=GREEN, linewidth=1.6, label=words("best"))
            failed = [trial["number"] for trial in content["trials"] if trial["state"] == "failed"]
            for place_of, number in enumerate(failed):
                axes.axvline(
                    number, color=RED, alpha=0.35, linewidth=1, label=None if place_of else words("failed")
                )
            cut = limit_axis(axes, column(trials, place), goal["goal"])
            drawing.whole_numbers(axes.xaxis)
            axes.set_xlabel(words("trial"))
            axes.set_ylabel(label(metric, 40))
            axes.legend(loc="best")
            text = words("text", metric=metric)
            return Chart(drawing.svg(), words.joined([text, words("cut")]) if cut else text)


def _table(content: Mapping[str, Any], words: Words) -> Grid:
    trials, metrics = content["trials"], [goal["metric"] for goal in content["objectives"]]
    columns = (words("trial"), words("state"), *metrics, words("seconds"), words("choices"), words("note"))
    rows: list[tuple[Cell, ...]] = []
    for trial in trials[:MOST_ROWS]:
        values: list[Cell] = [*trial["values"], *[None] * len(metrics)][: len(metrics)]
        note = shown(words.recorded(trial["reason"] or ""))
        if trial["duplicate_of"] is not None:
            note = words("copy", number=trial["duplicate_of"])
        elif trial["repeat_of"] is not None:
            note = words("again", number=trial["repeat_of"])
        if trial["part_of_folds"]:
            part = words("folds", judged=trial["folds"][0], folds=trial["folds"][1])
            note = f"{part}; {note}" if note else part
        rows.append(
            (trial["number"], words(trial["state"]), *values, figure(trial["seconds"], 3), trial["choices"], note)
        )
    title = words("table")
    if len(trials) > MOST_ROWS:
        title = words("rows", count=MOST_ROWS, total=len(trials))
    return Grid(columns, tuple(rows), title, folded=True)
