"""The typed record of a network's answers on one split of the data; a report shows them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from paddle_automl.core.schema import Section, Sequence

FORMAT = 1
Figure = Annotated[float, Field(allow_inf_nan=True)]


class TableRecord(Section):
    """One table of the task; see `tasks.answers.Table`."""

    title: str
    """What it shows."""
    columns: Sequence[str]
    """Names of its columns."""
    rows: Sequence[Sequence[Any]]
    """Its rows: texts, numbers, None for an empty cell."""


class MistakeRecord(Section):
    """One wrong answer."""

    place: str
    """The item's file or its number in the split."""
    truth: str
    """The right answer."""
    answer: str
    """The network's answer."""
    detail: dict[str, Figure] = Field(default_factory=dict)
    """Figures by name, such as the probability of the right answer."""
    picture: Annotated[str, Field(pattern=r"^data:image/(png|jpeg);base64,[A-Za-z0-9+/=]*$")] | None = None
    """The item as a data URI, as the network sees it, for pictures."""
    text: str | None = None
    """The item itself, shortened, for texts."""


class Answers(Section):
    """A network's answers on a split."""

    format: int = FORMAT
    """Number of this format."""
    bundle: str
    """Hash of the network's bundle."""
    split: str
    """test, or validation where there is no test split."""
    items: int
    """Items of the split."""
    evaluated: int
    """Items that were predicted: fewer if the time was short."""
    word: str
    """The word for one of them."""
    task: str
    """Name of the task."""
    metrics: dict[str, float | None]
    """Metrics of the task; None for one that is undefined for these items."""
    tables: Sequence[TableRecord] = ()
    """The tables of the task."""
    data: dict[str, Any] = Field(default_factory=dict)
    """The same for programs."""
    points: dict[str, list[list[Figure]]] = Field(default_factory=dict)
    """Arrays to draw, such as true and predicted numbers."""
    mistakes: Sequence[MistakeRecord] = ()
    """The worst mistakes, worst first."""
    reliability: dict[str, Any] | None = None
    """Stated probability against observed frequency; see `reliability.reliability`."""
