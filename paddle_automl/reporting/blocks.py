"""What a section of a report consists of; the page's template has a part for each kind of block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

Cell = str | float | int | None
"""One cell of a table; None is an empty cell."""


@dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    text: str
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Facts:
    """Names with their values, one pair a line."""

    rows: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Grid:
    """A table; with `folded` only its title is shown until it is opened."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    folded: bool = False
    kind: ClassVar[str] = "grid"


@dataclass(frozen=True)
class Chart:
    """A drawing as SVG, and what it shows in words, for readers who cannot see it."""

    svg: bytes
    text: str
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Example:
    """One item of the data: its picture as a data URI or its text, and lines below it."""

    lines: tuple[str, ...]
    picture: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Gallery:
    """Several items of the data."""

    items: tuple[Example, ...]
    kind: ClassVar[str] = "gallery"


@dataclass(frozen=True)
class Code:
    """Commands or a configuration, to be copied."""

    text: str
    title: str = ""
    folded: bool = False
    kind: ClassVar[str] = "code"


Block = Paragraph | Facts | Grid | Chart | Gallery | Code
