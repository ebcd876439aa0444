"""The result in one paragraph, for a reader in a hurry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.display_text import shown
from paddle_automl.deployment.only_answer import KEY
from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection
from paddle_automl.reporting.blocks import Block, Facts, Paragraph
from paddle_automl.reporting.choices import describe_params
from paddle_automl.reporting.intervals import interval
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, figure, score


@SECTIONS.register("overview")
class Overview(ReportSection):
    """What was found, in a paragraph and a few figures."""

    place = 10
    texts: ClassVar[Texts] = {
        "title": ("In short", "概要"),
        "counts": (
            "{trials} trials ({counts}) took {seconds} s.",
            "共 {trials} 个试验（{counts}），用时 {seconds} 秒。",
        ),
        "counts_only": ("{trials} trials so far ({counts}).", "目前共 {trials} 个试验（{counts}）。"),
        "count": ("{count} {state}", "{state} {count} 个"),
        "unfinished": (
            "The search has not ended; the same command continues it.",
            "搜索尚未结束；再次运行同一命令即可继续。",
        ),
        "running_now": ("The search is still running.", "搜索仍在运行。"),
        "single": (
            "A single training of {epochs} epochs; the best was epoch {best} with {metric} {value} on validation.",
            "单次训练，共 {epochs} 轮；最佳为第 {best} 轮，验证集 {metric} 为 {value}。",
        ),
        "winner": (
            "The winner is trial {number} ({choices}): {metric} {value} on the validation items.",
            "最佳为试验 {number}（{choices}）：验证集 {metric} 为 {value}。",
        ),
        "winner_mean": (
            "The winner is trial {number} ({choices}): {metric} {value} on the validation items, the mean of "
            "{runs} runs.",
            "最佳为试验 {number}（{choices}）：验证集 {metric} 为 {value}（{runs} 次运行的平均）。",
        ),
        "part": (
            "It was cut before its cross-validation was done: this is the value of {judged} of {folds} folds.",
            "该试验在交叉验证完成前被中止：此值仅来自 {folds} 折中的 {judged} 折。",
        ),
        "mean_of_folds": ("This is the mean of {folds} folds.", "此值为 {folds} 折的平均。"),
        "baseline": (
            "The configuration's own values (trial {number}) reached {value}.",
            "配置自身的取值（试验 {number}）为 {value}。",
        ),
        "baseline_won": (
            "The winner has the configuration's own values: no trial was better by more than the noise.",
            "最佳即为配置自身的取值：没有试验的优势超出噪声。",
        ),
        "beyond": (
            "No trial is within the limits of the objectives; this is the nearest one.",
            "没有试验满足目标的限制；此为最接近者。",
        ),
        "tested": (
            "On {count} test {word} that were used for no choice, the exported network has {metric} "
            "{value}{interval}.",
            "在未参与任何选择的 {count} {word}测试数据上，导出网络的 {metric} 为 {value}{interval}。",
        ),
        "interval": (" (95% interval {low} to {high})", "（95% 置信区间 {low} 至 {high}）"),
        "untested": (
            "There is no test split, so the scores are those on validation, by which the winner was chosen: fresh "
            "data will score somewhat lower.",
            "没有测试集，因此分数来自用于选择的验证集：新数据上的分数会略低。",
        ),
        "only_answer": (
            "It answers '{name}' for every validation item: nothing that tells classes apart was learned.",
            "它对每个验证样本都回答“{name}”：未学到任何可区分类别的特征。",
        ),
        "size": ("The network takes {size} MB", "网络大小 {size} MB"),
        "speed": (
            " and {ms} ms for a batch of {batch} (median; {threads}, {processor}).",
            "，批大小 {batch} 耗时 {ms} 毫秒（中位数；{threads}，{processor}）。",
        ),
        "one_thread": ("1 thread", "1 线程"),
        "threads": ("{count} threads", "{count} 线程"),
        "stop": (".", "。"),
        "verified": (
            "Compared over {samples} items, the exported network gives the answers of the trained one: verified.",
            "在 {samples} 个样本上对比，导出网络与训练所得网络的预测一致：已验证。",
        ),
        "not_verified": (
            "The exported network is NOT verified: its answers differ from those of the trained network ({names}).",
            "导出网络未通过验证：其预测与训练所得网络不同（{names}）。",
        ),
        "nothing": ("Nothing has been found yet.", "尚无结果。"),
        "best_value": ("{metric}, validation", "{metric}（验证集）"),
        "test_value": ("{metric}, test", "{metric}（测试集）"),
        "parameters": ("parameters", "参数量"),
        "latency": ("ms, batch {batch}", "毫秒，批大小 {batch}"),
        "megabytes": ("MB", "MB"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return the figures of the paragraph."""
        counted = [record.state for record in material.records if record.counted]
        found: dict[str, Any] = {
            "running": material.running,
            "finished": bool(material.summary),
            "trials": len(counted),
            "states": {
                state: counted.count(state) for state in ("complete", "pruned", "failed") if state in counted
            },
            "seconds": material.summary.get("seconds"),
            "search": material.study is not None,
            "winner": _winner(material),
            "single": _single(material),
            "network": _network(material),
        }
        if not (found["trials"] or found["single"] or found["network"]):
            raise Missing("nothing")
        return found

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the paragraph, and the figures that readers look for first."""
        sentences = [*self._search(content, words), *self._winner(content, words), *self._network(content, words)]
        blocks: list[Block] = [Paragraph(words.joined(sentences))]
        rows = self._figures(content, words)
        return [*blocks, Facts(tuple(rows))] if rows else blocks

    def _search(self, content: Mapping[str, Any], words: Words) -> list[str]:
        single = content["single"]
        if single is not None:
            return [words("single", **{**single, "value": score(single["metric"], single["value"])})]
        if not content["search"]:
            return []
        counts = [words("count", count=n, state=words(state)) for state, n in content["states"].items()]
        joined = (", " if words.language == "en" else "，").join(counts) or "-"
        if content["seconds"] is not None:
            sentences = [
                words("counts", trials=content["trials"], counts=joined, seconds=f"{content['seconds']:.0f}")
            ]
        else:
            sentences = [words("counts_only", trials=content["trials"], counts=joined)]
        if not content["finished"]:
            sentences.append(words("running_now" if content["running"] else "unfinished"))
        return sentences

    def _winner(self, content: Mapping[str, Any], words: Words) -> list[str]:
        winner = content["winner"]
        if winner is None:
            return []
        values = {**winner, "value": score(winner["metric"], winner["value"])}
        sentences = [words("winner" if winner["runs"] < 2 else "winner_mean", **values)]
        if winner["folds"] is not None:
            judged, folds = winner["folds"]
            sentences.append(words("part" if judged < folds else "mean_of_folds", judged=judged, folds=folds))
        if winner["beyond"]:
            sentences.append(words("beyond"))
        own = winner["baseline"]
        if own is not None and own["number"] == winner["number"]:
            sentences.append(words("baseline_won"))
        elif own is not None:
            sentences.append(words("baseline", number=own["number"], value=score(winner["metric"], own["value"])))
        return sentences

    def _network(self, content: Mapping[str, Any], words: Words) -> list[str]:
        network = content["network"]
        if network is None:
            return []
        sentences = []
        test = network["test"]
        if test is not None:
            around = ""
            if test["interval"]:
                low, high = test["interval"]
                around = words("interval", low=score(test["metric"], low), high=score(test["metric"], high))
            sentences.append(
                words(
                    "tested",
                    count=figure(test["count"]),
                    word=words.known(f"{network['word']}s"),
                    metric=test["metric"],
                    value=score(test["metric"], test["value"]),
                    interval=around,
                )
            )
        elif content["finished"]:
            sentences.append(words("untested"))
        if network["only_answer"] is not None:
            sentences.append(words("only_answer", name=shown(str(network["only_answer"]))))
        if network["size_mb"] is not None:
            latency, rest = network["latency"], words("stop")
            if latency is not None:
                count = latency["threads"]
                threads = words("one_thread" if count == 1 else "threads", count=count)
                rest = words("speed", **{**latency, "threads": threads})
            sentences.append(words("size", size=figure(network["size_mb"])) + rest)
        if network["samples"]:
            names = ", ".join(shown(name) for name in network["unverified"])
            sentences.append(
                words("not_verified" if names else "verified", samples=network["samples"], names=names)
            )
        return sentences

    def _figures(self, content: Mapping[str, Any], words: Words) -> list[tuple[str, str]]:
        rows: list[tuple[str, str]] = []
        winner, network = content["winner"], content["network"]
        if winner is not None:
            rows.append((words("best_value", metric=winner["metric"]), score(winner["metric"], winner["value"])))
        if network is None:
            return rows
        if network["test"] is not None:
            test = network["test"]
            rows.append((words("test_value", metric=test["metric"]), score(test["metric"], test["value"])))
        if network["parameters"]:
            rows.append((words("parameters"), f"{network['parameters']:,.0f}"))
        if network["size_mb"] is not None:
            rows.append((words("megabytes"), figure(network["size_mb"], 3)))
        if network["latency"] is not None:
            rows.append((words("latency", batch=network["latency"]["batch"]), str(network["latency"]["ms"])))
        return rows


def _winner(material: Material) -> dict[str, Any] | None:
    if not material.configurations or material.study is None:
        return None
    best, objective = material.configurations[0], material.goals[0]
    own = next((item for item in material.configurations if item.first.baseline), None)
    beyond = any(goal.excess(value) > 0 for goal, value in zip(material.goals, best.values, strict=True))
    return {
        "number": best.first.number,
        "choices": describe_params(material.study.space, best.first.params),
        "metric": objective.metric,
        "value": best.values[0],
        "runs": len(best.runs),
        "folds": best.runs[0].folds,
        "beyond": beyond,
        "baseline": None if own is None else {"number": own.first.number, "value": own.values[0]},
    }


def _single(material: Material) -> dict[str, Any] | None:
    if material.study is not None or not material.curve or material.study_fault:
        return None
    metric = material.curve_metric
    known = [line for line in material.curve if isinstance(line.get(metric), int | float)]
    if not known:
        return None
    from paddle_automl.tasks.metrics.spelling import goal_of

    pick = max if goal_of(metric) == "maximize" else min
    best = pick(known, key=lambda line: line[metric])
    return {
        "epochs": len(material.curve),
        "best": best.get("epoch", known.index(best) + 1),
        "metric": metric,
        "value": best[metric],
    }


def _network(material: Material) -> dict[str, Any] | None:
    bundle = material.bundle
    if bundle is None:
        return None
    scores = bundle.get("metrics", {})
    parity, unverified = bundle.get("parity") or {}, material.unverified
    latency = next(iter(bundle.get("latency") or ()), None)
    return {
        "test": _test(material, scores.get("test") or {}),
        "only_answer": scores.get(KEY),
        "word": material.word,
        "parameters": scores.get("costs", {}).get("parameters"),
        "size_mb": material.bundle_mb,
        "verified": not unverified,
        "unverified": unverified,
        "samples": parity.get("samples"),
        "latency": None
        if latency is None
        else {
            "batch": latency["batch_size"],
            "ms": figure(latency["p50_ms"], 3),
            "threads": latency["threads"],
            "processor": latency["processor"],
        },
    }


def _test(material: Material, scores: Mapping[str, Any]) -> dict[str, Any] | None:
    names = [goal.metric for goal in material.goals if goal.metric in scores]
    metric = next(iter([*names, *(name for name in scores if name != "loss")]), None)
    count = int(material.data.get("test") or 0)
    if metric is None or not isinstance(scores[metric], int | float):
        return None
    value = float(scores[metric])
    around = interval(value, count) if metric == "accuracy" and count and 0 <= value <= 1 else None
    return {"metric": metric, "value": value, "count": count, "interval": around}
