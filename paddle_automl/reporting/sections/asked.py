"""What the search was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.display_text import shown
from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection
from paddle_automl.reporting.blocks import Block, Facts, Grid
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, choice_text, figure

MOST_NAMES = 12
"""Names of classes in the table of facts."""
MOST_ROWS = 200


@SECTIONS.register("asked")
class Asked(ReportSection):
    """Data, objectives, limits, and the space that was searched."""

    place = 12
    texts: ClassVar[Texts] = {
        "title": ("What was asked", "任务设定"),
        "no_config": ("The folder holds no configuration.", "文件夹中没有配置。"),
        "data": ("data", "数据"),
        "splits": ("splits", "划分"),
        "split_counts": (
            "{train} training, {validation} validation, {test} test {word}",
            "训练集 {train}、验证集 {validation}、测试集 {test} {word}",
        ),
        "input": ("input", "输入"),
        "any": ("any number", "任意数量"),
        "task": ("task", "任务类型"),
        "names": ("classes, labels or columns", "类别、标签或列"),
        "more": (", and {count} more", "，另有 {count} 个"),
        "skipped": ("left out, because unreadable", "因无法读取而略过"),
        "objectives": ("objectives", "目标"),
        "maximize": ("maximize {metric}", "最大化 {metric}"),
        "minimize": ("minimize {metric}", "最小化 {metric}"),
        "limit": (" (limit {limit})", "（限制 {limit}）"),
        "budget": ("time", "时间"),
        "budget_s": ("{seconds} s", "{seconds} 秒"),
        "unlimited": ("no limit", "不限"),
        "limit_trials": ("number of trials", "试验数上限"),
        "controller": ("who proposes", "搜索算法"),
        "scheduler": ("who stops early", "提前停止策略"),
        "size": ("configurations in the space", "搜索空间大小"),
        "infinite": ("infinitely many", "无穷多"),
        "seed": ("seed", "随机种子"),
        "space": ("the space", "搜索空间"),
        "decision": ("decision", "决策"),
        "domain": ("domain", "取值范围"),
        "condition": ("only if", "条件"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the facts of the request."""
        if not material.config:
            raise Missing("no_config")
        config, data = material.config, material.data
        search = config.get("search") or {}
        found: dict[str, Any] = {
            "dataset": (config.get("data") or {}).get("dataset"),
            "data": {key: data.get(key) for key in ("task", "names", "train", "validation", "test", "inputs")},
            "word": material.word,
            "skipped": len(data.get("skipped_files") or ()),
            "objectives": [goal.model_dump(mode="json") for goal in material.goals],
            "budget_s": (config.get("budget") or {}).get("time"),
            "trials": search.get("trials"),
            "controller": search.get("controller"),
            "scheduler": search.get("scheduler"),
            "seed": config.get("seed"),
            "space": None,
        }
        if material.study is not None:
            space = material.study.space
            found["space"] = {
                "size": space.size(),
                "decisions": [
                    {
                        "name": decision.name,
                        "domain": _domain_text(decision.domain),
                        "condition": _condition_text(decision.condition),
                    }
                    for decision in space.decisions
                ],
            }
        return found

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the facts, and the space as a folded table."""
        rows = [*self._data(content, words), *self._search(content, words)]
        blocks: list[Block] = [Facts(tuple((name, shown(text)) for name, text in rows))]
        space = content["space"]
        if space is not None:
            columns = (words("decision"), words("domain"), words("condition"))
            lines = tuple(
                (d["name"], words.recorded(d["domain"]), d["condition"]) for d in space["decisions"][:MOST_ROWS]
            )
            blocks.append(Grid(columns, lines, words("space"), folded=True))
        return blocks

    def _data(self, content: Mapping[str, Any], words: Words) -> list[tuple[str, str]]:
        data = content["data"]
        rows = [(words("data"), _options_text(content["dataset"]))]
        if data["train"] is not None:
            counts = {key: figure(int(data[key] or 0)) for key in ("train", "validation", "test")}
            rows.append((words("splits"), words("split_counts", word=words.known(f"{content['word']}s"), **counts)))
        for array in data["inputs"] or ():
            sizes = " x ".join(words("any") if size is None else str(size) for size in array["shape"])
            rows.append((words("input"), f"{array['name']} {sizes}"))
        if data["task"]:
            rows.append((words("task"), str(data["task"])))
        names = data["names"] or []
        if names:
            text = ", ".join(map(str, names[:MOST_NAMES]))
            more = len(names) - MOST_NAMES
            rows.append((words("names"), text + (words("more", count=more) if more > 0 else "")))
        if content["skipped"]:
            rows.append((words("skipped"), str(content["skipped"])))
        return rows

    def _search(self, content: Mapping[str, Any], words: Words) -> list[tuple[str, str]]:
        rows = []
        goals = []
        for goal in content["objectives"]:
            limit = "" if goal["limit"] is None else words("limit", limit=figure(goal["limit"]))
            goals.append(words(goal["goal"], metric=goal["metric"]) + limit)
        if goals:
            rows.append((words("objectives"), ("; " if words.language == "en" else "；").join(goals)))
        budget = content["budget_s"]
        rows.append(
            (words("budget"), words("unlimited") if budget is None else words("budget_s", seconds=f"{budget:g}"))
        )
        if content["space"] is not None:
            rows.append((words("limit_trials"), str(content["trials"])))
            rows.append((words("controller"), _options_text(content["controller"])))
            rows.append((words("scheduler"), _options_text(content["scheduler"])))
            size = content["space"]["size"]
            rows.append((words("size"), words("infinite") if size is None else figure(size)))
        rows.append((words("seed"), str(content["seed"])))
        return rows


def _options_text(options: Any) -> str:
    """Return a plugin's name with its options."""
    if not isinstance(options, Mapping):
        return "-" if options is None else str(options)
    rest = [
        f"{key}={choice_text(value)}" for key, value in options.items() if key != "name" and value not in (None, [])
    ]
    return f"{options.get('name', '')} {' '.join(rest)}".strip()


def _domain_text(domain: Any) -> str:
    options = getattr(domain, "options", None)
    if options is not None:
        return ", ".join(choice_text(option) for option in options)
    text = f"{choice_text(domain.low)} \u2026 {choice_text(domain.high)}"
    if getattr(domain, "step", None):
        text += f", step {choice_text(domain.step)}"
    return text + (", log" if getattr(domain, "log", False) else "")


def _condition_text(condition: Any) -> str:
    if condition is None:
        return ""
    return f"{condition.decision} = {', '.join(choice_text(value) for value in condition.values)}"
