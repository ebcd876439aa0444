"""Results in a JSON file, so that an interrupted comparison continues where it stopped."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import DataError
from paddle_automl.core.files import digest, write_json
from paddle_automl.core.runtime import processor_name
from paddle_automl.core.streams import complain
from paddle_automl.core.version import VERSION

PACKAGE = Path(__file__).parents[1]
NOT_KNOWN = "not known"
"""What made results of earlier versions."""


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


@functools.cache
def maker() -> str:
    """Return what makes results now: the package's version, a hash of its code, and the processor."""
    code = hashlib.sha256()
    for file in sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".c")):
        code.update(str(file.relative_to(PACKAGE)).encode("utf-8") + file.read_bytes())
    return f"{VERSION} (code {code.hexdigest()[:8]}) on {processor_name()}"


def makers_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what made these kept results; warns of several, whose figures may not be comparable."""
    found = sorted({name for record in records for name in record.get("made", [NOT_KNOWN])})
    if len(found) > 1:
        complain(
            f"warning: these results are of several versions or machines: {'; '.join(found)}; "
            "give another file with --json to have all made anew"
        )
    return found


@dataclass
class Kept:
    """Results by a hash of the request; saved with every new one if there is a `path`."""

    path: Path | None
    command: str
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """The hashes of the requests of this command."""

    @classmethod
    def load(cls, path: Path | None, command: str) -> Kept:
        """Return the results in a file, none if there is no file; raises DataError for another file."""
        return cls(path, command, read_figures(path, "runs", command=command))

    def get(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """Return the results of a request, or None."""
        key = digest(asked)
        found = self.runs.get(key)
        if found is not None:
            self.used.add(key)
        return None if found is None else found["figures"]

    def put(self, asked: dict[str, Any], figures: dict[str, Any]) -> None:
        """Store the results of a request."""
        key = digest(asked)
        self.runs[key] = {"asked": asked, "figures": figures, "made": [maker()]}
        self.used.add(key)
        self.save()

    def save(self, summary: dict[str, Any] | None = None) -> None:
        """Write the file; with a `summary` of the requests, also what made their results, and warn of several."""
        made = {} if summary is None else {"made": makers_of(self.runs[key] for key in self.used)}
        if self.path is not None:
            content = {"command": self.command, "summary": summary, **made, "runs": self.runs}
            write_json(self.path, finite(content))
