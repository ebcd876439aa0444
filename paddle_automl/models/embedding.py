"""Vectors of tokens to start from: of a pretrained network whose package is installed, or of a file."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import open_regular, reason_of
from paddle_automl.core.paths import located
from paddle_automl.core.schema import Section
from paddle_automl.inputs.text.packages import token_package

logger = logging.getLogger(__name__)

KEY = "model.embedding"
WIDTH = 128
LARGEST_MB = 4096
LONGEST_LINE = 1 << 20
"""Most bytes of a line of a .vec file."""
MOST_WIDTH = 4096


class EmbeddingConfig(Section):
    """The vectors of tokens at the start of a training, for backbones that read tokens; without package and file
    they are random."""

    path_options: ClassVar[tuple[str, ...]] = ("file",)

    package: str | None = None
    """Token table of a pretrained network: multilingual_e5_small (Chinese and about 100 other languages) or
    all_minilm_l6_v2 (English), from the extra `text-pretrained`. It brings its own tokens (`data.input.tokens`)."""
    file: str | None = None
    """File of vectors by the text of a token: .vec (text: a token and its numbers per line, as fastText and GloVe
    write it), .npz (arrays `tokens` [V] and `vectors` [V, D]), or .safetensors (one array [V, D]; the tokens are
    the lines of a file of the same name with the end .txt)."""
    width: int | None = Field(None, ge=1, le=MOST_WIDTH)
    """Numbers of a token's vector. Vectors that are longer are reduced to their principal components. null: 128 for
    given vectors, else the backbone's own width."""
    spread: float = Field(0.3, gt=0)
    """Standard deviation of all numbers, to which given vectors are scaled after subtracting their mean."""
    frozen: bool = False
    """Whether the vectors stay as they are in the training."""

    @model_validator(mode="after")
    def _one_source(self) -> EmbeddingConfig:
        if self.package is not None and self.file is not None:
            raise ValueError("package and file: give one of the two")
        if self.frozen and not self.given:
            raise ValueError("frozen: needs package or file: random vectors are worth nothing without training")
        return self

    @property
    def given(self) -> bool:
        """Whether vectors are given."""
        return self.package is not None or self.file is not None

    @property
    def used_width(self) -> int | None:
        """Return the width that takes the place of the backbone's own; None: that one stays."""
        return WIDTH if self.width is None and self.given else self.width

    def vectors(self, tokens: Sequence[str], width: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the vectors for tokens, float32 ``[V, width]``, and which are known, bool ``[V]``; or None.

        Rows of unknown tokens are zero. Raises ConfigError for a file or package that cannot be used.
        """
        if not self.given:
            return None
        if self.package is not None:
            found, known = token_package(self.package).vectors(tokens)
        else:
            found, known = _read_file(located(str(self.file)), tokens)
        if not known.any():
            source = self.package or self.file
            raise ConfigError(
                f"{KEY}: {source} has none of the {len(tokens)} tokens of the data, such as {list(tokens[:3])}; "
                "its tokens must be those of data.input.tokens"
            )
        logger.info("%s: %d of %d tokens have vectors", KEY, known.sum(), len(tokens))
        return reduced(found, known, width, self.spread), known


def reduced(vectors: np.ndarray, known: np.ndarray, width: int, spread: float) -> np.ndarray:
    """Return vectors [V, D] as [V, width]: centred, their principal components, scaled to the deviation `spread`.

    Missing columns are zero; rows that are not `known` are zero and do not count.
    """
    rows = vectors[known].astype(np.float64)
    rows -= rows.mean(axis=0)
    _, directions = np.linalg.eigh(rows.T @ rows)
    # The largest last; the sign of each is that of its largest number, so that all machines agree.
    chosen = directions[:, ::-1][:, : min(width, rows.shape[1])]
    largest = np.abs(chosen).argmax(axis=0)
    chosen = chosen * np.sign(chosen[largest, np.arange(chosen.shape[1])])
    rows = rows @ chosen
    result = np.zeros((len(vectors), width), dtype=np.float32)
    result[np.flatnonzero(known), : rows.shape[1]] = rows * (spread / max(rows.std(), 1e-12))
    return result


def _read_file(path: Path, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    readers = {".vec": _read_vec, ".txt": _read_vec, ".npz": _read_npz, ".safetensors": _read_safetensors}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(f"{KEY}.file: {path}: must end in .vec, .npz or .safetensors")
    try:
        size_mb = path.stat().st_size / 1e6
        if size_mb > LARGEST_MB:
            raise ConfigError(f"{KEY}.file: {path}: has {size_mb:.0f} MB, at most {LARGEST_MB} are read")
        found, known = reader(path, tokens)
    except OSError as error:
        raise ConfigError(f"{KEY}.file: cannot read {path}: {reason_of(error)}") from None
    if not np.isfinite(found).all():
        raise ConfigError(f"{KEY}.file: {path}: some numbers are not finite")
    return found, known


def _read_vec(path: Path, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read the lines of the wanted tokens; a first line of two numbers is a header."""
    wanted = {token.encode("utf-8", "surrogateescape"): row for row, token in enumerate(tokens) if token}
    found: np.ndarray | None = None
    known = np.zeros(len(tokens), dtype=bool)
    with open_regular(path) as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            parts = line.rstrip(b"\r\n ").split(b" ")
            if number == 1 and len(parts) == 2:
                continue
            width = len(parts) - 1
            if found is None:
                if not 1 < width <= MOST_WIDTH:
                    raise ConfigError(
                        f"{KEY}.file: {path}:{number}: needs a token and 2 to {MOST_WIDTH} numbers, got {width}"
                    )
                found = np.zeros((len(tokens), width), dtype=np.float32)
            row = wanted.get(parts[0])
            if row is None or known[row]:
                continue
            if width != found.shape[1]:
                raise ConfigError(
                    f"{KEY}.file: {path}:{number}: has {width} numbers, earlier lines have {found.shape[1]}"
                )
            try:
                found[row] = [float(part) for part in parts[1:]]
            except ValueError:
                raise ConfigError(f"{KEY}.file: {path}:{number}: a number cannot be read") from None
            known[row] = True
    if found is None:
        raise ConfigError(f"{KEY}.file: {path}: holds no vectors")
    return found, known


def _read_npz(path: Path, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            total = sum(item.file_size for item in archive.infolist())
        if total > LARGEST_MB * 1e6:
            raise ConfigError(f"{KEY}.file: {path}: has {total / 1e6:.0f} MB unpacked, at most {LARGEST_MB}")
        with np.load(path, allow_pickle=False) as arrays:
            own, vectors = arrays["tokens"], arrays["vectors"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"{KEY}.file: {path}: needs the arrays tokens [V] of texts and vectors [V, D]: {error}"
        ) from None
    if own.ndim != 1 or own.dtype.kind != "U":
        raise ConfigError(f"{KEY}.file: {path}: tokens must be an array [V] of texts, got {own.dtype} {own.shape}")
    return _chosen(path, own.tolist(), vectors, tokens)


def _read_safetensors(path: Path, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    with open_regular(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length < LONGEST_LINE * 64:
            raise ConfigError(f"{KEY}.file: {path}: is no file of the format safetensors")
        try:
            header = json.loads(file.read(length))
            tables = {
                name: entry
                for name, entry in header.items()
                if name != "__metadata__" and len(entry["shape"]) == 2 and entry["dtype"] in _DTYPES
            }
            ((_, entry),) = tables.items()
            begin, end = entry["data_offsets"]
            shape, dtype = [int(size) for size in entry["shape"]], np.dtype(_DTYPES[entry["dtype"]])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ConfigError(f"{KEY}.file: {path}: needs one array [V, D] of the type F32 or F16") from None
        if min(shape) < 1 or end - begin != shape[0] * shape[1] * dtype.itemsize or begin < 0:
            raise ConfigError(f"{KEY}.file: {path}: its header does not fit its size")
        if 8 + length + end > path.stat().st_size:
            raise ConfigError(f"{KEY}.file: {path}: is cut off")
        file.seek(8 + length + begin)
        vectors = np.frombuffer(file.read(end - begin), dtype=dtype).reshape(shape)
    names = path.with_suffix(".txt")
    with open_regular(names) as file:
        text = file.read(LONGEST_LINE * 256).decode("utf-8", "replace")
    # Not splitlines, which also ends a line at characters that a token may hold.
    own = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    return _chosen(path, own, vectors, tokens)


_DTYPES = {"F32": "<f4", "F16": "<f2"}


def _chosen(
    path: Path, own: Sequence[str], vectors: np.ndarray, tokens: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the wanted tokens."""
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or len(own) != len(vectors):
        raise ConfigError(
            f"{KEY}.file: {path}: needs a vector for each token, got {len(own)} tokens and an array "
            f"{list(vectors.shape)} of {vectors.dtype}"
        )
    if not 1 <= vectors.shape[1] <= MOST_WIDTH:
        raise ConfigError(
            f"{KEY}.file: {path}: vectors have {vectors.shape[1]} numbers, 1 to {MOST_WIDTH} are read"
        )
    places = {token: row for row, token in reversed(list(enumerate(own)))}
    rows = np.array([places.get(token, -1) if token else -1 for token in tokens], dtype=np.int64)
    known = rows >= 0
    found = np.zeros((len(tokens), vectors.shape[1]), dtype=np.float32)
    found[known] = vectors[rows[known]]
    return found, known
