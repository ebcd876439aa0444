"""The bundle: one folder with an exported network and everything that prediction needs."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import BundleError, ConfigError
from paddle_automl.core.files import write_text
from paddle_automl.core.loading import validate
from paddle_automl.core.paths import located, readable, without_folders
from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.version import VERSION
from paddle_automl.deployment.exporters.base import EXPORTERS, Session
from paddle_automl.deployment.integrity import (
    INFO,
    LABELS,
    SPLITS,
    check_file,
    checked_labels,
    file_record,
    network_mb,
    read_info,
    read_labels,
    sealed,
)
from paddle_automl.deployment.paddlex import for_any_channels
from paddle_automl.deployment.records import FORMAT, BundleInfo, FormatRecord, TensorRecord
from paddle_automl.deployment.runtime import import_paddle
from paddle_automl.inputs.base import Input
from paddle_automl.inputs.base import restore as restore_input
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.base import restore as restore_task

__all__ = ["INFO", "LABELS", "SAMPLES", "SPLITS", "Bundle", "plain", "utc_now", "versions"]

SAMPLES = "samples"
INPUT = "input"
"""Folder with what the input has learned and is too large for the record, such as a vocabulary."""


class Bundle:
    """An exported network on disk: the network, its input and task, scores, parity check and times.

    It names its files by relative paths only, so the folder can be moved, and it can be read without the class of
    the network.
    """

    def __init__(self, folder: Path, info: BundleInfo) -> None:
        self.folder = folder
        self.info = info
        self.task: Task = restore_task(info.task)
        """From outputs to answers."""
        self.input: Input = restore_input(info.input, folder / INPUT)
        """From sources to the network's arrays."""

    @classmethod
    def open(cls, folder: str | Path, *, check_files: bool = True) -> Bundle:
        """Read a bundle and check the hashes of its record and of every file.

        Without `check_files` the files are not read; the record is checked in any case. Raises BundleError that
        names the file that is missing, not part of the bundle, or damaged.
        """
        root = located(folder)
        info = read_info(root)
        if check_files:
            for name, record in info.files.items():
                check_file(root, name, record)
        bundle = cls(root, info)
        names = read_labels(root / LABELS)
        if names != bundle.task.names:
            raise BundleError(
                f"{readable(root / LABELS)}: has other names than the task in {INFO}: "
                f"{len(names)} and {len(bundle.task.names)}; export the bundle again"
            )
        if _tensors(bundle.input) != info.inputs:
            raise BundleError(
                f"{readable(root / INFO)}: its inputs are not the arrays of its input; export the bundle again"
            )
        return bundle

    @classmethod
    def write(
        cls,
        folder: Path,
        *,
        model: Any,
        exporter: PluginConfig,
        input: Input,  # noqa: A002, RUF100
        task: Task,
        metrics: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Bundle:
        """Write a bundle into the empty `folder`, without parity check, times and samples (see `create_bundle`).

        `model` maps the arrays of `input` to the raw outputs of `task`. `exporter` is one that needs no training
        items. `facts` are further keys of ``bundle.yaml``, such as `data` and `rejection`. The key ``output`` of
        `config` is left out, and of absolute paths only the names stay: a bundle says nothing of the machine on
        which it was made, and knows its data by content.
        """
        names = checked_labels(task.names)
        network, specs = for_any_channels(model, input, exporter.name)
        EXPORTERS[exporter.name](exporter).export(network, folder, specs=specs, final=task.final)
        input.save(folder / INPUT)
        write_text(folder / LABELS, "".join(f"{name}\n" for name in names))
        info = {
            "format": FORMAT,
            "created": utc_now(),
            "exporter": exporter.model_dump(mode="json"),
            "task": task.fitted.model_dump(mode="json"),
            "input": input.fitted.model_dump(mode="json"),
            "inputs": [item.model_dump(mode="json") for item in _tensors(input)],
            "metrics": plain(metrics or {}),
            "parity": None,
            "latency": [],
            "config": without_folders(
                {key: value for key, value in plain(config or {}).items() if key != "output"}
            ),
            "versions": versions(input.packages),
            "files": {},
            **plain(facts or {}),
        }
        return cls(folder, validate(BundleInfo, info)).updated()

    def updated(self, **changes: Any) -> Bundle:
        """Write ``bundle.yaml`` again with some fields changed and sizes and hashes of all files updated."""
        data = self.info.model_dump(mode="json") | plain(changes)
        data["files"] = {
            path.relative_to(self.folder).as_posix(): file_record(path).model_dump()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path != self.folder / INFO
        }
        info = validate(BundleInfo, data)
        write_text(self.folder / INFO, sealed(info.model_dump(mode="json")))
        return Bundle(self.folder, info)

    @property
    def verified(self) -> bool:
        """Whether the parity check of each format passed, also by its recorded values."""
        return all(self.record_of(name).verified for name in self.formats)

    @property
    def size_mb(self) -> float:
        """Size of the network's files in the first format, in MB (10^6 bytes)."""
        return network_mb({name: item.bytes for name, item in self.info.files.items()})

    @property
    def formats(self) -> dict[str, PluginConfig]:
        """Return the exporters of all formats by name, the first format first."""
        first = self.info.exporter
        return {first.name: first} | {item.exporter.name: item.exporter for item in self.info.formats}

    def record_of(self, name: str) -> FormatRecord:
        """Return the record of one of `formats`; the first one has its own in the bundle's."""
        first = FormatRecord(exporter=self.info.exporter, parity=self.info.parity, latency=self.info.latency)
        return next((item for item in self.info.formats if item.exporter.name == name), first)

    def folder_of(self, name: str) -> Path:
        """Return the folder of a format's files: for the first one the bundle itself, else a folder inside."""
        return self.folder if name == self.info.exporter.name else self.folder / name

    def session(self, *, device: str = "cpu", threads: int = 1, name: str | None = None) -> Session:
        """Load the network: arrays of `input`, [N, ...] by name, to outputs of `task`, float32 [N, K].

        `name` is one of `formats`, by default the first. Raises ConfigError for another name.
        """
        formats = self.formats
        name = self.info.exporter.name if name is None else name
        if name not in formats:
            raise ConfigError(f"format: the bundle has no '{name}'; it has {', '.join(formats)}")
        exporter = EXPORTERS[name](formats[name])
        return exporter.session(self.folder_of(name), device=device, threads=threads)


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Return the versions of Python, this package and the libraries that affect the network's outputs."""
    found = {"python": platform.python_version(), "paddle_automl": VERSION}
    found["paddle"] = str(import_paddle().__version__)
    for package in ("numpy", "pillow", *more):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def utc_now() -> str:
    """Return the current time, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def plain(value: Any) -> Any:
    """Return `value` with NumPy numbers, paths, tuples and sections converted to types of YAML."""
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


def _tensors(source: Input) -> tuple[TensorRecord, ...]:
    return tuple(TensorRecord(name=item.name, shape=item.shape, dtype=item.dtype) for item in source.specs)
