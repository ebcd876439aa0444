"""Predictions for the rows of tables."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import ConfigError, DataError, did_you_mean
from paddle_automl.core.paths import located
from paddle_automl.core.streams import complain
from paddle_automl.data.text_files import table_in

if TYPE_CHECKING:
    from paddle_automl.data.tables import TextTable
    from paddle_automl.deployment.predictor import Prediction, Predictor

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


def are_tables(words: Sequence[str]) -> bool:
    """Return whether all words of a command line name existing tables."""
    places = [located(word) for word in words if word.lower().endswith(SUFFIXES)]
    return len(places) == len(words) and all(place.is_file() for place in places)


def check_words(words: Sequence[str]) -> None:
    """Raise DataError for a word of a command line that can only be meant as a file, but names none.

    Other words of a model of texts are texts. One with a folder's separator may be either: it leads to a warning.
    """
    for word in words:
        if not word or word.split() != [word] or os.path.exists(located(word)):
            continue
        if word.lower().endswith((*SUFFIXES, ".txt")):
            raise DataError(f"items: the file '{shown(word)}' does not exist, and it is no text")
        if os.sep in word:
            complain(f"'{shown(word)}' names no file or folder; it is taken for a text")


@dataclass(frozen=True)
class TableTexts:
    """The rows of tables, one table below the other: their columns, and the text and the place of each row."""

    columns: dict[str, tuple[str, ...]]
    texts: list[str]
    places: list[str]


def table_texts(
    predictor: Predictor, words: Sequence[str], columns: Sequence[str] | None, encoding: str | None = None
) -> TableTexts:
    """Return the rows of tables for a model of texts.

    `columns` are those with the texts; with None those that the model was trained on. Without an `encoding` a table
    that is not UTF-8 is likely in the one that was stated for the training. Raises ConfigError for a
    model of something else than texts, DataError for a table without these columns.
    """
    media = predictor.input.media
    if media is None or media.kind != "text":
        raise ConfigError(f"--text: only texts stand in tables, but the model takes {predictor.input.word}s")
    dataset = _dataset(predictor)
    wanted = list(columns or _trained_on(dataset))
    mark = str(dataset.get("joined_by", " | "))
    likely = trained_encoding(predictor)
    tables = [table_in(located(word), "items", encoding, likely, kept=wanted) for word in words]
    for table in tables:
        missing = next((name for name in wanted if name not in table.columns), None)
        if missing is not None or not wanted:
            hint = did_you_mean(missing, table.columns).rstrip("?") if missing else ""
            raise DataError(
                f"{table.name}: has no column '{missing or 'text'}'{hint}; name that of the texts, such as "
                f"--text {_likeliest(table)}; columns: {', '.join(table.columns)}"
            )
    names = dict.fromkeys(name for table in tables for name in table.columns)
    joined = {
        name: tuple(cell for table in tables for cell in table.columns.get(name, ("",) * len(table)))
        for name in names
    }
    texts = [
        mark.join(cell for cell in cells if cell) for cells in zip(*(joined[name] for name in wanted), strict=True)
    ]
    places = [table.origin(row) for table in tables for row in range(len(table))]
    return TableTexts(joined, texts, places)


def trained_encoding(predictor: Predictor) -> str | None:
    """Return the encoding that was stated for the training texts."""
    found = _dataset(predictor).get("encoding")
    return found if isinstance(found, str) else None


def _dataset(predictor: Predictor) -> Any:
    return predictor.bundle.info.config.get("data", {}).get("dataset", {})


def _likeliest(table: TextTable) -> str:
    """Return the column with the longest texts, quoted for a shell."""
    lengths = {name: sum(map(len, cells)) for name, cells in table.columns.items() if name}
    return shlex.quote(max(lengths, key=lambda name: lengths[name])) if lengths else "text"


def _trained_on(dataset: Any) -> list[str]:
    found = dataset.get("text") if isinstance(dataset, dict) else None
    return [found] if isinstance(found, str) else list(found or ())


def predicted_rows(predictor: Predictor, rows: TableTexts, *, batch_size: int) -> list[Prediction]:
    """Return the predictions of texts, which are never taken for names of files."""
    found: list[Prediction] = []
    for start in range(0, len(rows.texts), batch_size):
        part = slice(start, start + batch_size)
        names = [
            f"{place}: {predictor.input.describe(text)}"
            for place, text in zip(rows.places[part], rows.texts[part], strict=True)
        ]
        found += predictor.predict_read([predictor.read(text) for text in rows.texts[part]], names)
    return found
