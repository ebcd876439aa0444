"""Whether the exported network gives the trained network's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.display_text import shown
from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection, need_bundle
from paddle_automl.reporting.blocks import Block, Grid, Paragraph
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, figure


@SECTIONS.register("parity")
class ParitySection(ReportSection):
    """The parity check of every format."""

    place = 66
    texts: ClassVar[Texts] = {
        "title": ("Parity", "一致性检查"),
        "none": ("The exported network was not compared with the trained one.", "未对比导出网络与训练所得网络。"),
        "good": (
            "Every format gives the trained network's answers within the allowed difference.",
            "所有格式的预测与训练所得网络在允许误差内一致。",
        ),
        "bad": (
            "NOT verified: {names}. The answers of these formats differ by more than is allowed.",
            "未通过验证：{names}。这些格式的预测差异超出允许范围。",
        ),
        "worst": ("Largest difference: {text}", "最大差异：{text}"),
        "format": ("format", "格式"),
        "samples": ("items", "样本数"),
        "files": ("files", "文件数"),
        "agreement": ("same answer", "预测相同"),
        "required": ("required", "要求"),
        "difference": ("largest difference", "最大差异"),
        "allowed": ("allowed", "允许"),
        "verified": ("verified", "已验证"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the record of the check by format."""
        bundle = need_bundle(material)
        found = [bundle, *(bundle.get("formats") or ())]
        checks = [
            {"format": str((item.get("exporter") or {}).get("name", "?")), **item["parity"]}
            for item in found
            if item.get("parity")
        ]
        if not checks:
            raise Missing("none")
        return {"checks": checks, "unverified": material.unverified}

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the verdict, the table, and the item with the largest difference."""
        checks = content["checks"]
        broken = [shown(name) for name in content["unverified"]]
        verdict = words("bad", names=", ".join(broken)) if broken else words("good")
        keys = ("format", "samples", "files", "agreement", "required", "difference", "allowed", "verified")
        rows = tuple(
            (
                item["format"],
                item["samples"],
                item["raw_files"],
                figure(item["agreement"]),
                figure(item["min_agreement"]),
                f"{max(item['largest_difference'], item['raw_largest_difference'] or 0.0):.2g}",
                "-" if item["max_difference"] is None else f"{item['max_difference']:g}",
                words("yes" if item["verified"] else "no"),
            )
            for item in checks
        )
        grid = Grid(tuple(words(key) for key in keys), rows)
        return [Paragraph(verdict), grid, Paragraph(words("worst", text=shown(words.recorded(checks[0]["worst"]))))]
