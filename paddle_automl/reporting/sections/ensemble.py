"""The ensemble of the best trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.display_text import shown
from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection
from paddle_automl.reporting.blocks import Block, Paragraph
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, score


@SECTIONS.register("ensemble")
class EnsembleSection(ReportSection):
    """Which trials answer better together, and whether their network was kept."""

    place = 36
    texts: ClassVar[Texts] = {
        "title": ("An ensemble of the best trials", "最佳试验的集成"),
        "none": ("No ensemble was asked for.", "未设置集成。"),
        "unfinished": ("No ensemble has been tried.", "尚未尝试集成。"),
        "kept": (
            "The exported network is made of the trials {members}: it gives the mean of their answers.",
            "导出的网络由试验 {members} 组成：给出各试验答案的平均。",
        ),
        "left": ("The winner was exported alone.", "只导出了最佳配置的网络。"),
        "gain": (
            "On {items} validation items {metric} is {before} for the winner, and {after} for ensembles chosen "
            "without the item in question; the standard error of the difference is {error}.",
            "在 {items} 个验证样本上，最佳配置的 {metric} 为 {before}，选择时未用该样本的集成为 {after}；"
            "差值的标准误为 {error}。",
        ),
        "noise": ("That is within the noise.", "该差值在噪声之内。"),
        "worse": ("An ensemble is not better.", "集成并不更好。"),
        "beyond": ("Its network would be beyond the limits: {limits}.", "其网络会超出限制：{limits}。"),
        "alone": (
            "No other of the best trials improves the winner's answers on validation.",
            "其余最佳试验都不能改进最佳配置在验证集上的答案。",
        ),
        "why": ("The reason: {reason}.", "原因：{reason}。"),
        "out": ("Trial {number} could not be a member: {reason}.", "试验 {number} 不能作为成员：{reason}。"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the members, their gain, and the reason."""
        found = material.ensemble
        if not found:
            raise Missing("none" if material.config.get("ensemble") is None else "unfinished")
        choice = found.get("choice") or {}
        return {
            "kept": found.get("kept") is not None,
            "members": list(choice.get("members", ())),
            "gain": choice.get("gain"),
            "enough": bool(choice.get("kept")),
            "beyond": str(choice.get("beyond", "")),
            "left_out": dict(choice.get("left_out", {})),
            "reason": str(found.get("reason", "")),
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return a paragraph."""
        members = (", " if words.language == "en" else "、").join(map(str, content["members"]))
        sentences = [words("kept", members=members) if content["kept"] else words("left")]
        gain = content["gain"]
        if gain is not None:
            values = {key: score(gain["metric"], gain[key]) for key in ("before", "after")}
            error = f"{gain['standard_error']:.2g}"
            sentences.append(words("gain", items=gain["items"], metric=gain["metric"], error=error, **values))
        if not content["kept"]:
            sentences.append(_why(content, words))
        sentences += [
            words("out", number=number, reason=shown(words.recorded(reason)))
            for number, reason in content["left_out"].items()
        ]
        return [Paragraph(words.joined(sentences))]


def _why(content: Mapping[str, Any], words: Words) -> str:
    """Return why no ensemble was exported."""
    gain = content["gain"]
    if content["beyond"]:
        return words("beyond", limits=shown(content["beyond"]))
    if gain is not None and not content["enough"]:
        return words("noise" if gain["gain"] > 0 else "worse")
    if content["members"] and gain is None:
        return words("alone")
    return words("why", reason=shown(words.recorded(content["reason"])))
