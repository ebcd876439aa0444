"""What takes long to read or decode, stored once and mapped into memory by every process that needs it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock

from paddle_automl.core.errors import OutputError
from paddle_automl.core.files import replacing, write_json
from paddle_automl.data.samples import Samples
from paddle_automl.data.stores import decode_all
from paddle_automl.inputs.image.decoding import DECODING_VERSION, Decoder

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel."""


class Cache:
    """A folder of stored results that processes share.

    Each result has a key from `key`, which holds all that the result depends on. Processes that want the same
    result at once wait for the first; a file is complete or not there. Pixels are mapped, so many processes
    share one copy in memory. A folder that cannot be written costs a warning, not the run. Without a folder
    nothing is stored.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @staticmethod
    def key(what: object, files: Sequence[Path]) -> str:
        """Return a hash of `what`, and of each file's path, time of change, size and permissions."""
        digest = hashlib.sha256(repr((DECODING_VERSION, what)).encode("utf-8", "surrogateescape"))
        for file in files:
            try:
                status = os.stat(file)
                stamp = f"{status.st_mtime_ns} {status.st_size} {status.st_mode}"
            except OSError:
                stamp = "missing"
            digest.update(os.fsencode(os.path.abspath(file)) + b"\0" + stamp.encode() + b"\0")
        return digest.hexdigest()[:32]

    def decoded(
        self, key: str, files: Sequence[Path], decoder: Decoder, *, keep: bool
    ) -> tuple[np.ndarray | None, dict[int, str]]:
        """Do as `decode_all`, or return what it gave before."""

        def stored(folder: Path) -> tuple[np.ndarray | None, dict[int, str]]:
            pixels, failures = folder / f"{key}.npy", folder / f"{key}.json"
            if failures.exists() and (pixels.exists() or not keep):
                known = {int(row): reason for row, reason in json.loads(failures.read_text("utf-8")).items()}
                return (np.load(pixels, mmap_mode="r") if keep else None), known
            images, found = decode_all(files, decoder, keep=keep)
            if images is not None:
                images = _mapped(images, pixels)
            write_json(failures, {str(row): reason for row, reason in found.items()})
            return images, found

        return self._stored(key, stored, lambda: decode_all(files, decoder, keep=keep))

    def samples(self, key: str, load: Callable[[], Samples]) -> Samples:
        """Return the samples of arrays that `load` gives, or gave before."""

        def stored(folder: Path) -> Samples:
            pixels, rest = folder / f"{key}.npy", folder / f"{key}.npz"
            if rest.exists() and pixels.exists():
                return _read_samples(pixels, rest)
            samples = load()
            assert samples.images is not None
            # Channels first, as they are used: what is mapped is never copied.
            _mapped(np.ascontiguousarray(samples.images.transpose(0, 3, 1, 2)), pixels)
            parts = {f"part_{name}": indices for name, indices in samples.parts.items()}
            with replacing(rest) as temporary:
                np.savez(temporary, labels=samples.labels, class_names=np.array(samples.class_names), **parts)
            return _read_samples(pixels, rest)

        return self._stored(key, stored, load)

    def statistics(self, key: str, indices: np.ndarray, measure: Callable[[], Statistics]) -> Statistics:
        """Return the mean and deviation that `measure` gives, or gave before, of the images at `indices`."""
        name = f"{key[:16]}-{hashlib.sha256(indices.tobytes()).hexdigest()[:16]}"

        def stored(folder: Path) -> Statistics:
            file = folder / f"{name}.json"
            if not file.exists():
                mean, std = measure()
                write_json(file, {"mean": mean, "std": std})
            known = json.loads(file.read_text("utf-8"))
            return tuple(known["mean"]), tuple(known["std"])

        return Cache(self.folder and self.folder / "statistics")._stored(name, stored, measure)

    def _stored(self, key: str, stored: Callable[[Path], _Result], plain: Callable[[], _Result]) -> _Result:
        if self.folder is None:
            return plain()
        try:
            with _locked(self.folder, key):
                return stored(self.folder)
        except (OSError, OutputError) as error:
            log.warning("%s: decoded images cannot be stored (%s); they are decoded anew", self.folder, error)
            return plain()


@contextmanager
def _locked(folder: Path, key: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{key}.lock"):
        yield


def _mapped(images: np.ndarray, file: Path) -> np.ndarray:
    with replacing(file) as temporary:
        np.save(temporary, images)
    mapped: np.ndarray = np.load(file, mmap_mode="r")
    return mapped


def _read_samples(pixels: Path, rest: Path) -> Samples:
    images = np.load(pixels, mmap_mode="r").view(np.ndarray)
    with np.load(rest, allow_pickle=False) as known:
        return Samples(
            labels=known["labels"],
            class_names=tuple(str(name) for name in known["class_names"]),
            images=images.transpose(0, 2, 3, 1),
            parts={name.removeprefix("part_"): known[name] for name in known.files if name.startswith("part_")},
        )
