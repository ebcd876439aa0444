"""The two languages of a report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import ConfigError
from paddle_automl.reporting.recorded import in_chinese
from paddle_automl.tasks.metrics.spelling import text_of

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
Texts = Mapping[str, tuple[str, str]]
"""Texts in English and in Chinese by key; ``{name}`` stands for a value."""

COMMON: dict[str, tuple[str, str]] = {
    "report": ("Report", "报告"),
    "contents": ("Contents", "目录"),
    "made": ("Made by paddle_automl {version} on {date}.", "由 paddle_automl {version} 于 {date} 生成。"),
    "program": ("The same for programs: {file}", "供程序读取的同一内容：{file}"),
    "unreadable": (
        "This part could not be made from the files of the search: {reason}.",
        "无法根据搜索的文件生成此部分：{reason}。",
    ),
    "later": (
        "Left out, because the time of the search was used up; the report command adds it.",
        "搜索时间已用完，此部分未生成；运行报告命令即可补上。",
    ),
    "no_study": (
        "There are no trials: this folder is not that of a search.",
        "没有试验记录：此文件夹不是搜索的输出。",
    ),
    "bad_study": ("The trials cannot be read: {reason}.", "无法读取试验记录：{reason}。"),
    "no_results": ("No trial has a result yet.", "尚无试验得到结果。"),
    "no_bundle": ("No network was exported yet.", "尚未导出网络。"),
    "no_answers": ("The exported network's answers are not known: {reason}.", "没有导出网络的预测结果：{reason}。"),
    "trial": ("trial", "试验"),
    "trials": ("trials", "试验"),
    "epoch": ("epoch", "轮次"),
    "value": ("value", "值"),
    "state": ("state", "状态"),
    "seconds": ("seconds", "秒"),
    "choices": ("choices", "选择"),
    "complete": ("complete", "完成"),
    "pruned": ("stopped early", "提前停止"),
    "failed": ("failed", "失败"),
    "running": ("running", "运行中"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "train": ("training", "训练集"),
    "validation": ("validation", "验证集"),
    "test": ("test", "测试集"),
    "all": ("all items", "全部数据"),
    "image": ("image", "图像"),
    "text": ("text", "文本"),
    "item": ("item", "样本"),
    "images": ("images", "张图像"),
    "texts": ("texts", "条文本"),
    "items": ("items", "个样本"),
}


class Words:
    """The texts of a report in one language."""

    def __init__(self, language: Language, *more: Texts) -> None:
        self.language = language
        self._place = LANGUAGES.index(language)
        self._texts: dict[str, tuple[str, str]] = {**COMMON}
        for texts in more:
            self._texts.update(texts)

    def __call__(self, key: str, **values: Any) -> str:
        """Return the text of a key with its values."""
        return self._texts[key][self._place].format(**values)

    def known(self, text: str) -> str:
        """Return the translation of a text that is itself the key, or the text if there is none."""
        return self._texts[text][self._place] if text in self._texts else text

    def recorded(self, sentence: str) -> str:
        """Return a sentence of a record, which is in English, in this language if it is a known one."""
        return in_chinese(sentence) if self.language == "zh" else sentence

    def joined(self, sentences: list[str]) -> str:
        """Return sentences as one paragraph."""
        return (" " if self.language == "en" else "").join(sentence for sentence in sentences if sentence)


def language_of(choice: str = "auto") -> Language:
    """Return the language of a choice: ``en``, ``zh``, or that of the system's locale, English or Chinese."""
    if choice in LANGUAGES:
        return choice
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def figure(value: float, digits: int = 4) -> str:
    """Return a number with `digits` significant digits, whole numbers with separators."""
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 10**digits):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def score(metric: str, value: float) -> str:
    """Return a metric's value as tables print it; for a metric of another version as any number."""
    try:
        return text_of(metric, value)
    except ConfigError:
        return figure(value)


def choice_text(value: Any) -> str:
    """Return a chosen value as a short text."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false"}.get(value, "none")  # type: ignore[arg-type]
    return figure(value, 3) if isinstance(value, float) else shown(value)
