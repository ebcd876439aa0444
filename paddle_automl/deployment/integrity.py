"""Reading a bundle's record, and checking that record and files are unchanged since the export."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import BundleError, ConfigError
from paddle_automl.core.files import sha256_of
from paddle_automl.core.loading import validate
from paddle_automl.core.paths import located, readable
from paddle_automl.core.plugins import load_plugins, plugins_of
from paddle_automl.core.version import VERSION
from paddle_automl.core.yaml_io import Positions, dump_yaml, read_yaml
from paddle_automl.deployment.old_formats import converted
from paddle_automl.deployment.records import FORMAT, BundleInfo, FileRecord

INFO = "bundle.yaml"
LABELS = "labels.txt"
SPLITS = "splits.json"
"""The items of the data by content, with the split of each; see `data.items.FILE`."""
SEAL = "sha256"
"""Key of the record's own hash in ``bundle.yaml``."""


def declared_plugins(folder: str | Path) -> tuple[str, ...]:
    """Return the plugins that the configuration in a bundle names.

    They are code, so they are loaded only by a user who trusts them (`core.plugins.load_plugins`), before a bundle
    that uses their input, task or exporter is opened. Raises BundleError for a folder that is not a bundle.
    """
    root = located(folder)
    config = _read_record(root)[0].get("config", {})
    try:
        return plugins_of(config) if isinstance(config, Mapping) else ()
    except ConfigError as error:
        raise BundleError(f"{readable(root / INFO)}: config.{error}") from None


def plugins_hint(names: Sequence[str]) -> str:
    """Return the end of a message about a bundle that needs these plugins; empty if there are none."""
    if not names:
        return ""
    # A bundle keeps the name of a file alone: its path holds on one machine only.
    known = [f"PATH/{name}" if name.endswith(".py") and os.path.basename(name) == name else name for name in names]
    words = " ".join(f"--plugin {shlex.quote(name)}" for name in known)
    return (
        f"; it was made with the plugins {', '.join(names)}. They are code, which a bundle alone never loads: "
        f"if you trust it, add {words}"
    )


def sealed(data: Mapping[str, Any]) -> str:
    """Return the text of a ``bundle.yaml`` with `data` and the hash of that content."""
    content = {key: value for key, value in data.items() if key != SEAL}
    return dump_yaml({**content, SEAL: _content_hash(content)})


def _content_hash(data: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record's content, independent of the order of keys and the layout of the text."""
    content = {key: value for key, value in data.items() if key != SEAL}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode("ascii")).hexdigest()


def _read_record(root: Path) -> tuple[dict[str, Any], Positions]:
    path = root / INFO
    if not root.is_dir():
        raise BundleError(f"{readable(root)}: no such folder; give the folder of a bundle, the one with {INFO}")
    if not path.is_file():
        raise BundleError(
            f"{readable(root)}: is not a bundle, {INFO} is missing; give the folder that the export wrote"
        )
    try:
        data, positions = read_yaml(path)
    except ConfigError as error:
        raise BundleError(f"{readable(path)}: is damaged or not a bundle's; export again\n{error}") from None
    number = data.get("format")
    if isinstance(number, int) and number > FORMAT:
        raise BundleError(
            f"{readable(path)}: has bundle format {number}, this paddle_automl "
            f"({VERSION}) reads up to {FORMAT}; install a newer paddle_automl"
        )
    return data, positions


def read_info(root: Path) -> BundleInfo:
    """Return the record of the bundle in a folder, checked by its hash; raises BundleError."""
    path = root / INFO
    data, positions = _read_record(root)
    number, seal = data.get("format"), data.pop(SEAL, None)
    older = isinstance(number, int) and number < FORMAT
    load_plugins(())  # those of installed packages
    try:
        if older:
            info = validate(BundleInfo, converted(data, read_labels(root / LABELS), to=FORMAT))
        else:
            info = validate(BundleInfo, data, positions)
    except ConfigError as error:
        hint = plugins_hint(declared_plugins(root))
        raise BundleError(f"{readable(path)}: is damaged or not a bundle's; export again{hint}\n{error}") from None
    # Formats 1 and 2 had no hash. A record that has one and says that it is of these is of format 3, and damaged.
    if not (older and seal is None) and seal != _content_hash(data):
        raise BundleError(
            f"{readable(path)}: was changed after the export (its content does not match its own {SEAL}); "
            "copy the whole folder again or export again"
        )
    return info


def subject_of(info: BundleInfo, name: str) -> str:
    """Return the hash of what the parity check of the format `name` is about; see `ParityRecord.subject`."""
    place = "" if name == info.exporter.name else f"{name}/"
    files = {
        file: record.sha256
        for file, record in info.files.items()
        if file.rpartition("/")[0] + "/" * bool(place) == place and _is_network(file.rpartition("/")[2])
    }
    about = {
        "files": files,
        # Without default values: a later version may have further options.
        "input": info.input.model_dump(mode="json", exclude_defaults=True),
        "task": info.task.model_dump(mode="json", exclude_defaults=True),
    }
    return _content_hash(about)


def _is_network(name: str) -> bool:
    # Not inference.yml, which PaddleX reads and which names the place of the bundle.
    return name.startswith("inference.") and not name.endswith((".yml", ".yaml"))


def network_mb(sizes: Mapping[str, int]) -> float:
    """Return the size of the network's files in the first format, MB (10^6 bytes), from the bytes of all files."""
    own = [
        size
        for name, size in sizes.items()
        # Without PaddleX's inference.yml and pipeline.yaml.
        if "/" not in name and name not in (LABELS, SPLITS) and not name.endswith((".yml", ".yaml"))
    ]
    return sum(own) / 1e6


def file_record(path: Path) -> FileRecord:
    """Return the size and the hash of a file."""
    return FileRecord(bytes=path.stat().st_size, sha256=sha256_of(path))


def check_file(root: Path, name: str, record: FileRecord) -> None:
    """Raise BundleError if a file of the bundle is missing or differs from its record."""
    path = root / name
    if not path.is_file():
        raise BundleError(f"{readable(root)}: the file {name} is missing; copy the whole folder or export again")
    size = path.stat().st_size
    if size != record.bytes:
        raise BundleError(
            f"{readable(path)}: is damaged: it has {size} bytes instead of {record.bytes}; "
            "copy the whole folder again or export again"
        )
    if file_record(path) != record:
        raise BundleError(
            f"{readable(path)}: was changed after the export (its SHA-256 differs from {INFO}); "
            "copy the whole folder again or export again"
        )


def checked_labels(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names if ``labels.txt`` can hold them, one per line; raises BundleError."""
    for name in names:
        if not name or "\n" in name or "\r" in name:
            raise BundleError(
                f"{LABELS}: the name of a class or a number must be one non-empty line, got {name!r}; rename it"
            )
    _refuse_duplicates(names, LABELS)
    return tuple(names)


def _refuse_duplicates(names: Sequence[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BundleError(f"{where}: duplicate name {name!r}; names must be unique")
        seen.add(name)


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the names in a ``labels.txt``, one per line; raises BundleError."""
    if not path.is_file():
        raise BundleError(
            f"{readable(path.parent)}: the file {path.name} is missing; copy the whole folder or export again"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BundleError(f"{readable(path)}: cannot be read: {error.strerror}; export the bundle again") from None
    except UnicodeDecodeError:
        raise BundleError(f"{readable(path)}: is not UTF-8 text; export the bundle again") from None
    names = tuple(line.rstrip("\r") for line in text.removesuffix("\n").split("\n"))
    _refuse_duplicates(names, readable(path))
    return names


def file_problems(root: Path, info: BundleInfo) -> list[str]:
    """Return a sentence for each file of a bundle that is damaged, missing or not recorded."""
    problems = []
    for name, record in info.files.items():
        try:
            check_file(root, name, record)
        except BundleError as error:
            problems.append(str(error))
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    unknown = sorted(found - set(info.files) - {INFO})
    return problems + [f"{readable(root / name)}: is not recorded in {INFO}" for name in unknown]
