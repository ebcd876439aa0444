"""The contract of sections of the report."""

from __future__ import annotations

import json
import string
from typing import ClassVar

import pytest

from paddle_automl.reporting.base import Missing, ReportSection
from paddle_automl.reporting.blocks import Chart, Paragraph
from paddle_automl.reporting.document import made
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import LANGUAGES, Language, Words


class ReportSectionContract:
    """Tests of a section: parametrize `plugin` with its class; `material` is a search that it has something to
    tell about."""

    material: ClassVar[Material] = Material(
        "out",
        summary={"seconds": 12.0, "ended": "done", "stage_seconds": {"search": 10.0}},
        bundle_mb=1.5,
    )

    def material_for(self, plugin: type[ReportSection]) -> Material:
        """Return the search for one section."""
        del plugin
        return self.material

    def test_texts_stand_in_both_languages_with_the_same_values(self, plugin: type[ReportSection]) -> None:
        """A text that lacks a value would fail only for readers of the other language."""
        assert "title" in plugin.texts
        for key, pair in plugin.texts.items():
            assert all(pair), key
            first, second = ({name for _, name, _, _ in string.Formatter().parse(text) if name} for text in pair)
            assert first == second, key

    def test_it_has_a_place(self, plugin: type[ReportSection]) -> None:
        """Sections stand in the order of their places."""
        assert 0 <= plugin.place <= 100

    def test_what_it_tells_is_the_same_each_time_and_can_be_json(self, plugin: type[ReportSection]) -> None:
        """Programs read it from ``report.json``."""
        material = self.material_for(plugin)
        first, second = (json.dumps(plugin().content(material), allow_nan=False) for _ in range(2))
        assert first == second

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_it_is_shown_in_each_language(self, plugin: type[ReportSection], language: Language) -> None:
        """Blocks are made from the content alone."""
        section, words = plugin(), Words(language, plugin.texts)
        blocks = section.blocks(section.content(self.material_for(plugin)), words)
        assert blocks
        for block in blocks:
            assert not isinstance(block, Paragraph) or block.text
            assert not isinstance(block, Chart) or (block.svg.startswith(b"<svg") and block.text)

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_without_anything_it_says_so_in_one_sentence(
        self, plugin: type[ReportSection], language: Language
    ) -> None:
        """An interrupted search may have left nothing."""
        with pytest.raises(Missing):
            plugin().content(Material("empty"))
        written = made(plugin(), Material("empty"), language)
        assert written.content is None
        assert written.blocks == (Paragraph(written.missing),)
        assert written.missing.count(".") + written.missing.count("\u3002") == 1
