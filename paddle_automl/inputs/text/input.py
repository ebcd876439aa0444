"""Text input: n-grams with weights, and tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, overload

import numpy as np

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import BundleError, ConfigError, DataError
from paddle_automl.inputs.base import INPUTS, Arrays, Fitted, Input, InputConfig, Media, Statistics, TensorSpec
from paddle_automl.inputs.ragged import Ragged
from paddle_automl.inputs.text import learned
from paddle_automl.inputs.text.cleaning import TRAINING_WORDS, Splitter, splitting_once, word_splitter
from paddle_automl.inputs.text.files import TextReader, find_texts
from paddle_automl.inputs.text.fitting import CHUNK, cleaner_of, counted, fitted_to
from paddle_automl.inputs.text.learned import Learned
from paddle_automl.inputs.text.ngrams import encode
from paddle_automl.inputs.text.options import TextConfig, TextFitted, TokensConfig

log = logging.getLogger(__name__)

MOST_USED = 20_000
"""N-grams that are looked at for the most telling ones."""
LEAST_NGRAMS = 1000
"""N-grams of a text that a step of a training has in any case."""
SHOWN = 60
"""Most characters of a text in tables and logs."""


@INPUTS.register("text")
class TextInput(Input):
    """Texts in any language, as n-grams, tokens, or both."""

    Config: ClassVar[type[InputConfig]] = TextConfig
    Fitted: ClassVar[type[Fitted]] = TextFitted
    version: ClassVar[int] = 2
    packages: ClassVar[tuple[str, ...]] = ("jieba", "tokenizers", "opencc")
    word: ClassVar[str] = "text"
    media: ClassVar[Media | None] = Media("text", ("text/plain",), "characters", 20_000)
    smaller: ClassVar[str] = "max_length"

    fitted: TextFitted

    def __init__(self, fitted: TextFitted, source: Learned | Path | None = None) -> None:
        super().__init__(fitted)
        self._source = source
        self.files = TextReader()
        """Reads files of texts that are not in the data set."""

    # -- fitting ---------------------------------------------------------------------------------------------------
    @classmethod
    def reader(cls, config: TextConfig, *, sources: Sequence[Any] | None, items: np.ndarray | None) -> TextReader:
        """Return the reader of texts; items in memory are an object array ``[N]`` of texts."""
        if items is not None and (items.ndim != 1 or not all(isinstance(item, str) for item in items[:100])):
            raise DataError(f"data.dataset: texts must be an array [N] of texts, got {list(items.shape)}")
        return TextReader()

    @classmethod
    def reading_options(cls, config: Any) -> Any:
        """Return nothing: texts are kept as they are."""
        return None

    @classmethod
    def measure(cls, config: TextConfig, reader: Any, batches: Iterable[np.ndarray]) -> Statistics:
        """Return the n-grams with their counts, and the tokens, of the training texts."""
        return counted(config, batches)

    @classmethod
    def fit(cls, config: TextConfig, reader: Any, statistics: Statistics) -> Input:
        """Return the input with these n-grams and tokens."""
        return cls(*fitted_to(config, cls.name, statistics))

    # -- files -----------------------------------------------------------------------------------------------------
    @classmethod
    def restored(cls, fitted: TextFitted, folder: Path | None) -> Input:
        """Return the input of a record whose vocabularies are in `folder`; they are read when they are needed."""
        missing = [name for name in fitted.files if folder is None or not (folder / name).is_file()]
        if missing:
            raise BundleError(f"{folder}: the vocabulary {missing[0]} is missing; copy the whole folder again")
        return cls(fitted, folder)

    def save(self, folder: Path) -> None:
        """Write the vocabularies."""
        learned.write(self.learned.files(), folder)

    @cached_property
    def learned(self) -> Learned:
        """The vocabularies; raises BundleError for files that are not those of the record."""
        if isinstance(self._source, Learned):
            return self._source
        if self._source is None:
            raise BundleError("the vocabularies of this text input are missing; copy the whole folder again")
        return learned.read(self.fitted, self._source)

    # -- use -------------------------------------------------------------------------------------------------------
    def only(self, names: Sequence[str]) -> Input:
        """Return the input with some of its arrays, and only the vocabularies that these need."""
        fitted, source = self.fitted, self.learned
        missing = [name for name in names if name not in fitted.arrays]
        if missing:
            key, use = ("tokens", "characters") if missing[0] == "tokens" else ("ngrams", "auto")
            raise ConfigError(
                f"model.backbone: takes the array '{missing[0]}', but data.input.{key} is none; set it to {use}"
            )
        if "ngrams" in names and not sum(fitted.block_sizes):
            wanted = ", ".join(f"{block.name} in {block.min_count} or more" for block in fitted.blocks)
            raise ConfigError(
                f"data.input.ngrams: the {fitted.documents} training texts have none of the n-grams that are asked "
                f"for ({wanted} of them), from which to learn; use shorter ones, or a smaller min_count"
            )
        if "tokens" in names and fitted.unread:
            kind = self.tokens_kind
            log.warning(
                "%.0f%% of the %s of the training texts are never read: data.input.max_length is %d (n-grams read "
                "the whole text)",
                100 * fitted.unread, kind if kind in ("characters", "words") else "tokens", fitted.max_length,
            )  # fmt: skip
        if set(names) == set(fitted.arrays):
            return self
        blocks, tokens = "ngrams" in names, "tokens" in names
        kept = Learned(source.blocks if blocks else (), source.tokens if tokens else None)
        changes = {
            "arrays": tuple(name for name in fitted.arrays if name in names),
            "blocks": fitted.blocks if blocks else (),
            "block_sizes": fitted.block_sizes if blocks else (),
            "tokens": fitted.tokens if tokens else TokensConfig(kind="none"),
            "token_count": fitted.token_count if tokens else 0,
            "files": {name: fitted.files[name] for name in fitted.files if name in kept.files()},
        }
        return type(self)(fitted.model_copy(update=changes), kept)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Return ``tokens`` and ``ngrams``, int64, and ``ngram_weights``, each ``[L]`` with an open axis."""
        return tuple(
            TensorSpec(name, (None,), "float32" if name == "ngram_weights" else "int64")
            for name in self.fitted.arrays
        )

    @overload
    def rows(self, array: Literal["tokens", "ngrams"]) -> int: ...

    @overload
    def rows(self, array: str) -> int | None: ...

    def rows(self, array: str) -> int | None:
        """Return the rows of a table for ``tokens`` or ``ngrams``: the known ones, padding and unknown included."""
        return {"tokens": self.fitted.token_count, "ngrams": 1 + sum(self.fitted.block_sizes)}.get(array)

    def texts(self, array: str) -> list[str]:
        """Return the text of each row of such a table; that of padding is empty."""
        if array == "tokens":
            return [] if self.learned.tokens is None else self.learned.tokens.texts
        return ["", *(text for block in self.learned.blocks for text in block.texts)]

    @property
    def blocks(self) -> tuple[tuple[str, int, int], ...]:
        """The blocks of n-grams: name, first row, and the row after the last."""
        ends = np.cumsum([1, *self.fitted.block_sizes]).tolist()
        return tuple(
            (block.name, start, end) for block, start, end in zip(self.fitted.blocks, ends, ends[1:], strict=False)
        )

    @property
    def tokens_kind(self) -> str:
        """The kind of tokens: none, characters, words, trained or wordpiece."""
        return self.fitted.tokens.kind

    def read(self, source: Any) -> np.ndarray:
        """Return a text, or the content of a file, as an object array ``[]``."""
        return self.files(source)

    def extent(self, source: Any) -> int:
        """Return the number of characters of a text; of a file, or of bytes, the number of bytes."""
        return source.stat().st_size if isinstance(source, Path) else len(source)

    def encode(self, items: np.ndarray) -> dict[str, Ragged]:
        """Return the arrays of texts ``[N]``, not padded."""
        fitted, clean = self.fitted, self._clean
        parts: dict[str, list[Ragged]] = {name: [] for name in fitted.arrays}
        for start in range(0, max(len(items), 1), CHUNK):
            texts, words = [clean(str(item)) for item in items[start : start + CHUNK]], splitting_once(self._words)
            if "tokens" in parts:
                assert self.learned.tokens is not None
                parts["tokens"].append(self.learned.tokens.encode(texts, words, fitted.max_length, fitted.long))
            if "ngrams" in parts:
                rows, weights = encode(self.learned.blocks, texts, words)
                parts["ngrams"].append(rows)
                parts["ngram_weights"].append(weights)
        return {name: Ragged.joined(found) for name, found in parts.items()}

    def lengths(self, encoded: Mapping[str, Ragged]) -> np.ndarray:
        """Return the tokens of each text; texts of which not all tokens are read differ in their n-grams."""
        found = super().lengths(encoded)
        if not {"tokens", "ngrams"} <= set(self.fitted.arrays):
            return found
        return np.where(found < self.fitted.max_length, found, found + encoded["ngrams"].lengths)

    def shortened(self, arrays: Arrays, most: int) -> dict[str, np.ndarray]:
        """Return a batch in which long texts have their n-grams with the largest weights alone."""
        found = dict(arrays)
        if "ngrams" not in found:
            return found
        weights = found["ngram_weights"]
        count, longest = weights.shape
        others = sum(array.size for name, array in found.items() if name not in TextFitted.ARRAYS[1:])
        kept = max((most - others) // (2 * count), LEAST_NGRAMS)
        if longest > kept:
            # Weights of n-grams are above zero, those of padding, at the end, are zero.
            places = np.sort(np.argpartition(weights, longest - kept, axis=1)[:, longest - kept :], axis=1)
            found |= {name: np.take_along_axis(found[name], places, axis=1) for name in TextFitted.ARRAYS[1:]}
        return found

    def batch(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays of texts ``[B]``, padded to the longest of them."""
        found, rows = self.encode(items), np.arange(len(items))
        return {spec.name: found[spec.name].padded(rows, spec.dtype) for spec in self.specs}

    @cached_property
    def _clean(self) -> Callable[[str], str]:
        return cleaner_of(self.fitted)

    @cached_property
    def _words(self) -> Splitter:
        words = word_splitter(self.fitted.words)
        # Only words of jieba are kept; another splitter finds others in the same text.
        return TRAINING_WORDS.giving(words) if self.fitted.words == "jieba" else words

    def parts(self, arrays: Arrays) -> tuple[dict[str, np.ndarray], tuple[str, ...]] | None:
        """Return the n-grams of one text, each alone; tokens stay as they are."""
        if "ngrams" not in self.fitted.arrays:
            return None
        found, weights = arrays["ngrams"][0], arrays["ngram_weights"][0]
        known = np.flatnonzero(found)
        rows = {name: np.repeat(array, 1 + len(known), axis=0) for name, array in arrays.items()}
        for name, values in (("ngrams", found), ("ngram_weights", weights)):
            alone = np.zeros((1 + len(known), 1), values.dtype)
            alone[1:, 0] = values[known]
            rows[name] = alone
        texts = self.texts("ngrams")
        return rows, tuple(texts[row] for row in found[known].tolist())

    def used_parts(
        self, ragged: Callable[[str], Ragged]
    ) -> tuple[dict[str, np.ndarray], tuple[str, ...], np.ndarray] | None:
        """Return the n-grams of some texts, the most used first, and the sum of each one's weights."""
        if "ngrams" not in self.fitted.arrays:
            return None
        amounts = np.bincount(ragged("ngrams").values, ragged("ngram_weights").values, self.rows("ngrams"))
        known = np.argsort(-amounts, kind="stable")[: min(MOST_USED, int((amounts > 0).sum()))]
        alone = {
            "tokens": np.ones((1 + len(known), 1), np.int64),
            "ngrams": np.concatenate([[0], known])[:, None],
            "ngram_weights": (np.arange(1 + len(known), dtype=np.float32)[:, None] > 0).astype(np.float32),
        }
        texts = self.texts("ngrams")
        return (
            {name: alone[name] for name in self.fitted.arrays},
            tuple(texts[row] for row in known.tolist()),
            amounts[known],
        )

    def find(self, paths: Iterable[str | Path]) -> list[Any]:
        """Return texts, and the files that hold one; see `files.find_texts`."""
        return find_texts(paths)

    def describe(self, source: Any) -> str:
        """Return the beginning of a text in one line, or the name of a file."""
        if isinstance(source, Path):
            return str(source)
        line = " ".join(str(source).split()) or "(empty text)"
        return shown(line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}\u2026")

    def write(self, item: np.ndarray, stem: Path) -> Path:
        """Write a text to a .txt file in UTF-8."""
        path = stem.with_suffix(".txt")
        path.write_bytes(str(item).encode("utf-8", "surrogatepass"))
        return path

    def example(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return random rows: 32 tokens and 64 n-grams a text, those of a short review."""
        arrays: dict[str, np.ndarray] = {}
        for name in self.fitted.arrays:
            rows = self.rows(name)
            if rows is None:
                arrays[name] = rng.random((count, 64), dtype=np.float32) / 4
            else:
                arrays[name] = rng.integers(min(1, rows - 1), rows, (count, 32 if name == "tokens" else 64))
        return arrays

    def facts(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the number of characters of each text."""
        return {"characters": np.array([len(str(item)) for item in items], np.float64)}
