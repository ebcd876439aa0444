"""What the exported network answers on the test split: figures, confusions, predictions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from paddle_automl.reporting.base import SECTIONS, ReportSection, need_answers
from paddle_automl.reporting.blocks import Block, Chart, Facts, Grid, Paragraph
from paddle_automl.reporting.charts import BLUE, GREY, Drawing, label
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words, figure, score

LARGEST_MATRIX = 30
"""Most classes of a matrix that is drawn."""
LARGEST_TABLE = 40
"""Most rows of a table that is open."""
MATRIX = "confusion matrix"
FIGURES = {
    "quantile": re.compile(r"residual (?P<level>\d+%)"),
    "worst": re.compile(r"the (?P<count>\d+) worst of (?P<every>\d+) classes, by F1"),
}
"""Titles of tables and columns that hold figures, by the key of their text."""


@SECTIONS.register("scores")
class Scores(ReportSection):
    """Metrics, the tables of the task, the confusion matrix or predicted over true numbers."""

    place = 50
    needs_answers = True
    texts: ClassVar[Texts] = {
        "title": ("The network's answers", "网络的预测"),
        "on": (
            "The exported network on {count} {word} of the split: {split}.",
            "导出网络在{split}的 {count} {word}上的结果。",
        ),
        "part": (
            "{evaluated} of {items} {word} were predicted, because the time was short.",
            "由于时间不足，只预测了 {items} {word}中的 {evaluated} 个。",
        ),
        "chosen": (
            "There is no test split: the winner was chosen by these items, so the figures are somewhat too good.",
            "没有测试集：最佳配置正是由这些数据选出，因此数字略偏乐观。",
        ),
        "matrix": (
            "Confusion matrix: a row per true class, a column per answer; darker is a larger fraction of the row.",
            "混淆矩阵：每行为真实类别，每列为预测类别；颜色越深，占该行的比例越大。",
        ),
        "true": ("true", "真实"),
        "predicted": ("predicted", "预测"),
        "numbers": ("Predicted over true numbers; on the line they are equal.", "预测值与真实值；线上两者相等。"),
        "true value": ("true value", "真实值"),
        "predicted value": ("predicted value", "预测值"),
        "per class": ("per class", "各类别"),
        "per label": ("per label", "各标签"),
        "most frequent confusions": ("most frequent confusions", "最常见的混淆"),
        "residuals": ("residuals", "残差"),
        "class": ("class", "类别"),
        "label": ("label", "标签"),
        "precision": ("precision", "精确率"),
        "recall": ("recall", "召回率"),
        "F1": ("F1", "F1"),
        "support": ("items", "样本数"),
        "threshold": ("threshold", "阈值"),
        "items": ("items", "样本数"),
        "fraction of the class": ("fraction of the class", "占该类比例"),
        "column": ("column", "列"),
        "per column": ("per column", "各列"),
        "coverage": ("coverage", "区间覆盖率"),
        "quantile": ("residual {level}", "残差 {level} 分位数"),
        "worst": ("the {count} worst of {every} classes, by F1", "按 F1 最差的 {count} 个类别（共 {every} 个）"),
        "undefined": ("undefined for these items", "对这些数据无定义"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return metrics, tables and points."""
        answers = need_answers(material)
        keys = ("split", "items", "evaluated", "word", "task", "metrics", "tables", "data", "points")
        return {key: answers.get(key) for key in keys}

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return metrics, drawings and tables."""
        word = words.known(f"{content['word']}s")
        sentences = [
            words("on", count=figure(content["evaluated"]), word=word, split=words.known(content["split"]))
        ]
        if content["evaluated"] < content["items"]:
            sentences.append(words("part", evaluated=content["evaluated"], items=content["items"], word=word))
        if content["split"] == "validation":
            sentences.append(words("chosen"))
        rows = tuple(
            (name, words("undefined") if value is None else score(name, value))
            for name, value in content["metrics"].items()
        )
        blocks: list[Block] = [Paragraph(words.joined(sentences)), Facts(rows)]
        names, matrix = content["data"].get("class_names"), content["data"].get("confusion_matrix")
        drawn = bool(names and matrix and len(names) <= LARGEST_MATRIX)
        if drawn:
            blocks.append(_matrix(names, matrix, words))
        for points in content["points"].values():
            if points and len(points[0]) == 2:
                blocks.append(_numbers(points, words))
        for table in content["tables"]:
            if table["title"] == "worst mistakes" or (drawn and table["title"] == MATRIX):
                continue
            columns = tuple(_heading(column, words) for column in table["columns"])
            lines = tuple(tuple(row) for row in table["rows"])
            title = _heading(table["title"], words)
            blocks.append(Grid(columns, lines, title, folded=len(lines) > LARGEST_TABLE))
        return blocks


def _heading(text: str, words: Words) -> str:
    """Return the title of a task's table or column in the report's language."""
    for key, pattern in FIGURES.items():
        found = pattern.fullmatch(text)
        if found:
            return words(key, **found.groupdict())
    return words.known(text)


def _matrix(names: list[str], matrix: list[list[int]], words: Words) -> Chart:
    counts = np.asarray(matrix, dtype=float)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(names)
    side = min(7.2, 2.4 + 0.36 * size)
    with Drawing(size=(side + 0.8, side)) as drawing:
        axes = drawing.axes
        axes.grid(visible=False)
        axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if fractions[row, column] > 0.55 else "#1f2933"
            axes.text(
                column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=color,
                fontsize=8 if size <= 15 else 6,
            )  # fmt: skip
        texts = [label(name, 18) for name in names]
        long = max(map(len, texts)) > 3
        axes.set_xticks(range(size), texts, rotation=45 if long else 0, ha="right" if long else "center")
        axes.set_yticks(range(size), texts)
        axes.set_xlabel(words("predicted"))
        axes.set_ylabel(words("true"))
        return Chart(drawing.svg(), words("matrix"))


def _numbers(points: list[list[float]], words: Words) -> Chart:
    true, predicted = np.asarray(points, dtype=float).T
    known = np.isfinite(true) & np.isfinite(predicted)
    with Drawing(size=(5.2, 3.8)) as drawing:
        axes = drawing.axes
        both = np.concatenate([true[known], predicted[known]]) if known.any() else np.array([0.0, 1.0])
        axes.plot([both.min(), both.max()], [both.min(), both.max()], color=GREY, linewidth=1)
        axes.plot(true[known], predicted[known], "o", color=BLUE, markersize=3, alpha=0.5)
        axes.set_xlabel(words("true value"))
        axes.set_ylabel(words("predicted value"))
        return Chart(drawing.svg(), words("numbers"))
