"""Facts about the data of a search, which cannot continue with other data."""

from __future__ import annotations

from paddle_automl.core.errors import StudyError
from paddle_automl.core.files import read_json_object, write_json
from paddle_automl.core.schema import Section, Sequence
from paddle_automl.pipeline.runs.folder import RunFolder

COMPARED = ("task", "names", "train", "validation", "test", "inputs")
"""Facts that a message names if the data have changed."""


class ArrayFacts(Section):
    """One array that the network takes."""

    name: str
    """Its name."""
    shape: Sequence[int | None]
    """Its shape without the batch axis; None: of any length."""
    dtype: str
    """Type of its numbers."""


class DataFacts(Section):
    """Facts about the data that users need before a search."""

    task: str
    """Name of the task."""
    names: Sequence[str]
    """Classes, labels or columns."""
    train: int
    """Items of the training split."""
    validation: int
    """Items of the validation split."""
    test: int
    """Items of the test split."""
    word: str = "item"
    """The word for one item."""
    inputs: Sequence[ArrayFacts]
    """The arrays of an item that a network takes."""
    skipped_files: Sequence[Sequence[str]] = ()
    """Items that could not be read and were left out: name and reason."""
    fingerprint: str
    """A hash of the targets, the names of the files and the statistics of the items."""
    content: str = ""
    """A hash of what trials are compared on: the items of the training and the validation split, by content."""
    changes: Sequence[str] = ()
    """What has changed in the data since a training."""


def remember_data(folder: RunFolder, facts: DataFacts, has_trials: bool) -> None:
    """Record the data's facts with the study; raises StudyError if the data have changed since its trials."""
    now = facts.model_dump(mode="json", include=set(DataFacts.model_fields), exclude={"changes"})
    known = read_json_object(folder.data) or {}
    # Earlier versions recorded no hash of the content.
    compared = "content" if known.get("content") and facts.content else "fingerprint"
    if known and has_trials and known.get(compared) != now[compared]:
        counts = [
            f"{key}: {known[key]} -> {now[key]}" for key in COMPARED if key in known and known[key] != now[key]
        ]
        text = "the data changed since this search began"
        text += f" ({'; '.join(counts)})" if counts else "" if facts.changes else " (other items or targets)"
        # In the words of the list of items, but for what becomes of them, as nothing does.
        text += "".join(f"; {change.partition(': ')[2].partition('; ')[0]}" for change in facts.changes)
        raise StudyError(
            f"{folder.path}: {text}; new trials cannot be compared with the old ones: restore the files, use "
            "another folder (-o output=PATH), or --fresh"
        )
    write_json(folder.data, now)
