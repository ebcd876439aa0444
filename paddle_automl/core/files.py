"""Files: writing that survives a kill, where a file is either the old one or the new one; hashes of data."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import OutputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it takes the place of `path` in one step.

    Raises OutputError with the system's reason where the file cannot be written.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes files private; results are to be readable as any other file the user writes.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, data: Any) -> None:
    """Write `data` as indented UTF-8 JSON in one step."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def append_json_line(path: str | Path, record: Mapping[str, Any]) -> None:
    """Append one record to a JSON-lines file and hand it to the operating system at once."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """Return the records of a JSON-lines file; a last line cut off by a kill is left out."""
    records = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def make_output_folder(path: str | Path) -> Path:
    """Create the folder and prove that it can be written to; raises OutputError with the system's reason."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-"):
            pass
    except OSError as error:
        raise OutputError(
            f"output: cannot write to '{folder}': {error.strerror}; set another folder with -o output=PATH"
        ) from None
    return folder


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def digest(value: Any) -> str:
    """Return a short hash of a JSON-like value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
