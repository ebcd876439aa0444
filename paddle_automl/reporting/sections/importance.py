"""Which decisions mattered."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection, need_study
from paddle_automl.reporting.blocks import Block, Chart, Grid, Paragraph
from paddle_automl.reporting.charts import BLUE, GREY, Drawing, label
from paddle_automl.reporting.choices import short_names
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, choice_text

FEWEST = 10
TOP = 5
"""Fewest trials that count as good ones: the estimate needs five (Watanabe et al. 2023)."""
SHOWN = 15


@SECTIONS.register("importance")
class Importance(ReportSection):
    """How much each decision separates the good trials from the others, conditional ones included."""

    place = 26
    texts: ClassVar[Texts] = {
        "title": ("Which decisions mattered", "哪些决策重要"),
        "few": (
            "The importance of decisions needs at least {least} trials with a result; there are {count}.",
            "决策的重要性至少需要 {least} 个有结果的试验；目前有 {count} 个。",
        ),
        "equal": (
            "All trials have the same value, so no decision mattered.",
            "所有试验结果相同，因此没有决策产生影响。",
        ),
        "method": (
            "How differently the best {fraction} of {trials} trials chose than all of them (conditional PED-ANOVA, "
            "for {metric}). A decision that exists only under another one counts where it exists. With few trials "
            "small differences are chance.",
            "最好的 {fraction}（共 {trials} 个试验）在选择上与全体的差异（条件 PED-ANOVA，针对 {metric}）。"
            "仅在另一决策之下存在的决策，只在其存在时计算。试验较少时，小差异属于偶然。",
        ),
        "text": ("Importance of each decision for {metric}.", "各决策对 {metric} 的重要性。"),
        "decision": ("decision", "决策"),
        "importance": ("importance", "重要性"),
        "used": ("trials with it", "涉及的试验数"),
        "winner": ("the winner's choice", "最佳试验的选择"),
        "table": ("all decisions", "全部决策"),
        "conditional": ("exists only under another decision", "仅在另一决策之下存在"),
        "always": ("always", "始终存在"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the importance of each decision, largest first; they sum to 1."""
        need_study(material)
        study, goal = material.study, material.goals[0]
        assert study is not None
        firsts = material.first_runs
        if len(firsts) < FEWEST:
            raise Missing("few", least=FEWEST, count=len(firsts))
        costs = {r.number: goal.cost(r.values[0]) for r in firsts if r.values}
        if len(set(costs.values())) < 2:
            raise Missing("equal")
        fraction = max(0.1, min(0.5, TOP / len(firsts)))
        found = _importances(material, costs, fraction)
        winner = material.configurations[0].first
        names = short_names([decision.name for decision in study.space.decisions])
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return {
            "metric": goal.metric,
            "evaluator": "conditional PED-ANOVA (Optuna)",
            "fraction": fraction,
            "trials": len(firsts),
            "decisions": [
                {
                    "name": name,
                    "short": names[name],
                    "importance": round(value, 6),
                    "trials": sum(name in r.params for r in firsts),
                    "conditional": study.space[name].condition is not None,
                    "winner": winner.params.get(name),
                }
                for name, value in ordered
            ],
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the largest ones as bars, and all of them as a table."""
        values = {
            "trials": content["trials"],
            "metric": content["metric"],
            "fraction": f"{content['fraction']:.0%}",
        }
        rows = tuple(
            (
                item["name"],
                item["importance"],
                item["trials"],
                choice_text(item["winner"]) if item["winner"] is not None else None,
            )
            for item in content["decisions"]
        )
        columns = (words("decision"), words("importance"), words("used"), words("winner"))
        grid = Grid(columns, rows, words("table"), folded=True)
        return [Paragraph(words("method", **values)), self._chart(content, words), grid]

    def _chart(self, content: Mapping[str, Any], words: Words) -> Chart:
        top = content["decisions"][:SHOWN][::-1]
        with Drawing(size=(8.4, 0.7 + 0.24 * len(top))) as drawing:
            axes = drawing.axes
            for conditional, color, key in ((False, BLUE, "always"), (True, GREY, "conditional")):
                some = [(place, item) for place, item in enumerate(top) if item["conditional"] == conditional]
                if some:
                    axes.barh(
                        [place for place, _ in some],
                        [item["importance"] for _, item in some],
                        color=color,
                        height=0.7,
                        label=words(key),
                    )
            texts = [
                label(
                    item["short"] if item["winner"] is None else f"{item['short']} = {choice_text(item['winner'])}",
                    40,
                )
                for item in top
            ]
            axes.set_yticks(range(len(top)), texts)
            axes.grid(visible=False, axis="y")
            axes.set_xlabel(words("importance"))
            axes.legend(loc="lower right")
            return Chart(drawing.svg(), words("text", metric=content["metric"]))


def _importances(material: Material, costs: Mapping[int, float], fraction: float) -> dict[str, float]:
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState, create_trial

    from paddle_automl.search.quiet import quiet_optuna

    assert material.study is not None
    # Stopped trials count as well, by the value that they had reached.
    with quiet_optuna(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(direction="minimize")
        for trial in material.study.trials:
            if trial.number in costs:
                study.add_trial(
                    create_trial(
                        state=TrialState.COMPLETE,
                        value=costs[trial.number],
                        params=trial.params,
                        distributions=trial.distributions,
                    )
                )
        evaluator = PedAnovaImportanceEvaluator(target_quantile=fraction)
        return dict(get_param_importances(study, evaluator=evaluator))
