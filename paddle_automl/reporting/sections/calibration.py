"""Whether the network's probabilities, or its intervals, can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.display_text import by_name
from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection, need_answers
from paddle_automl.reporting.blocks import Block, Chart, Paragraph
from paddle_automl.reporting.charts import BLUE, GREY, Drawing
from paddle_automl.reporting.intervals import interval
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, figure
from paddle_automl.tasks.calibration import LEAST_ITEMS


@SECTIONS.register("calibration")
class Calibration(ReportSection):
    """Stated probability against observed frequency."""

    place = 54
    needs_answers = True
    texts: ClassVar[Texts] = {
        "title": ("Can the probabilities be believed?", "概率是否可信？"),
        "none": (
            "The answers of this task have no probabilities.",
            "此任务的预测没有概率。",
        ),
        "error": (
            "The expected calibration error is {error}: stated probability and frequency of right answers differ "
            "by that much on average, over {count} predictions.",
            "期望校准误差为 {error}：在 {count} 个预测上，所给概率与实际正确频率平均相差该值。",
        ),
        "over": (
            "The network is too sure of itself: its answers are right less often than it says.",
            "网络过于自信：实际正确率低于其所给概率。",
        ),
        "under": (
            "The network is too modest: its answers are right more often than it says.",
            "网络偏于保守：实际正确率高于其所给概率。",
        ),
        "text": (
            "How often the answers of each stated probability are right; on the line both are equal. Error bars: "
            "95% intervals, wide for few predictions. Right: number of predictions.",
            "各概率下预测正确的频率；线上两者相等。误差线：95% 置信区间，预测少时较宽。右图：预测数。",
        ),
        "temperature": (
            "The probabilities were scaled with a temperature of {temperature}, fitted on {items} validation "
            "items; there the error was {before} before and {after} after.",
            "概率以温度 {temperature} 缩放（在 {items} 个验证样本上拟合）；其上的误差由 {before} 变为 {after}。",
        ),
        "unscaled": (
            "The probabilities are those of the network: no temperature was fitted, which takes at least {least} "
            "validation items ({items} there are) and has to make them better.",
            "概率未经缩放：拟合温度至少需要 {least} 个验证样本（现有 {items} 个），且须使概率更准确。",
        ),
        "seen": (
            "The network was trained on these items too, so new ones have other errors.",
            "网络也用这些样本训练过，因此新样本上的误差会有所不同。",
        ),
        "intervals": (
            "{target} of the true numbers are to lie in the intervals. Of {items} validation items {after} do, by "
            "the network alone {before}.",
            "区间应包含 {target} 的真实值；在 {items} 个验证样本上实际包含 {after}（网络自身的区间为 {before}）。",
        ),
        "fewer": (
            "The network was trained on these items too, so fewer of new ones do.",
            "网络也用这些样本训练过，因此新样本上的比例更低。",
        ),
        "covered": (
            "Of the {count} {word} of the split {split} {coverage} do.",
            "在 {split} 的 {count} 个{word}上为 {coverage}。",
        ),
        "stated": ("stated probability", "所给概率"),
        "frequency": ("frequency", "实际频率"),
        "predictions": ("predictions", "预测数"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the groups of predictions."""
        answers = need_answers(material)
        intervals = (material.bundle or {}).get("intervals")
        if intervals:
            keys = ("split", "evaluated", "word")
            columns = answers["data"].get("per_column") or []
            measured = {item["column"]: item["coverage"] for item in columns if "coverage" in item}
            return {"intervals": intervals, "measured": measured, **{key: answers.get(key) for key in keys}}
        found = answers.get("reliability")
        if not found or not found["groups"]:
            raise Missing("none")
        return {**found, "temperature": (material.bundle or {}).get("calibration")}

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the error, its direction, and the drawing; of intervals what they hold."""
        if "intervals" in content:
            return [Paragraph(words.joined(_held(content, words)))]
        sentences = [words("error", error=figure(content["error"], 3), count=figure(content["predictions"]))]
        gap = (
            sum(g["count"] * (g["frequency"] - g["probability"]) for g in content["groups"])
            / content["predictions"]
        )
        # Of labels most are absent, so that the mean over all says nothing about confidence.
        if content["of"] == "answers" and abs(gap) > 0.01:
            sentences.append(words("over" if gap < 0 else "under"))
        scaled = content.get("temperature")
        if scaled and scaled["temperature"] == 1:
            sentences.append(words("unscaled", least=LEAST_ITEMS, items=figure(scaled["items"])))
        elif scaled:
            before, after = (figure(scaled[key], 3) for key in ("error_before", "error_after"))
            values = {"temperature": figure(scaled["temperature"], 3), "items": figure(scaled["items"])}
            sentences.append(words("temperature", before=before, after=after, **values))
            if not scaled.get("held_out", True):
                sentences.append(words("seen"))
        return [Paragraph(words.joined(sentences)), self._chart(content["groups"], words)]

    def _chart(self, groups: list[dict[str, Any]], words: Words) -> Chart:
        with Drawing(size=(8.4, 3.0), columns=2, gridspec_kw={"width_ratios": [1, 1]}) as drawing:
            axes, counts = drawing.all_axes
            axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
            ends = [interval(g["frequency"], g["count"]) for g in groups]
            bars = [
                [max(0.0, g["frequency"] - low) for g, (low, _) in zip(groups, ends, strict=True)],
                [max(0.0, high - g["frequency"]) for g, (_, high) in zip(groups, ends, strict=True)],
            ]
            axes.errorbar(
                [g["probability"] for g in groups], [g["frequency"] for g in groups], yerr=bars, fmt="o",
                color=BLUE, ecolor=GREY, capsize=3,
            )  # fmt: skip
            axes.set(xlim=(0, 1.02), ylim=(0, 1.05), xlabel=words("stated"), ylabel=words("frequency"))
            middles = [(g["from"] + g["to"]) / 2 for g in groups]
            counts.bar(middles, [g["count"] for g in groups], width=0.09, color=BLUE)
            counts.set(xlim=(0, 1), xlabel=words("stated"), ylabel=words("predictions"))
            return Chart(drawing.svg(), words("text"))


def _held(content: Mapping[str, Any], words: Words) -> list[str]:
    """Return sentences on how many true numbers lie in their intervals."""
    record = content["intervals"]
    before, after = (_fractions(record[key]) for key in ("coverage_before", "coverage"))
    target, items = figure(record["target"], 3), figure(record["items"])
    sentences = [words("intervals", target=target, items=items, before=before, after=after)]
    if not record.get("held_out", True):
        sentences.append(words("fewer"))
    if content["measured"]:
        word, count = words.known(f"{content['word']}s"), figure(content["evaluated"])
        split, coverage = words.known(content["split"]), _fractions(content["measured"])
        sentences.append(words("covered", count=count, word=word, split=split, coverage=coverage))
    return sentences


def _fractions(found: Mapping[str, float]) -> str:
    return by_name(found, lambda value: figure(value, 3))
