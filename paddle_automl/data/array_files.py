"""Arrays in untrusted files: idx, plain or gzipped, and NumPy archives.

The size in a header is compared with the size of the file before memory is reserved, and packed files may only
unpack to a limited multiple of their size.
"""

from __future__ import annotations

import gzip
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import DataError
from paddle_automl.core.files import open_regular
from paddle_automl.core.paths import readable

LARGEST_EXPANSION = 200
"""Largest ratio of unpacked to packed size: images reach ten, sorted labels a thousand."""
ALWAYS_ALLOWED = 64 << 20
"""Bytes that any file may unpack to, because sorted labels pack very well."""
MOST_AXES = 8

_UINT8 = 8
_MOST_IDX_AXES = 4
_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 20
_LAST_CODE_POINT = 0x10FFFF
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array of an idx file, plain or gzipped; raises DataError for any other content."""
    name = readable(path)
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            packed = file.read(2) == _GZIP
            file.seek(0)
            if not packed:
                return _idx_array(file, name, size, size)
            with gzip.GzipFile(fileobj=file) as stream:
                return _idx_array(stream, name, size, None)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name}: cannot read the file: {error}") from None
    except MemoryError:
        raise DataError(f"{name}: cannot be read: it needs more memory than available") from None


def _idx_array(stream: BinaryIO | gzip.GzipFile, name: str, size: int, unpacked: int | None) -> np.ndarray:
    """Return the array of a stream from a file of `size` bytes; `unpacked` is the stream's length if known."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != _UINT8:
        raise DataError(f"{name}: is not an idx file of uint8 values; it starts with {start.hex(' ')}")
    axes = start[3]
    if axes > _MOST_IDX_AXES:
        raise DataError(f"{name}: has {axes} dimensions; labels have 1, images 3 or 4")
    header = stream.read(4 * axes)
    shape = [int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4)]
    count = math.prod(shape)
    begin = 4 + len(header)
    if axes == 0 or len(header) < 4 * axes or (unpacked is not None and unpacked != begin + count):
        raise _cut_off(name, begin if unpacked is None else unpacked, shape)
    if unpacked is None:
        _check_expansion(name, count, size)
    content = stream.read(count)
    rest = stream.read(1)
    if len(content) != count or rest:
        raise _cut_off(name, f"{'more than ' if rest else ''}{begin + len(content)}", shape)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _cut_off(name: str, length: object, shape: list[int]) -> DataError:
    return DataError(f"{name}: is truncated or damaged: {length} bytes for an array of shape {shape}")


def _check_expansion(name: str, unpacked: int, packed: int) -> None:
    """Raise DataError for a file that would unpack to far more than any data set."""
    if unpacked > max(ALWAYS_ALLOWED, LARGEST_EXPANSION * packed):
        raise DataError(
            f"{name}: claims {unpacked} bytes in {packed} packed ones; more than {LARGEST_EXPANSION} times as many "
            "is refused; unpack the file yourself if you trust it"
        )


class NpzArchive:
    """The arrays of an open NumPy archive, read one at a time."""

    def __init__(self, archive: zipfile.ZipFile, name: str, size: int) -> None:
        self._archive = archive
        self._name = name
        self._size = size
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

    @property
    def keys(self) -> list[str]:
        """The names of the arrays."""
        return list(self._members)

    @property
    def listing(self) -> str:
        """The names of the arrays, shortened for messages."""
        more = f" and {len(self._members) - 20} more" if len(self._members) > 20 else ""
        return _short(", ".join(self.keys[:20])) + more

    def array(self, key: str) -> np.ndarray:
        """Return an array; raises DataError if it is damaged, or smaller than it claims."""
        where = f"{self._name}: the array '{_short(key)}'"
        info = self._members[key]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise DataError(f"{where} is packed or encrypted in a way that NumPy does not write")
        if info.compress_size > self._size:
            raise DataError(f"{where} is damaged: {info.compress_size} bytes in a file of {self._size}")
        _check_expansion(where, info.file_size, info.compress_size)
        try:
            with self._archive.open(info) as stream:
                return _npy_array(stream, where, info.file_size)
        except DataError:
            raise
        except MemoryError:
            raise DataError(f"{where} cannot be read: it needs more memory than available") from None
        except Exception as error:  # noqa: BLE001  a damaged archive can raise any exception
            raise DataError(f"{where} is damaged: {_short(error)}") from None


@contextmanager
def open_npz(path: Path) -> Iterator[NpzArchive]:
    """Open a NumPy archive; raises DataError if the file is not one."""
    name = readable(path)
    try:
        file: BinaryIO = open_regular(path)
    except OSError as error:
        raise DataError(f"{name}: cannot read the file: {error.strerror}") from None
    with file:
        start = file.read(6)
        if start == np.lib.format.MAGIC_PREFIX:
            raise DataError(f"{name}: is a single array; save images and labels together with numpy.savez")
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # noqa: BLE001  a damaged archive can raise any exception
            raise DataError(f"{name}: is not a NumPy archive, or is damaged: {_short(error)}") from None
        with archive:
            yield NpzArchive(archive, name, os.fstat(file.fileno()).st_size)


def _npy_array(stream: Any, where: str, size: int) -> np.ndarray:
    """Return the array of a member with `size` bytes; a damaged member raises DataError or other exceptions."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise DataError(f"{where} has version {version} of NumPy's format; supported are 1.0 and 2.0")
    shape, fortran, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise DataError(f"{where} cannot be read: it holds Python objects, and allow_pickle is never set")
    if dtype.kind not in "biufcSU" or dtype.itemsize == 0 or len(shape) > MOST_AXES:
        raise DataError(f"{where} cannot be read: {len(shape)} axes of {dtype} are neither images nor labels")
    needed, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if min(shape, default=0) < 0 or needed != held:
        raise DataError(
            f"{where} is damaged: the shape {list(shape)} of {dtype} needs {needed} bytes, it holds {held}"
        )
    array = np.empty(math.prod(shape), dtype)
    target = array.view(np.uint8) if needed else np.empty(0, np.uint8)
    for start in range(0, needed, _BLOCK):
        block = stream.read(min(_BLOCK, needed - start))
        target[start : start + len(block)] = np.frombuffer(block, np.uint8)
        if len(block) < min(_BLOCK, needed - start):
            raise DataError(f"{where} is damaged: it ends after {start + len(block)} of {needed} bytes")
    # The archive checks the checksum at the end of a member.
    stream.read(1)
    if dtype.kind == "U" and needed:
        codes = array.astype(dtype.newbyteorder("=")).view(np.uint32)
        if codes.max() > _LAST_CODE_POINT or ((codes >= 0xD800) & (codes <= 0xDFFF)).any():
            raise DataError(f"{where} is damaged: it holds texts with characters that do not exist")
    return array.reshape(shape, order="F" if fortran else "C")


def _short(text: object) -> str:
    """Return a text from an untrusted file, shortened for messages."""
    plain = shown(text)
    return plain if len(plain) <= 200 else f"{plain[:190]}..."
