"""The worst mistakes, as pictures or texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.display_text import shown
from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection, need_answers
from paddle_automl.reporting.blocks import Block, Example, Gallery, Paragraph
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, figure


@SECTIONS.register("mistakes")
class Mistakes(ReportSection):
    """The items with the worst answers."""

    place = 56
    needs_answers = True
    texts: ClassVar[Texts] = {
        "title": ("Worst mistakes", "最严重的错误"),
        "none": ("There was no wrong answer.", "没有错误的预测。"),
        "explained": (
            "The answers that were furthest from the truth, worst first, as the network sees the items. Look "
            "whether the label is wrong.",
            "与真实值相差最大的预测，最差者在前，按网络所见显示。请检查是否标注有误。",
        ),
        "truth": ("true: {text}", "真实：{text}"),
        "answer": ("predicted: {text}", "预测：{text}"),
        "wrong labels": ("wrong labels", "错误标签数"),
        "loss": ("loss", "损失"),
        "error": ("error", "误差"),
        "error of": ("error of {name}", "{name} 的误差"),
        "sure": ("predicted: {text} ({probability})", "预测：{text}（{probability}）"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the mistakes with their pictures."""
        found = need_answers(material).get("mistakes") or []
        if not found:
            raise Missing("none")
        return {"mistakes": list(found)}

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the items with the right and the wrong answer."""
        items = []
        for mistake in content["mistakes"]:
            probability = mistake["detail"].get("probability")
            answer = shown(mistake["answer"])
            if probability is None:
                told = words("answer", text=answer)
                more = [f"{_detail(name, words)} {figure(value, 3)}" for name, value in mistake["detail"].items()]
            else:
                told, more = words("sure", text=answer, probability=f"{probability:.0%}"), []
            lines = (
                words("truth", text=shown(mistake["truth"])),
                told,
                *more,
                shown(words.recorded(mistake["place"])),
            )
            items.append(Example(lines, mistake.get("picture"), mistake.get("text")))
        return [Paragraph(words("explained")), Gallery(tuple(items))]


def _detail(name: str, words: Words) -> str:
    """Return the name of a figure of a mistake, such as the error of one column of numbers."""
    before, _, column = name.partition("error of ")
    return words("error of", name=shown(column)) if column and not before else words.known(name.replace("_", " "))
