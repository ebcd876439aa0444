"""The interface of a section of the report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.reporting.blocks import Block
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Texts, Words


class Missing(Exception):  # noqa: N818  it is no error: the section says in one sentence what it lacks
    """What a section lacks, as a key of its texts with values."""

    def __init__(self, key: str, **values: Any) -> None:
        super().__init__(key)
        self.key = key
        self.values = values

    def sentence(self, words: Words) -> str:
        """Return it as a sentence."""
        return words(self.key, **self.values)


class ReportSection(ABC):
    """One section of the report. A new one is one file in ``sections``, or a plugin.

    `content` collects what it tells as JSON-like data, the same in every language; `blocks` shows that content on
    the page. A section that has nothing to tell raises `Missing`, and the page shows that sentence.
    """

    name: ClassVar[str] = ""
    Config: ClassVar[type[PluginConfig]] = PluginConfig
    place: ClassVar[int]
    """Position on the page: overview 10, search 20 to 40, network 50 to 80, appendix 90."""
    needs_answers: ClassVar[bool] = False
    """Whether it is made from `Material.answers`, which take time."""
    slow: ClassVar[bool] = False
    """Whether it takes a second or more, such as for a model of the trials; it is left for the end."""
    texts: ClassVar[Texts] = {}
    """Its texts in English and Chinese; ``title`` is its title."""

    @abstractmethod
    def content(self, material: Material) -> dict[str, Any]:
        """Return what the section tells, JSON-like; raises Missing."""

    @abstractmethod
    def blocks(self, content: Mapping[str, Any], words: Words) -> list[Block]:
        """Return the same for the page."""


SECTIONS: Registry[ReportSection] = Registry("report section", "paddle_automl.reporting.sections", "report")


def in_order() -> list[ReportSection]:
    """Return one section of each kind, in the order of the page."""
    found = [SECTIONS[name]() for name in SECTIONS.names()]
    return sorted(found, key=lambda section: (section.place, section.name))


def need_study(material: Material) -> None:
    """Raise Missing unless some trial has a result."""
    if material.study is None:
        raise Missing("bad_study", reason=material.study_fault) if material.study_fault else Missing("no_study")
    if not material.first_runs:
        raise Missing("no_results")


def need_bundle(material: Material) -> Mapping[str, Any]:
    """Return the content of ``bundle.yaml``; raises Missing without one."""
    if material.bundle is None:
        raise Missing("no_bundle")
    return material.bundle


def need_answers(material: Material) -> Mapping[str, Any]:
    """Return the network's answers; raises Missing without any."""
    if material.answers is None:
        if material.bundle is None:
            raise Missing("no_bundle")
        raise Missing("no_answers", reason=material.answers_fault or "-")
    return material.answers
