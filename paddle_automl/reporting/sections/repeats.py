"""The runs by which the winner was chosen among the best."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any, ClassVar

from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection, need_study
from paddle_automl.reporting.blocks import Block, Chart, Paragraph
from paddle_automl.reporting.charts import BLUE, GREEN, GREY, ORANGE, Drawing, label
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, score
from paddle_automl.search.configurations import final_choice

SHOWN = 12


@SECTIONS.register("repeats")
class Repeats(ReportSection):
    """The repeats of the best configurations, with error bars."""

    place = 34
    texts: ClassVar[Texts] = {
        "title": ("The final choice", "最终选择"),
        "none": (
            "No configuration was run again: the winner is judged by its one run and by similar configurations, "
            "and replaces the configuration's own values only if it is better by more than the noise.",
            "没有配置被重复运行：最佳者由其单次运行及相似配置来评判，仅当优势超出噪声时才取代配置自身的取值。",
        ),
        "told": (
            "The best configurations were run again with other seeds. Judged by its own runs and by those of "
            "similar configurations, trial {number} won: it has {metric} {mean} over {runs} runs ({low} to "
            "{high}).",
            "最好的几个配置以其他随机种子重复运行。由其自身及相似配置的运行来评判，最佳者为试验 {number}："
            "在 {runs} 次运行中 {metric} 平均为 {mean}（{low} 至 {high}）。",
        ),
        "baseline": (
            "It has the configuration's own values: no trial was better by more than the noise.",
            "它即为配置自身的取值：没有试验的优势超出噪声。",
        ),
        "same": ("It was also the best single observation.", "它也是单次观测最好者。"),
        "other": (
            "The best single observation was trial {number} with {observed}; its mean is {mean}.",
            "单次观测最好者为试验 {number}，值为 {observed}；其平均值为 {mean}。",
        ),
        "text": (
            "{metric} of each run (dots), the mean, and one standard deviation in each direction.",
            "每次运行的 {metric}（点）、平均值及上下各一个标准差。",
        ),
        "run": ("a run", "一次运行"),
        "mean": ("mean and deviation", "平均值与标准差"),
        "first": ("first run", "首次运行"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the runs of each repeated configuration."""
        need_study(material)
        goal = material.goals[0]
        repeated = [item for item in material.configurations if len(item.runs) > 1 or item.failed]
        choice = final_choice(material.configurations, material.goals)
        if choice is None or not repeated:
            raise Missing("none")
        rows = []
        for item in repeated[:SHOWN]:
            values = [run.values[0] for run in item.runs if run.values]
            rows.append(
                {
                    "number": item.first.number,
                    "runs": values,
                    "failed": item.failed,
                    "mean": fmean(values),
                    "deviation": stdev(values) if len(values) > 1 else None,
                }
            )
        return {
            "metric": goal.metric,
            "winner": choice.winner.first.number,
            "baseline": choice.winner.first.baseline,
            "mean": choice.mean,
            "lowest": choice.lowest,
            "highest": choice.highest,
            "runs": len(choice.winner.runs),
            "observed": {
                "number": choice.observed.first.number,
                "value": choice.observed_value,
                "mean": choice.observed_mean,
            },
            "configurations": rows,
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the choice in words, and the runs as a drawing."""
        observed = content["observed"]
        values = {key: score(content["metric"], content[key]) for key in ("mean", "lowest", "highest")}
        sentences = [
            words(
                "told",
                number=content["winner"],
                metric=content["metric"],
                mean=values["mean"],
                runs=content["runs"],
                low=values["lowest"],
                high=values["highest"],
            )
        ]
        if content["baseline"]:
            sentences.append(words("baseline"))
        if observed["number"] == content["winner"]:
            sentences.append(words("same"))
        else:
            mean, value = (score(content["metric"], observed[key]) for key in ("mean", "value"))
            sentences.append(words("other", number=observed["number"], observed=value, mean=mean))
        return [Paragraph(words.joined(sentences)), self._chart(content, words)]

    def _chart(self, content: Mapping[str, Any], words: Words) -> Chart:
        rows = content["configurations"]
        with Drawing(size=(8.4, 2.8)) as drawing:
            axes = drawing.axes
            for place, row in enumerate(rows):
                first = place == 0
                axes.plot([place] * len(row["runs"]), row["runs"], "o", color=GREY, markersize=5, zorder=2,
                          label=words("run") if first else None)  # fmt: skip
                axes.plot([place], row["runs"][:1], "o", color=ORANGE, markersize=5, zorder=3, fillstyle="none",
                          label=words("first") if first else None)  # fmt: skip
                color = GREEN if row["number"] == content["winner"] else BLUE
                axes.errorbar(
                    [place + 0.15], [row["mean"]], yerr=[row["deviation"] or 0.0], fmt="s", color=color, capsize=4,
                    markersize=5, label=words("mean") if first else None, zorder=4,
                )  # fmt: skip
            axes.set_xticks(range(len(rows)), [f"{words('trial')} {row['number']}" for row in rows])
            axes.set_xlim(-0.6, max(len(rows) - 0.4, 2.4))
            axes.set_ylabel(label(content["metric"], 40))
            axes.legend(loc="best")
            return Chart(drawing.svg(), words("text", metric=content["metric"]))
