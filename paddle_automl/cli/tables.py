"""Predictions for the rows of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from paddle_automl.core.errors import ConfigError, DataError, did_you_mean
from paddle_automl.core.paths import located
from paddle_automl.data.text_files import table_in

if TYPE_CHECKING:
    from paddle_automl.deployment.predictor import Prediction, Predictor

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


def are_tables(words: Sequence[str]) -> bool:
    """Return whether all words of a command line name existing tables."""
    places = [located(word) for word in words if word.lower().endswith(SUFFIXES)]
    return len(places) == len(words) and all(place.is_file() for place in places)


def predicted_tables(
    predictor: Predictor, words: Sequence[str], columns: Sequence[str] | None, *, batch_size: int
) -> tuple[dict[str, tuple[str, ...]], list[str], list[Prediction]]:
    """Return the columns of tables, one below the other, the text of each row, and its prediction.

    `columns` are those with the texts; with None those that the model was trained on. Raises ConfigError for a
    model of something else than texts, DataError for a table without these columns.
    """
    media = predictor.input.media
    if media is None or media.kind != "text":
        raise ConfigError(f"--text: only texts stand in tables, but the model takes {predictor.input.word}s")
    dataset = predictor.bundle.info.config.get("data", {}).get("dataset", {})
    wanted = list(columns or _trained_on(dataset))
    mark = str(dataset.get("joined_by", " | "))
    tables = [table_in(located(word), "items", None) for word in words]
    for table in tables:
        missing = next((name for name in wanted if name not in table.columns), None)
        if missing is not None or not wanted:
            hint = did_you_mean(missing, table.columns).rstrip("?") if missing else ""
            raise DataError(
                f"{table.name}: has no column '{missing or 'text'}'{hint}; name that of the texts, such as "
                f"--text {next(iter(table.columns))}; columns: {', '.join(table.columns)}"
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
    return joined, texts, _predicted(predictor, texts, places, batch_size)


def _trained_on(dataset: Any) -> list[str]:
    found = dataset.get("text") if isinstance(dataset, dict) else None
    return [found] if isinstance(found, str) else list(found or ())


def _predicted(predictor: Predictor, texts: Sequence[str], places: Sequence[str], size: int) -> list[Prediction]:
    """Return the predictions of texts, which are never taken for names of files."""
    found: list[Prediction] = []
    for start in range(0, len(texts), size):
        names = [
            f"{place}: {predictor.input.describe(text)}"
            for place, text in zip(places[start : start + size], texts[start : start + size], strict=True)
        ]
        items = [predictor.read(text) for text in texts[start : start + size]]
        found += predictor.predict_read(items, names)
    return found
