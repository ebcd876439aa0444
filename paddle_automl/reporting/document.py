"""From material to the report: as JSON for programs, as one page for people."""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from paddle_automl.core.display_text import shown
from paddle_automl.core.version import VERSION
from paddle_automl.reporting.base import Missing, ReportSection, in_order
from paddle_automl.reporting.blocks import Block, Paragraph
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Language, Words

FORMAT = 1
"""Number of the format of the JSON; it increases when programs that read it have to change."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """One section as it stands on the page; `content` is None where it says what it lacks."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    content: Mapping[str, Any] | None
    missing: str = ""


@dataclass
class Report:
    """A report in one language; sections are made once and kept."""

    language: Language
    sections: list[ReportSection] = field(default_factory=in_order)
    written: dict[str, Written] = field(default_factory=dict)
    made: str = field(default_factory=lambda: datetime.now(timezone.utc).replace(microsecond=0).isoformat())

    def write(self, material: Material, *, quick: bool = False) -> None:
        """Make the sections that are not made yet; with `quick` those that take long say that they are left out."""
        for section in self.sections:
            late = section.needs_answers or section.slow
            if late and quick:
                words = Words(self.language, section.texts)
                self.written[section.name] = _lacking(section, words, words("later"))
            elif late or section.name not in self.written:
                self.written[section.name] = made(section, material, self.language)

    def as_dict(self, material: Material) -> dict[str, Any]:
        """Return the report as JSON-like data: what each section tells, or what it lacks."""
        found = {}
        for section in self.sections:
            written = self.written[section.name]
            found[section.name] = {"missing": written.missing} if written.content is None else written.content
        return {
            "format": FORMAT,
            "paddle_automl": VERSION,
            "made": self.made,
            "name": material.name,
            "language": self.language,
            "sections": _finite(found),
        }

    def as_page(self, material: Material, beside: str = "report.json") -> str:
        """Return the report as one HTML page; `beside` is the name of the file for programs."""
        words = Words(self.language)
        return _template().render(
            language={"en": "en", "zh": "zh-CN"}[self.language],
            title=shown(material.name),
            words=words,
            sections=[self.written[section.name] for section in self.sections],
            foot=words("made", version=VERSION, date=self.made),
            program=words("program", file=beside),
            cell=cell_text,
            svg=_as_uri,
        )


def made(section: ReportSection, material: Material, language: Language) -> Written:
    """Return one section. A damaged record costs the section that shows it, never the report."""
    words = Words(language, section.texts)
    try:
        try:
            content = section.content(material)
            return Written(section.name, _title(section, words), tuple(section.blocks(content, words)), content)
        except Missing as lack:
            return _lacking(section, words, lack.sentence(words))
    except Exception as error:
        logger.debug("section %s of the report failed", section.name, exc_info=True)
        reason = shown(f"{type(error).__name__}: {error}")
        return _lacking(section, words, words("unreadable", reason=reason))


def cell_text(value: Any) -> str:
    """Return a cell of a table as text."""
    if value is None:
        return "\u00b7"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"
    return shown(value)


def _lacking(section: ReportSection, words: Words, sentence: str) -> Written:
    return Written(section.name, _title(section, words), (Paragraph(sentence),), None, sentence)


def _title(section: ReportSection, words: Words) -> str:
    return words("title") if "title" in section.texts else shown(section.name)


def _as_uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"


def _finite(value: Any) -> Any:
    """Return JSON-like data without NaN and infinity, which JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _template() -> Any:
    # Imported here: a search without a report does not need it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("paddle_automl.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
