"""All trials as lines through their choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection, need_study
from paddle_automl.reporting.blocks import Block, Chart, Paragraph
from paddle_automl.reporting.charts import GREEN, GREY, Drawing, label
from paddle_automl.reporting.choices import short_names
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.sections._search import window
from paddle_automl.reporting.words import Texts, Words, choice_text
from paddle_automl.search.learning.columns import Column

MOST_LINES, MOST_AXES, MOST_TICKS = 300, 8, 8
UNUSED = -0.12
"""Height of decisions that a trial does not have, below all values."""


@SECTIONS.register("parallel")
class Parallel(ReportSection):
    """Parallel coordinates: an axis per decision, a line per trial."""

    place = 28
    texts: ClassVar[Texts] = {
        "title": ("Choices of all trials", "全部试验的选择"),
        "few": ("With fewer than 2 trials there is nothing to compare.", "试验少于 2 个，无从比较。"),
        "explained": (
            "A line is a trial: grey ones are weak, blue ones good, the winner is green. The axes are the "
            "decisions that the most trials have; \u2013 at the bottom means that a trial does not have the "
            "decision.",
            "每条线代表一个试验：灰色较差，蓝色较好，绿色为最佳。坐标轴为多数试验都有的决策；"
            "底部的 \u2013 表示该试验没有此决策。",
        ),
        "some": (
            "{count} of {total} trials are drawn, the best ones.",
            "仅绘出最好的 {count} 个试验（共 {total} 个）。",
        ),
        "text": ("Parallel coordinates of the trials' choices and {metric}.", "试验选择与 {metric} 的平行坐标图。"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the axes, and the places of the best trials on them from 0 to 1."""
        need_study(material)
        study, goal = material.study, material.goals[0]
        assert study is not None
        firsts = sorted(material.first_runs, key=lambda r: goal.cost((r.values or (0.0,))[0]))
        if len(firsts) < 2:
            raise Missing("few")
        # Decisions with one value tell nothing; those of most trials come first.
        varied = [d for d in study.space.decisions if d.domain.size != 1]
        varied = [d for d in varied if any(d.name in r.params for r in firsts)]
        order = sorted(varied, key=lambda d: -sum(d.name in r.params for r in firsts))[:MOST_AXES]
        chosen = [d for d in varied if d in order]
        names = short_names([decision.name for decision in study.space.decisions])
        axes = []
        for decision in chosen:
            column = Column(decision.domain)
            places = [
                round(float(column.encode(r.params[decision.name])), 4) for r in firsts if decision.name in r.params
            ]
            values = decision.domain.values(
                MOST_TICKS if column.size is None or column.size > MOST_TICKS else column.size
            )
            ticks = [(round(float(column.encode(value)), 4), choice_text(value)) for value in values]
            span = max([*places, *(place for place, _ in ticks), 1e-9])
            axes.append(
                {"name": decision.name, "short": names[decision.name], "ticks": ticks[:MOST_TICKS], "span": span}
            )
        lines = []
        for record in firsts[:MOST_LINES]:
            row = [
                round(float(Column(d.domain).encode(record.params[d.name])), 4) if d.name in record.params else None
                for d in chosen
            ]
            lines.append({"number": record.number, "value": (record.values or (0.0,))[0], "places": row})
        return {
            "metric": goal.metric,
            "goal": goal.goal,
            "trials": len(firsts),
            "winner": material.configurations[0].first.number,
            "axes": axes,
            "lines": lines,
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the drawing with its explanation."""
        sentences = [words("explained")]
        if len(content["lines"]) < content["trials"]:
            sentences.append(words("some", count=len(content["lines"]), total=content["trials"]))
        return [Paragraph(words.joined(sentences)), self._chart(content, words)]

    def _chart(self, content: Mapping[str, Any], words: Words) -> Chart:
        from matplotlib import colormaps

        axes_of, lines = content["axes"], content["lines"]
        values = [line["value"] for line in lines]
        low, high = window(values, content["goal"]) or (min(values), max(values))
        span = (high - low) or 1.0
        worst_first = sorted(lines, key=lambda line: line["value"], reverse=content["goal"] == "minimize")
        colors = colormaps["Blues"]
        with Drawing(size=(8.4, 3.7)) as drawing:
            axes = drawing.axes
            axes.grid(visible=False)
            for side in ("left", "bottom"):
                axes.spines[side].set_visible(False)
            for rank, line in enumerate(worst_first):
                height = min(1.0, max(0.0, (line["value"] - low) / span))
                good = height if content["goal"] == "maximize" else 1 - height
                row = [
                    UNUSED if at is None else at / axis["span"]
                    for at, axis in zip(line["places"], axes_of, strict=True)
                ]
                best = line["number"] == content["winner"]
                # Equal choices of several trials are drawn side by side.
                shift = 0.0 if best else ((rank * 7) % 11 - 5) * 0.004
                axes.plot(
                    range(len(row) + 1),
                    [*(value + shift for value in row), height],
                    color=GREEN if best else (GREY if good < 0.25 else colors(0.3 + 0.65 * good)),
                    linewidth=2.4 if best else 1.0,
                    alpha=1.0 if best else 0.75,
                    zorder=5 if best else 2 + good,
                )
            ends = [(0.0, choice_text(float(low))), (1.0, choice_text(float(high)))]
            scales = [
                ([(at / axis["span"], text) for at, text in axis["ticks"]], axis["short"]) for axis in axes_of
            ]
            for place, (ticks, name) in enumerate([*scales, (ends, content["metric"])]):
                axes.plot([place, place], [0, 1], color="#7a838c", linewidth=0.8, zorder=1)
                for at, text in ticks:
                    axes.text(
                        place + 0.04, at, label(text, 14), fontsize=7, va="center", zorder=6,
                        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6},
                    )  # fmt: skip
                if place < len(axes_of) and any(line["places"][place] is None for line in lines):
                    axes.text(place + 0.04, UNUSED, "\u2013", fontsize=7, va="center", zorder=6)
                # The option that a decision belongs to stands on a line of its own.
                lines_of = [label(part, 15) for part in name.replace(" [", "\n[").split("\n")]
                axes.text(place, 1.06, "\n".join(lines_of), fontsize=8, ha="center", va="bottom")
            axes.set(xticks=[], yticks=[], ylim=(UNUSED - 0.06, 1.22), xlim=(-0.4, len(axes_of) + 0.6))
            return Chart(drawing.svg(), words("text", metric=content["metric"]))
