"""Results in a JSON file, so that an interrupted comparison continues where it stopped."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import DataError
from paddle_automl.core.files import digest, write_json


def read_figures(path: Path | None, name: str, **marks: Any) -> dict[str, Any]:
    """Return the mapping `name` of the JSON file of an earlier comparison; empty if there is no file.

    Raises DataError for a file that cannot be read, lacks it, or does not have these `marks`.
    """
    if path is None or not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read the results: {error}") from None
    known = isinstance(content, dict) and all(content.get(mark) == value for mark, value in marks.items())
    if not known or not isinstance(content.get(name), dict):
        raise DataError(f"{path}: holds no results of this command; give another file with --json")
    found: dict[str, Any] = content[name]
    return found


def finite(value: Any) -> Any:
    """Return JSON-like data with None for each number that JSON does not have: infinity and NaN."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass
class Kept:
    """Results by a hash of the request; saved with every new one if there is a `path`."""

    path: Path | None
    command: str
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None, command: str) -> Kept:
        """Return the results in a file, none if there is no file; raises DataError for another file."""
        return cls(path, command, read_figures(path, "runs", command=command))

    def get(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """Return the results of a request, or None."""
        found = self.runs.get(digest(asked))
        return None if found is None else found["figures"]

    def put(self, asked: dict[str, Any], figures: dict[str, Any]) -> None:
        """Store the results of a request."""
        self.runs[digest(asked)] = {"asked": asked, "figures": figures}
        self.save()

    def save(self, summary: dict[str, Any] | None = None) -> None:
        """Write the file."""
        if self.path is not None:
            write_json(self.path, finite({"command": self.command, "summary": summary, "runs": self.runs}))
