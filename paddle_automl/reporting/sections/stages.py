"""Where the time went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection
from paddle_automl.reporting.blocks import Block, Chart, Paragraph
from paddle_automl.reporting.charts import COLORS, Drawing
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words


@SECTIONS.register("stages")
class Stages(ReportSection):
    """The time of every stage of the search."""

    place = 80
    texts: ClassVar[Texts] = {
        "title": ("Time", "时间"),
        "none": (
            "The times of the stages are known when a search has ended.",
            "各阶段的时间在搜索结束后才可知。",
        ),
        "total": ("{seconds} s in all.", "共 {seconds} 秒。"),
        "of": ("{seconds} s of {budget} s in all.", "共 {seconds} 秒，上限 {budget} 秒。"),
        "ended": ("The trials ended: {reason}.", "试验结束的原因：{reason}。"),
        "text": ("Seconds of each stage.", "各阶段的秒数。"),
        "start": ("start", "启动"),
        "check": ("check", "检查"),
        "features": ("features", "特征"),
        "search": ("search", "搜索"),
        "refit": ("refit", "重新训练"),
        "fine_tune": ("fine-tuning", "微调"),
        "ensemble": ("ensemble", "集成"),
        "export": ("export", "导出"),
        "compress": ("compress", "压缩"),
        "report": ("plots", "绘图"),
        "axis": ("seconds", "秒"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the seconds by stage."""
        times = material.summary.get("stage_seconds")
        if not times:
            raise Missing("none")
        return {
            "seconds": material.summary.get("seconds"),
            "budget_s": (material.config.get("budget") or {}).get("time"),
            "ended": material.summary.get("ended"),
            "stages": dict(times),
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return one bar with a piece per stage."""
        total, budget = f"{content['seconds']:.1f}", content["budget_s"]
        text = words("total", seconds=total) if budget is None else words("of", seconds=total, budget=f"{budget:g}")
        ended = words("ended", reason=words.recorded(content["ended"])) if content["ended"] else ""
        return [Paragraph(words.joined([text, ended])), self._chart(content, words)]

    def _chart(self, content: Mapping[str, Any], words: Words) -> Chart:
        with Drawing(size=(8.4, 1.5)) as drawing:
            axes, begin = drawing.axes, 0.0
            for place, (name, seconds) in enumerate(content["stages"].items()):
                text = f"{words.known(name)} {seconds:.1f} s"
                axes.barh([0], [seconds], left=[begin], color=COLORS[place % len(COLORS)], label=text, height=0.6)
                begin += seconds
            if content["budget_s"] is not None:
                axes.axvline(content["budget_s"], color="#5b6670", linestyle="--", linewidth=1)
            axes.set(yticks=[], xlabel=words("axis"))
            axes.grid(visible=False, axis="y")
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
            return Chart(drawing.svg(), words("text"))
