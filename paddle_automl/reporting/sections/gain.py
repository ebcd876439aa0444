"""The winner against the configuration's own values, and against random search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.reporting.base import SECTIONS, ReportSection, need_study
from paddle_automl.reporting.blocks import Block, Chart, Paragraph
from paddle_automl.reporting.charts import BLUE, GREEN, GREY, Drawing, label
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.random_search import FEWEST, expectation_of
from paddle_automl.reporting.sections._search import limit_axis
from paddle_automl.reporting.words import Texts, Words, score
from paddle_automl.search.progress import best_so_far

DESPITE = 0.0
"""Explained variance below which the model of the trials says nothing."""


@SECTIONS.register("gain")
class Gain(ReportSection):
    """Whether the search was worth it: the best trial against trial 0 and against random search."""

    place = 24
    slow = True
    texts: ClassVar[Texts] = {
        "title": ("Was the search worth it?", "搜索是否值得？"),
        "gain": (
            "By {metric}, the best single trial ({best}) differs by {gain} from the configuration's own values "
            "({own}).",
            "以 {metric} 计，最佳单个试验（{best}）与配置自身的取值（{own}）相差 {gain}。",
        ),
        "no_baseline": (
            "The configuration's own values were not tried, or failed, so there is nothing to compare with.",
            "配置自身的取值未被试验或已失败，因此无从比较。",
        ),
        "random": (
            "Of {count} random trials the best would be expected to have {mean} (80% of such searches: {low} to "
            "{high}).",
            "若随机进行 {count} 个试验，最佳者的期望值为 {mean}（80% 的此类搜索介于 {low} 与 {high} 之间）。",
        ),
        "model": (
            "This is an estimate: a forest of regression trees learned {metric} from the choices of {trials} "
            "trials (explained variance on trials it has not seen: {explained}), and random configurations were "
            "drawn from it. It never exceeds the best trial, so a small difference means little.",
            "此为估计：由回归树森林根据 {trials} 个试验的选择学习 {metric}（对未见试验的解释方差：{explained}），"
            "再从中抽取随机配置。估计不会超过最佳试验，因此差异较小时意义不大。",
        ),
        "itself": (
            "The trials of this search were drawn at random themselves; the expectation follows from their values.",
            "本次搜索的试验本身即为随机抽取；期望值由其结果得出。",
        ),
        "few": (
            "What random search would have found cannot be estimated from fewer than {count} trials.",
            "试验少于 {count} 个，无法估计随机搜索的结果。",
        ),
        "blind": (
            "What random search would have found cannot be estimated: the choices of {trials} trials do not "
            "explain their values.",
            "无法估计随机搜索的结果：{trials} 个试验的选择不能解释其结果。",
        ),
        "text": (
            "The best {metric} so far, and what random search would be expected to reach.",
            "当前最佳 {metric}，以及随机搜索的期望。",
        ),
        "text_alone": (
            "The best {metric} so far, and that of the configuration's own values.",
            "当前最佳 {metric}，以及配置自身取值的结果。",
        ),
        "search": ("this search", "本次搜索"),
        "expected": ("random search, expected", "随机搜索（期望）"),
        "band": ("80% of random searches", "80% 的随机搜索"),
        "own": ("the configuration's own values", "配置自身的取值"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the values that are compared."""
        need_study(material)
        study, goal = material.study, material.goals[0]
        assert study is not None
        firsts = [r for r in material.first_runs if not r.part_of_folds] or material.first_runs
        drawn = [r for r in firsts if not r.baseline and not r.warm_start]
        values = [r.values[0] for r in firsts if r.values]
        own = next((r for r in firsts if r.baseline), None)
        name = ((material.config.get("search") or {}).get("controller") or {}).get("name")
        random = name == "random_search"
        sample = drawn if random else firsts
        found = expectation_of(
            study.space,
            [r.params for r in sample],
            [goal.cost(r.values[0]) for r in sample if r.values],
            len(firsts),
            random=random,
        )
        expected = None
        if found is not None:
            # The quantiles of costs change places where larger values are better.
            low, high = (found.high, found.low) if goal.goal == "maximize" else (found.low, found.high)
            expected = {
                "mean": [round(goal.value(cost), 6) for cost in found.mean],
                "low": [round(goal.value(cost), 6) for cost in low],
                "high": [round(goal.value(cost), 6) for cost in high],
                "explained": found.explained,
            }
        return {
            "metric": goal.metric,
            "goal": goal.goal,
            "best": min(values, key=goal.cost),
            "baseline": None if own is None or not own.values else {"number": own.number, "value": own.values[0]},
            "trials": len(firsts),
            "best_so_far": best_so_far(firsts, goal),
            "random_search": expected,
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the comparison in words and as a drawing."""
        metric, own, expected = content["metric"], content["baseline"], content["random_search"]
        if own is None:
            sentences = [words("no_baseline")]
        else:
            best, value = content["best"], own["value"]
            gain = score(metric, best - value)
            sentences = [
                words(
                    "gain",
                    metric=metric,
                    best=score(metric, best),
                    own=score(metric, value),
                    gain=gain,
                )
            ]
        explained = None if expected is None else expected["explained"]
        usable = expected is not None and (explained is None or explained > DESPITE)
        if expected is None:
            sentences.append(words("few", count=FEWEST))
        elif not usable:
            sentences.append(words("blind", trials=content["trials"]))
        else:
            last = {key: score(metric, expected[key][-1]) for key in ("mean", "low", "high")}
            sentences.append(words("random", count=content["trials"], **last))
            if explained is None:
                sentences.append(words("itself"))
            else:
                values = {"metric": metric, "trials": content["trials"], "explained": f"{explained:.0%}"}
                sentences.append(words("model", **values))
        return [Paragraph(words.joined(sentences)), self._chart(content, usable, words)]

    def _chart(self, content: Mapping[str, Any], usable: bool, words: Words) -> Chart:
        with Drawing(size=(8.4, 2.9)) as drawing:
            axes = drawing.axes
            numbers = list(range(1, content["trials"] + 1))
            seen = list(content["best_so_far"])
            expected = content["random_search"]
            if usable:
                axes.fill_between(
                    numbers, expected["low"], expected["high"], color=GREY, alpha=0.25, label=words("band")
                )
                axes.plot(numbers, expected["mean"], color=GREY, linewidth=1.5, label=words("expected"))
                seen += expected["low"]
            if content["baseline"] is not None:
                axes.axhline(
                    content["baseline"]["value"], color=BLUE, linestyle="--", linewidth=1.2, label=words("own")
                )
                seen.append(content["baseline"]["value"])
            axes.step(
                numbers, content["best_so_far"], where="post", color=GREEN, linewidth=1.8, label=words("search")
            )
            limit_axis(axes, seen, content["goal"])
            drawing.whole_numbers(axes.xaxis)
            axes.set_xlabel(words("trials"))
            axes.set_ylabel(label(content["metric"], 40))
            axes.legend(loc="best")
            return Chart(drawing.svg(), words("text" if usable else "text_alone", metric=content["metric"]))
