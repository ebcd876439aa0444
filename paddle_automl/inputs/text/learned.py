"""What the text input has learned and keeps in files: n-grams with their counts, and tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import BundleError, ConfigError
from paddle_automl.core.files import open_regular, replacing
from paddle_automl.core.paths import readable
from paddle_automl.inputs.text.ngrams import Vocabulary as Ngrams
from paddle_automl.inputs.text.options import TextFitted
from paddle_automl.inputs.text.pieces import Pieces
from paddle_automl.inputs.text.tokens import LARGEST_FILE, Listed, Vocabulary

NGRAMS = "ngrams.txt"
"""A line ``count<TAB>n-gram`` for each known n-gram, block by block."""
LONGEST_LINE = 256
"""Most bytes of a line of a vocabulary file, in the mean, where the file has more than `LARGEST_FILE`."""
_LARGEST_OF_ALL = 2 << 30


@dataclass(frozen=True)
class Learned:
    """The vocabularies of an input, those of arrays that it does not make left out."""

    blocks: tuple[Ngrams, ...]
    tokens: Vocabulary | None

    def files(self) -> dict[str, bytes]:
        """Return the content of each file by name."""
        found = {}
        if self.blocks:
            lines = [
                f"{count}\t{text}\n"
                for block in self.blocks
                for text, count in zip(block.texts, block.counts.tolist(), strict=True)
            ]
            found[NGRAMS] = "".join(lines).encode("utf-8", "surrogatepass")
        if self.tokens is not None:
            found[self.tokens.file] = self.tokens.content()
        return found


def hashes(files: dict[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def most_bytes(fitted: TextFitted, name: str) -> int:
    """Return the most bytes that a file of so many n-grams or tokens may have."""
    entries = sum(fitted.block_sizes) if name == NGRAMS else fitted.token_count
    return min(max(LARGEST_FILE, LONGEST_LINE * entries), _LARGEST_OF_ALL)


def check_sizes(files: dict[str, bytes], fitted: TextFitted) -> None:
    """Raise ConfigError for a file that would be too large to read it again."""
    for name, content in files.items():
        most = most_bytes(fitted, name)
        if len(content) > most:
            option, what = ("max_ngrams", "n-grams") if name == NGRAMS else ("tokens", "tokens")
            raise ConfigError(
                f"data.input.{option}: the {what} of the training texts take {len(content) >> 20} MB, more than "
                f"the {most >> 20} MB that a vocabulary may have; let there be fewer or shorter ones"
            )


def write(files: dict[str, bytes], folder: Path) -> None:
    """Write files into a folder, which is created; those that are there already stay."""
    if not files:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if not (folder / name).is_file():
            with replacing(folder / name) as temporary:
                temporary.write_bytes(content)


def read(fitted: TextFitted, folder: Path) -> Learned:
    """Read the files of a record; raises BundleError for one that is missing, or not that of the record."""
    contents = {name: _read(folder, name, expected, fitted) for name, expected in fitted.files.items()}
    blocks: tuple[Ngrams, ...] = ()
    if NGRAMS in contents:
        blocks = _blocks(fitted, contents[NGRAMS], folder / NGRAMS)
    tokens = None
    for name in (Listed.file, Pieces.file):
        if name in contents:
            tokens = _tokens(fitted, contents[name], folder / name)
    return Learned(blocks, tokens)


def _read(folder: Path, name: str, expected: str, fitted: TextFitted) -> bytes:
    path = folder / name
    if name not in (NGRAMS, Listed.file, Pieces.file):
        raise BundleError(f"{readable(path)}: is no file of a vocabulary; export the bundle again")
    most = most_bytes(fitted, name)
    try:
        with open_regular(path) as file:
            content = file.read(most + 1)
    except OSError as error:
        raise BundleError(
            f"{readable(path)}: the vocabulary cannot be read ({error.strerror or error}); copy the whole folder "
            "again, or train again"
        ) from None
    if len(content) > most:
        raise BundleError(
            f"{readable(path)}: has more than the {most >> 20} MB that the vocabulary of this network can have; "
            "copy the whole folder again"
        )
    if hashlib.sha256(content).hexdigest() != expected:
        raise BundleError(
            f"{readable(path)}: is not the vocabulary that the network was trained with (its SHA-256 differs); "
            "copy the whole folder again"
        )
    return content


def _blocks(fitted: TextFitted, content: bytes, path: Path) -> tuple[Ngrams, ...]:
    lines = _lines(content, path)
    if len(lines) != sum(fitted.block_sizes) or len(fitted.block_sizes) != len(fitted.blocks):
        raise _other(path, f"{len(lines)} n-grams instead of {sum(fitted.block_sizes)}")
    found, start = [], 0
    for block, size in zip(fitted.blocks, fitted.block_sizes, strict=True):
        pairs = [line.partition("\t") for line in lines[start : start + size]]
        try:
            counts = np.array([int(count) for count, _, _ in pairs], np.int64)
        except ValueError:
            raise _other(path, "a line without a count") from None
        if size and not 0 < counts.min() <= counts.max() <= fitted.documents:
            raise _other(path, "a count out of range")
        found.append(Ngrams(block, tuple(text for _, _, text in pairs), counts, fitted.documents))
        start += size
    return tuple(found)


def _tokens(fitted: TextFitted, content: bytes, path: Path) -> Vocabulary:
    found: Vocabulary
    if path.name == Pieces.file:
        found = Pieces(content.decode("utf-8", "replace"), readable(path))
    else:
        found = Listed(fitted.tokens.kind, _lines(content, path))
        if fitted.tokens.kind == "characters" and any(len(token) != 1 for token in found.known):
            raise _other(path, "a line that is no single character")
    if found.count != fitted.token_count:
        raise _other(path, f"{found.count} tokens instead of {fitted.token_count}")
    return found


def _lines(content: bytes, path: Path) -> Sequence[str]:
    try:
        text = content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise _other(path, "bytes that are no UTF-8") from None
    return text.removesuffix("\n").split("\n") if text else []


def _other(path: Path, what: str) -> BundleError:
    return BundleError(f"{readable(path)}: has {what}: it belongs to another network; export the bundle again")
