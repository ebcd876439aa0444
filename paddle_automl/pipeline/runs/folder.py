"""The output folder of a search: made, proven writable, put aside when a fresh start is asked for."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import OutputError, StudyError
from paddle_automl.core.files import make_output_folder, write_json

STUDY_FILE = "study.db"
DATA_FILE = "data.json"


def open_folder(path: Path, fresh: bool) -> Path:
    """Return the folder, created if need be; with `fresh` an existing one is renamed first, not deleted.

    Raises OutputError where that is impossible, or where the folder holds files of something else.
    """
    if fresh and path.exists():
        aside = path.with_name(f"{path.name}.{datetime.now():%Y%m%d-%H%M%S}")
        try:
            os.replace(path, aside)
        except OSError as error:
            raise OutputError(f"output: cannot rename '{path}' to '{aside}': {error.strerror}") from None
    if path.is_dir() and any(path.iterdir()) and not (path / STUDY_FILE).exists():
        raise OutputError(
            f"output: '{path}' holds files, but no search; set another folder with -o output=PATH, or rename the "
            "old one with --fresh"
        )
    return make_output_folder(path)


def remember_data(folder: Path, facts: dict[str, Any], has_trials: bool) -> None:
    """Record the data's fingerprint with the study; raises StudyError when the data changed since."""
    file = folder / DATA_FILE
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        known = None
    if known and has_trials and known["fingerprint"] != facts["fingerprint"]:
        changes = [
            f"{key}: {known[key]} -> {facts[key]}"
            for key in ("train", "validation", "test", "classes", "input_shape")
            if known[key] != facts[key]
        ]
        raise StudyError(
            f"{folder}: the data changed since this search began "
            f"({'; '.join(changes) or 'other images or labels'}), "
            "so new trials cannot be compared with the old ones; use another folder (-o output=PATH), or --fresh"
        )
    write_json(file, facts)
