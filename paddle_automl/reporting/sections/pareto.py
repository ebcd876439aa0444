"""The trade-off between objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection, need_study
from paddle_automl.reporting.blocks import Block, Chart, Grid, Paragraph
from paddle_automl.reporting.charts import BLUE, GREEN, GREY, RED, Drawing, label
from paddle_automl.reporting.choices import describe_params
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.sections._search import window
from paddle_automl.reporting.words import Texts, Words
from paddle_automl.search.objective import costs_of, pareto_front

MOST_DRAWINGS = 3


@SECTIONS.register("pareto")
class Pareto(ReportSection):
    """The configurations that no other dominates."""

    place = 30
    texts: ClassVar[Texts] = {
        "title": ("Pareto front", "帕累托前沿"),
        "one": ("There is one objective, so there is one winner and no trade-off.", "只有一个目标，因此没有权衡。"),
        "explained": (
            "{count} of {total} configurations are dominated by none: no other is at least as good in all "
            "objectives and better in one.",
            "在 {total} 个配置中，有 {count} 个不被任何其他配置支配："
            "没有其他配置在所有目标上都不差且至少一项更好。",
        ),
        "on_it": ("The winner is one of them.", "最佳者是其中之一。"),
        "off_it": (
            "The winner is none of them. The first objective decides, within the limits, by the runs of similar "
            "configurations too, and the configuration's own values stay unless another is better by more than the "
            "noise.",
            "最佳者不在其中。它在限制之内由第一目标决定，并参考相似配置的运行；仅当优势超出噪声时才取代配置自身的取值。",
        ),
        "front": ("Pareto front", "帕累托前沿"),
        "others": ("other configurations", "其他配置"),
        "winner": ("winner", "最佳"),
        "limit": ("limit", "限制"),
        "text": ("{first} against {second} of all configurations.", "所有配置的 {first} 与 {second}。"),
        "table": ("the front", "前沿"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the values of all configurations, with the front marked."""
        if material.goals and len(material.goals) < 2:
            raise Missing("one")
        need_study(material)
        assert material.study is not None
        goals = material.goals
        found = [(item, costs_of(item.values, goals)) for item in material.configurations]
        front = {item.first.number for item in pareto_front(found)}
        winner = material.configurations[0].first.number
        return {
            "objectives": [goal.model_dump(mode="json") for goal in goals],
            "winner": winner,
            "configurations": [
                {
                    "number": item.first.number,
                    "values": list(item.values),
                    "front": item.first.number in front,
                    "choices": describe_params(material.study.space, item.first.params),
                }
                for item in material.configurations
            ],
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return a drawing of the first objective against each other one, and the front as a table."""
        goals, found = content["objectives"], content["configurations"]
        front = [item for item in found if item["front"]]
        winner_on_it = any(item["number"] == content["winner"] for item in front)
        sentences = [
            words("explained", count=len(front), total=len(found)),
            words("on_it" if winner_on_it else "off_it"),
        ]
        blocks: list[Block] = [Paragraph(words.joined(sentences))]
        blocks += [self._chart(content, place, words) for place in range(1, min(len(goals), MOST_DRAWINGS + 1))]
        rows = tuple((item["number"], *item["values"], item["choices"]) for item in front)
        columns = (words("trial"), *(goal["metric"] for goal in goals), words("choices"))
        return [*blocks, Grid(columns, rows, words("table"), folded=len(rows) > 12)]

    def _chart(self, content: Mapping[str, Any], place: int, words: Words) -> Chart:
        first, second = content["objectives"][0], content["objectives"][place]
        found = content["configurations"]
        with Drawing(size=(8.4, 3.3)) as drawing:
            axes = drawing.axes
            for front, marker, color, key in ((False, "o", GREY, "others"), (True, "o", BLUE, "front")):
                some = [item for item in found if item["front"] == front]
                if some:
                    xs, ys = [i["values"][place] for i in some], [i["values"][0] for i in some]
                    axes.plot(xs, ys, marker, color=color, markersize=5, label=words(key), zorder=2 + front)
            front_points = sorted((i["values"][place], i["values"][0]) for i in found if i["front"])
            if len(content["objectives"]) == 2 and len(front_points) > 1:
                axes.plot(*zip(*front_points, strict=True), color=BLUE, linewidth=1, alpha=0.6)
            best = next(item for item in found if item["number"] == content["winner"])
            axes.plot(
                [best["values"][place]], [best["values"][0]], "*", color=GREEN, markersize=13, zorder=5,
                label=words("winner"),
            )  # fmt: skip
            lines = [(axes.axhline, first["limit"], 0), (axes.axvline, second["limit"], place)]
            for draw, limit, column in lines:
                # A limit far away would press all points into a corner.
                if limit is not None and _near(limit, [item["values"][column] for item in found]):
                    draw(limit, color=RED, linestyle="--", linewidth=1, label=words("limit"))
            shown = window([item["values"][0] for item in found], first["goal"])
            if shown is not None:
                axes.set_ylim(*shown)
            axes.set_xlabel(label(second["metric"], 40))
            axes.set_ylabel(label(first["metric"], 40))
            axes.legend(loc="best")
            return Chart(drawing.svg(), words("text", first=first["metric"], second=second["metric"]))


def _near(limit: float, values: list[float]) -> bool:
    span = max(values) - min(values)
    return min(values) - span <= limit <= max(values) + span
