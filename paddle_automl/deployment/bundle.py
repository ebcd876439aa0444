"""The bundle: one folder that holds an exported network and all that prediction needs."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import BundleError, ConfigError
from paddle_automl.core.files import write_text
from paddle_automl.core.folders import replacing_folder
from paddle_automl.core.loading import validate
from paddle_automl.core.paths import located, readable
from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.version import VERSION
from paddle_automl.core.yaml_io import dump_yaml, read_yaml
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.deployment.exporters.base import EXPORTERS, Session
from paddle_automl.deployment.records import FORMAT, BundleInfo, FileRecord
from paddle_automl.deployment.runtime import import_paddle

INFO = "bundle.yaml"
LABELS = "labels.txt"
SAMPLES = "samples"


class Bundle:
    """An exported network on disk: the network, preprocessing, labels, scores, proof and speed.

    It names its own files by relative paths only, so the folder can be moved, and it can be read without
    the class of the network.
    """

    def __init__(self, folder: Path, info: BundleInfo, class_names: tuple[str, ...]) -> None:
        self.folder = folder
        self.info = info
        self.class_names = class_names

    @classmethod
    def open(cls, folder: str | Path) -> Bundle:
        """Read a bundle and check every file's size and hash.

        Raises BundleError naming the file that is missing, foreign or damaged.
        """
        root = located(folder)
        info = _read_info(root)
        for name, record in info.files.items():
            _check_file(root, name, record)
        class_names = _read_labels(root / LABELS)
        if len(class_names) != info.classes:
            raise BundleError(
                f"{readable(root / LABELS)}: has {len(class_names)} names, but {INFO} says {info.classes} "
                "classes; export the bundle again"
            )
        return cls(root, info, class_names)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        *,
        model: Any,
        exporter: PluginConfig,
        preprocess: Preprocess,
        class_names: Sequence[str],
        metrics: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Bundle:
        """Export `model` (images to logits) to `folder` without proof, timing and samples.

        An existing bundle there is replaced in one step; another folder that is not empty is left alone
        (OutputError). `export_bundle` adds the rest.
        """
        with replacing_folder(folder, marker=INFO) as scratch:
            cls.write(
                scratch,
                model=model,
                exporter=exporter,
                preprocess=preprocess,
                class_names=class_names,
                metrics=metrics,
                config=config,
            )
        return cls.open(folder)

    @classmethod
    def write(
        cls,
        folder: Path,
        *,
        model: Any,
        exporter: PluginConfig,
        preprocess: Preprocess,
        class_names: Sequence[str],
        metrics: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        images: np.ndarray | None = None,
    ) -> Bundle:
        """Write a bundle's files into the empty `folder`, not yet in its final place.

        `images` are normalized training images, [M, C, H, W], for an exporter that needs them.
        """
        names = _checked_labels(class_names)
        shape = preprocess.input_shape
        EXPORTERS[exporter.name](exporter).export(model, folder, input_shape=shape, images=images)
        write_text(folder / LABELS, "".join(f"{name}\n" for name in names))
        info = {
            "format": FORMAT,
            "created": utc_now(),
            "exporter": exporter.model_dump(mode="json"),
            "input_shape": list(shape),
            "classes": len(names),
            "preprocess": preprocess.model_dump(mode="json"),
            "metrics": plain(metrics or {}),
            "parity": None,
            "latency": [],
            "config": plain(config or {}),
            "versions": versions(),
            "files": {},
        }
        return cls(folder, validate(BundleInfo, info), names).updated()

    def updated(self, **changes: Any) -> Bundle:
        """Write ``bundle.yaml`` anew with some fields changed and every file's size and hash taken again."""
        data = self.info.model_dump(mode="json") | plain(changes)
        data["files"] = {
            path.relative_to(self.folder).as_posix(): _record(path).model_dump()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path != self.folder / INFO
        }
        info = validate(BundleInfo, data)
        write_text(self.folder / INFO, dump_yaml(info.model_dump(mode="json")))
        return Bundle(self.folder, info, self.class_names)

    @property
    def verified(self) -> bool:
        """Whether the bundle carries a certificate that holds, for each of its formats."""
        first = self.info.parity is not None and self.info.parity.verified
        return first and all(item.verified for item in self.info.formats)

    @property
    def size_mb(self) -> float:
        """Size of the network's files in its first format, in MB (10^6 bytes)."""
        return sum(item.bytes for name, item in self.info.files.items() if "/" not in name and name != LABELS) / 1e6

    @property
    def formats(self) -> dict[str, PluginConfig]:
        """Return the exporters of all formats by name, the first format first."""
        first = self.info.exporter
        return {first.name: first} | {item.exporter.name: item.exporter for item in self.info.formats}

    def folder_of(self, name: str) -> Path:
        """Return the folder of a format's files: the bundle's own for the first, one inside for each other."""
        return self.folder if name == self.info.exporter.name else self.folder / name

    def session(self, *, device: str = "cpu", threads: int = 1, name: str | None = None) -> Session:
        """Load the network: normalized images, float32 [N, C, H, W], to probabilities, float32 [N, K].

        `name` is one of `formats`, by default the first. Raises ConfigError for another name.
        """
        formats = self.formats
        name = self.info.exporter.name if name is None else name
        if name not in formats:
            raise ConfigError(f"format: the bundle has no '{name}'; it has {', '.join(formats)}")
        exporter = EXPORTERS[name](formats[name])
        return exporter.session(self.folder_of(name), device=device, threads=threads)


def versions() -> dict[str, str]:
    """Return the versions of Python, this package and what the network's numbers depend on."""
    found = {"python": platform.python_version(), "paddle_automl": VERSION}
    found["paddle"] = str(import_paddle().__version__)
    for package in ("numpy", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def utc_now() -> str:
    """Return the present time, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def plain(value: Any) -> Any:
    """Return `value` with NumPy numbers, paths, tuples and sections turned into what YAML can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Path):
        return readable(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return value


def _read_info(root: Path) -> BundleInfo:
    path = root / INFO
    if not root.is_dir():
        raise BundleError(f"{readable(root)}: no such folder; give the folder of a bundle, the one with {INFO}")
    if not path.is_file():
        raise BundleError(
            f"{readable(root)}: is no bundle, {INFO} is missing; give the folder that the export wrote"
        )
    try:
        data, positions = read_yaml(path)
        number = data.get("format")
        if isinstance(number, int) and number > FORMAT:
            raise BundleError(
                f"{readable(path)}: has bundle format {number}, this paddle_automl "
                f"({VERSION}) reads up to {FORMAT}; install a newer paddle_automl"
            )
        return validate(BundleInfo, data, positions)
    except ConfigError as error:
        raise BundleError(f"{readable(path)}: is damaged or no bundle's; export again\n{error}") from None


def _record(path: Path) -> FileRecord:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return FileRecord(bytes=path.stat().st_size, sha256=digest.hexdigest())


def _check_file(root: Path, name: str, record: FileRecord) -> None:
    path = root / name
    if not path.is_file():
        raise BundleError(f"{readable(root)}: the file {name} is missing; copy the whole folder or export again")
    size = path.stat().st_size
    if size != record.bytes:
        raise BundleError(
            f"{readable(path)}: is damaged: it has {size} bytes instead of {record.bytes}; "
            "copy the whole folder again or export again"
        )
    if _record(path) != record:
        raise BundleError(
            f"{readable(path)}: was changed after the export (its SHA-256 differs from {INFO}); "
            "copy the whole folder again or export again"
        )


def _checked_labels(class_names: Sequence[str]) -> tuple[str, ...]:
    for name in class_names:
        if not name or "\n" in name or "\r" in name:
            raise BundleError(f"{LABELS}: a class name must be one non-empty line, got {name!r}; rename it")
    _refuse_duplicates(class_names, LABELS)
    return tuple(class_names)


def _refuse_duplicates(class_names: Sequence[str], where: str) -> None:
    seen: set[str] = set()
    for name in class_names:
        if name in seen:
            raise BundleError(f"{where}: the class name {name!r} stands twice; names must be unique")
        seen.add(name)


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BundleError(f"{readable(path)}: cannot be read: {error.strerror}; export the bundle again") from None
    except UnicodeDecodeError:
        raise BundleError(f"{readable(path)}: is not UTF-8 text; export the bundle again") from None
    names = tuple(line.rstrip("\r") for line in text.removesuffix("\n").split("\n"))
    _refuse_duplicates(names, readable(path))
    return names
