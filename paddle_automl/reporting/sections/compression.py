"""The chain of compression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.display_text import shown
from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection
from paddle_automl.reporting.blocks import Block, Grid, Paragraph
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words


@SECTIONS.register("compression")
class CompressionSection(ReportSection):
    """What each step of the chain cost and gained, and why it was kept or rejected."""

    place = 60
    texts: ClassVar[Texts] = {
        "title": ("Compression", "压缩"),
        "none": ("No compression was asked for.", "未设置压缩。"),
        "unfinished": ("The chain of compression has not run.", "压缩流程尚未运行。"),
        "best": ("The best network is {best}.", "最佳网络为 {best}。"),
        "original": (
            "No step was kept: the network before compression remains the best.",
            "没有步骤被保留：压缩前的网络仍是最佳。",
        ),
        "times": (
            "All figures are from the validation split; times are p50/p95 in milliseconds, the speed-up is over "
            "the float32 network before the chain.",
            "所有数字来自验证集；时间为 p50/p95（毫秒），加速比相对于压缩前的 float32 网络。",
        ),
        "why": ("{name}: {reason}", "{name}：{reason}"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the table of the chain and the reasons."""
        found = material.compression
        if found is None:
            steps = (material.config.get("compression") or {}).get("steps")
            raise Missing("unfinished" if steps else "none")
        return {
            "best": found["best"],
            "best_bundle": found.get("best_bundle"),
            "table": list(found["table"]),
            "steps": [
                {key: step.get(key) for key in ("name", "kept", "reason")} for step in list(found["steps"])[1:]
            ],
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the table and the reasons."""
        best = words("original") if content["best_bundle"] is None else words("best", best=content["best_bundle"])
        rows = content["table"]
        keys = [key for key in dict.fromkeys(key for row in rows for key in row) if key != "why"]
        grid = Grid(tuple(keys), tuple(tuple(row.get(key) for key in keys) for row in rows))
        reasons = [Paragraph(words("why", name=s["name"], reason=shown(s["reason"]))) for s in content["steps"]]
        return [Paragraph(words.joined([best, words("times")])), grid, *reasons]
