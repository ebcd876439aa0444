"""Items of none of the classes: how many the network refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.display_text import shown
from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection, need_bundle
from paddle_automl.reporting.blocks import Block, Cell, Grid, Paragraph
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, figure

_WITHOUT = {"multi_label": "labels", "regression": "numbers"}
"""What is said of a task's network without a score, where not that it names one of its classes."""


@SECTIONS.register("unknowns")
class Unknowns(ReportSection):
    """The rejection score: how well it tells strangers from known items."""

    place = 58
    texts: ClassVar[Texts] = {
        "title": ("None of the classes", "不属于任何类别"),
        "none": (
            "The network always names one of its classes: it has no score by which it could refuse an item.",
            "网络总会给出其类别之一：没有可用于拒绝样本的分数。",
        ),
        "labels": (
            "With several labels an item can have none of them, by each label's own threshold; there is no other "
            "score by which the network refuses items.",
            "多标签任务中，样本可以不含任何标签（按各标签自己的阈值）；此外没有用于拒绝样本的分数。",
        ),
        "numbers": (
            "The answer is made of numbers, not of classes; no item is refused.",
            "预测结果是数值而非类别；不会拒绝任何样本。",
        ),
        "score": (
            "An item whose score ({name}) is below a threshold is answered with unknown. The threshold keeps "
            "{kept} of the {items} validation items: about that many known items are answered, the others are "
            "refused by mistake.",
            "分数（{name}）低于阈值的样本会被回答为“未知”。该阈值保留 {items} 个验证样本中的 {kept}："
            "已知样本大约以此比例得到回答，其余被误拒。",
        ),
        "lowered": (
            "An item whose score ({name}) is below a threshold is answered with unknown. The threshold keeps "
            "{kept} of the {items} validation items, with which the network was trained as well. Scores of new "
            "items are smaller, so it was lowered by the difference that was measured, {shift}: about {keep} of "
            "new known items are answered, the others are refused by mistake.",
            "分数（{name}）低于阈值的样本会被回答为“未知”。该阈值保留 {items} 个验证样本中的 {kept}，"
            "而网络也用这些样本训练过。新样本的分数更低，因此阈值已按测得的差距 {shift} 下调："
            "约 {keep} 的新已知样本会得到回答，其余被误拒。",
        ),
        "measured": (
            "Of the items of {count} classes that a network had not learned ({names}), {refused} were refused "
            "(AUROC {auroc}).",
            "对网络未学过的 {count} 个类别（{names}）的样本，拒绝了 {refused}（AUROC {auroc}）。",
        ),
        "unmeasured": (
            "How many strangers it refuses was not measured.",
            "未测量其拒绝陌生样本的比例。",
        ),
        "seen": (
            "The network was also trained on the validation items, so it refuses more of new known items.",
            "网络也用验证样本训练过，因此会误拒更多新的已知样本。",
        ),
        "table": ("all scores that were tried", "尝试过的全部分数"),
        "name": ("score", "分数"),
        "auroc": ("AUROC", "AUROC"),
        "refused": ("strangers refused", "拒绝陌生样本"),
        "chosen": ("chosen", "选用"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the record of the rejection score."""
        bundle = need_bundle(material)
        found = bundle.get("rejection")
        if not found:
            raise Missing(_WITHOUT.get(str((bundle.get("task") or {}).get("name")), "none"))
        name = found["score"]["name"]
        shift = ((found.get("tried") or {}).get(name) or {}).get("shift") or 0.0
        return {**found, "score": name, "lowered_by": 0.0 if found.get("held_out", True) else -shift}

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return what the score keeps and refuses, and the other scores."""
        kept = next(iter((content.get("kept") or {}).values()), content["keep"])
        lowered = content["lowered_by"]
        values = {"name": content["score"], "kept": f"{kept:.1%}", "items": figure(content["items"])}
        more = {"shift": figure(lowered, 3), "keep": f"{content['keep']:.0%}"} if lowered else {}
        sentences = [words("lowered" if lowered else "score", **values, **more)]
        withheld = [shown(name) for name in content.get("withheld") or ()]
        if content.get("auroc") is None or content.get("refused") is None:
            sentences.append(words("unmeasured"))
        else:
            names = ", ".join(withheld[:8]) or "?"
            refused, auroc = f"{content['refused']:.1%}", figure(content["auroc"], 3)
            sentences.append(words("measured", count=len(withheld), names=names, refused=refused, auroc=auroc))
        if not content.get("held_out", True) and not lowered:
            sentences.append(words("seen"))
        blocks: list[Block] = [Paragraph(words.joined(sentences))]
        tried = content.get("tried") or {}
        rows: list[tuple[Cell, ...]] = [
            (name, item.get("auroc"), item.get("refused"), words("yes") if name == content["score"] else "")
            for name, item in tried.items()
        ]
        if len(rows) > 1:
            columns = tuple(words(key) for key in ("name", "auroc", "refused", "chosen"))
            blocks.append(Grid(columns, tuple(rows), words("table")))
        return blocks
