"""Where the search ran, and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.display_text import shown
from paddle_automl.core.yaml_io import dump_yaml
from paddle_automl.reporting.base import SECTIONS, Missing, ReportSection
from paddle_automl.reporting.blocks import Block, Code, Facts, Paragraph
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words


@SECTIONS.register("environment")
class Environment(ReportSection):
    """Machine, versions, and the commands that rebuild the result."""

    place = 90
    texts: ClassVar[Texts] = {
        "title": ("Environment, and how to rebuild it", "环境与复现方法"),
        "none": ("Nothing is known about the environment.", "环境信息未知。"),
        "same": (
            "With the same seed, versions and one worker a search on a CPU proposes the same trials; with a time "
            "limit their number depends on the machine.",
            "在随机种子、版本相同且只有一个工作进程时，CPU 上的搜索会给出相同的试验；若有时间限制，"
            "试验数取决于机器。",
        ),
        "processor": ("processor", "处理器"),
        "cores": ("cores", "核数"),
        "system": ("system", "操作系统"),
        "commands": ("commands", "命令"),
        "config": ("the whole configuration", "完整配置"),
        "bundle": ("exported with {name}", "导出时的 {name}"),
        "search": ("search again", "重新搜索"),
        "train": ("train the winner alone", "单独训练最佳配置"),
        "predict": ("predict", "预测"),
        "report": ("make this report again", "重新生成本报告"),
        "watch": ("look at the logs", "查看日志"),
    }

    def content(self, material: Material) -> dict[str, Any]:
        """Return versions, commands and the configuration."""
        if not (material.machine or material.config):
            raise Missing("none")
        versions = (material.bundle or {}).get("versions") or {}
        return {
            "machine": dict(material.machine),
            "versions": dict(versions),
            "commands": dict(material.commands),
            "config": dict(material.config),
        }

    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the facts and the commands."""
        rows = [(words.known(name), shown(text)) for name, text in content["machine"].items()]
        rows += [
            (words("bundle", name=name), shown(text))
            for name, text in content["versions"].items()
            if content["machine"].get(name) != text
        ]
        lines = [f"# {words.known(name)}\n{shown(text)}" for name, text in content["commands"].items()]
        blocks: list[Block] = [Facts(tuple(rows)), Paragraph(words("same"))]
        if lines:
            blocks.append(Code("\n".join(lines), words("commands")))
        if content["config"]:
            blocks.append(Code(dump_yaml(dict(content["config"])), words("config"), folded=True))
        return blocks
