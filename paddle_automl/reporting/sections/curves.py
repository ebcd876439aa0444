"""The learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection
from paddle_automl.reporting.blocks import Block, Chart, Paragraph
from paddle_automl.reporting.charts import BLUE, GREEN, GREY, ORANGE, RED, Drawing, label
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.sections._search import limit_axis
from paddle_automl.reporting.words import Texts, Words
from paddle_automl.tasks.metrics.spelling import goal_of

MOST = 200


@SECTIONS.register("curves")
class Curves(ReportSection):
    """The validation metric by epoch, of the trials, the refit, or a single training."""

    place = 32
    texts: ClassVar[Texts] = {
        "title": ("Learning curves", "学习曲线"),
        "none": ("No training has reported an epoch.", "没有训练报告过任何轮次。"),
        "text": ("{metric} on validation after each epoch.", "每轮之后验证集上的 {metric}。"),
        "some": ("Of {total} trials {count} are drawn.", "共 {total} 个试验，绘出 {count} 个。"),
        "winner": ("winner: trial {number}", "最佳：试验 {number}"),
        "baseline": ("trial {number}: the configuration's own values", "试验 {number}：配置自身的取值"),
        "refit": ("refit of the winner", "最佳配置的重新训练"),
        "single": ("this training", "本次训练"),
        "others": ("other trials", "其他试验"),
        "refit_better": (
            "The refit was exported: it is at least as good on validation as the trial.",
            "导出的是重新训练的网络：其验证集结果不低于试验。",
        ),
        "refit_worse": (
            "The trial's own weights were exported: they are better on validation than the refit.",
            "导出的是试验自身的权重：其验证集结果优于重新训练。",
        ),
        "further": ("further training of the winner", "最佳配置的进一步训练"),
        "further_better": (
            "A further training of the winner was exported, such as a fine-tuning: it is better on validation.",
            "导出的是最佳配置的进一步训练（如微调）：其验证集结果更好。",
        ),
        "ensemble": (
            "An ensemble of several trials was exported: it is better on validation.",
            "导出的是多个试验的集成网络：其验证集结果更好。",
        ),
        "kept": ("The final export has not replaced an earlier bundle.", "最终导出未能替换先前的模型包。"),
        "kept_of": (
            "The final export has not replaced an earlier bundle, which was exported from {source}.",
            "最终导出未能替换先前的模型包，后者导出自 {source}。",
        ),
        "cut": ("The first, low epochs lie outside the drawing.", "开始阶段较低的轮次在图外。"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the curves as lists of epochs and values."""
        metric = material.curve_metric
        trials = [r for r in material.records if r.curve and r.duplicate_of is None]
        lines = (material.refit_curve, material.further_curve, material.curve)
        refit, further, single = (_points(part, metric) for part in lines)
        if not (trials or refit or single):
            raise Missing("none")
        found = material.configurations
        return {
            "metric": metric,
            "goal": goal_of(metric),
            "winner": found[0].first.number if found else None,
            "baseline": next((r.number for r in trials if r.baseline), None),
            "trials": [{"number": r.number, "points": sorted(r.curve.items())} for r in trials],
            "refit": refit,
            "further": further,
            "single": single if not trials else [],
            "exported": material.source,
            "kept": bool(material.kept),
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the drawing, and which weights were exported."""
        sentences = []
        if content["kept"]:
            source = content["exported"]
            sentences.append(words("kept_of", source=source) if source else words("kept"))
        elif content["exported"].startswith("ensemble/"):
            sentences.append(words("ensemble"))
        elif content["further"]:
            sentences.append(words("further_better"))
        elif content["refit"] and content["exported"]:
            trial = content["exported"].startswith("trials/")
            sentences.append(words("refit_worse" if trial else "refit_better"))
        total = len(content["trials"])
        if total > MOST:
            sentences.append(words("some", total=total, count=MOST))
        chart = self._chart(content, words)
        return [Paragraph(words.joined(sentences)), chart] if sentences else [chart]

    def _chart(self, content: Mapping[str, Any], words: Words) -> Chart:
        winner, baseline = content["winner"], content["baseline"]
        # The winner and trial 0 are always among those that are drawn.
        marked = [t for t in content["trials"] if t["number"] in (winner, baseline)]
        others = [t for t in content["trials"] if t["number"] not in (winner, baseline)][: MOST - len(marked)]
        ends: list[float] = []
        finals: list[float] = []
        with Drawing(size=(8.4, 3.3)) as drawing:
            axes = drawing.axes

            def draw(points: Any, **style: Any) -> None:
                epochs, values = zip(*points, strict=True)
                ends.extend(values[len(values) // 4 :])
                if style.get("zorder"):
                    finals.append(values[-1])
                axes.plot(epochs, values, marker="." if len(epochs) == 1 else None, **style)

            for place, trial in enumerate(others):
                text = None if place else words("others")
                draw(trial["points"], color=GREY, linewidth=0.9, alpha=0.6, label=text)
            for trial in marked:
                best = trial["number"] == winner
                key = "winner" if best else "baseline"
                color = GREEN if best else BLUE
                draw(
                    trial["points"], color=color, linewidth=2.2 if best else 1.6, zorder=5,
                    label=words(key, number=trial["number"]),
                )  # fmt: skip
            for key, color in (("refit", ORANGE), ("further", RED), ("single", GREEN)):
                if content[key]:
                    draw(content[key], color=color, linewidth=1.8, zorder=6, label=words(key))
            cut = limit_axis(axes, ends, content["goal"], show=finals)
            drawing.whole_numbers(axes.xaxis)
            axes.set_xlabel(words("epoch"))
            axes.set_ylabel(label(content["metric"], 40))
            axes.legend(loc="best")
            text = words("text", metric=content["metric"])
            return Chart(drawing.svg(), words.joined([text, words("cut")]) if cut else text)


def _points(lines: Any, metric: str) -> list[tuple[int, float]]:
    found = []
    for place, line in enumerate(lines, 1):
        value = line.get(metric)
        if isinstance(value, int | float) and value == value:
            found.append((int(line.get("epoch", place)), float(value)))
    return found
