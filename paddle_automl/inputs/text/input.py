"""Text input: n-grams with weights, and tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import BundleError, ConfigError, DataError
from paddle_automl.inputs.base import INPUTS, Arrays, Fitted, Input, InputConfig, Media, Statistics, TensorSpec
from paddle_automl.inputs.ragged import Ragged
from paddle_automl.inputs.text import learned
from paddle_automl.inputs.text.cleaning import cleaner, is_cjk, word_splitter
from paddle_automl.inputs.text.files import TextReader, find_texts
from paddle_automl.inputs.text.learned import Learned
from paddle_automl.inputs.text.ngrams import Counter, encode, symbols_of
from paddle_automl.inputs.text.ngrams import Vocabulary as Ngrams
from paddle_automl.inputs.text.options import SETS, Block, TextConfig, TextFitted, TokensConfig
from paddle_automl.inputs.text.pieces import Pieces, pieces_of
from paddle_automl.inputs.text.tokens import Listed, TokenCounter, Vocabulary

log = logging.getLogger(__name__)

SAMPLE = 1000
"""Texts, evenly spread, by which the language is found."""
CHUNK = 4096
"""Texts that are encoded at a time."""
MOST_USED = 20_000
"""N-grams that are looked at for the most telling ones."""
SHOWN = 60
"""Most characters of a text in tables and logs."""


@dataclass(frozen=True)
class Choices:
    """The options that `auto` leaves to the data, decided."""

    words: str
    blocks: tuple[Block, ...]
    tokens: TokensConfig


@INPUTS.register("text")
class TextInput(Input):
    """Texts in any language, as n-grams, tokens, or both."""

    Config: ClassVar[type[InputConfig]] = TextConfig
    Fitted: ClassVar[type[Fitted]] = TextFitted
    word: ClassVar[str] = "text"
    media: ClassVar[Media | None] = Media("text", ("text/plain",), "characters", 20_000)

    fitted: TextFitted

    def __init__(self, fitted: TextFitted, source: Learned | Path | None = None) -> None:
        super().__init__(fitted)
        self._source = source

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
        # An item alone is an array [] of one object.
        texts = [str(item) for items in batches for item in items]
        choices = _choices(config, texts)
        clean, words = _cleaner(config), word_splitter(choices.words)
        counters = [Counter(block) for block in choices.blocks]
        tokens = TokenCounter(choices.tokens, words, config.max_length)
        for start in range(0, len(texts), CHUNK):
            some = [clean(text) for text in texts[start : start + CHUNK]]
            units = {block.unit for block in choices.blocks}
            symbols = {unit: symbols_of(some, unit, words) for unit in sorted(units)}
            for counter in counters:
                counter.add(symbols[counter.block.unit])
            tokens.add(some)
        if tokens.read < tokens.whole:
            log.warning(
                "%.1f%% of the %s of the training texts are never read: data.input.max_length is %d (n-grams read "
                "the whole text)",
                100 * (1 - tokens.read / tokens.whole), choices.tokens.kind, config.max_length,
            )  # fmt: skip
        found = [counter.most(config.max_ngrams) for counter in counters]
        return {
            "documents": len(texts),
            "words": choices.words,
            "blocks": [block.model_dump(mode="json") for block in choices.blocks],
            "ngrams": [{"texts": "\n".join(known), "counts": counts} for known, counts in found],
            "tokens": choices.tokens.model_dump(mode="json"),
            "learned": _learned(tokens),
        }

    @classmethod
    def fit(cls, config: TextConfig, reader: Any, statistics: Statistics) -> Input:
        """Return the input with these n-grams and tokens."""
        blocks = [Block.model_validate(block) for block in statistics["blocks"]]
        documents = int(statistics["documents"])
        ngrams = tuple(
            Ngrams(
                block,
                tuple(found["texts"].split("\n")) if found["texts"] else (),
                np.array(found["counts"], np.int64),
                documents,
            )
            for block, found in zip(blocks, statistics["ngrams"], strict=True)
        )
        tokens = TokensConfig.model_validate(statistics["tokens"])
        vocabulary = _vocabulary(tokens, statistics["learned"])
        found = Learned(ngrams, vocabulary)
        arrays = ((TextFitted.ARRAYS[:1] if vocabulary else ()), (TextFitted.ARRAYS[1:] if ngrams else ()))
        if not any(arrays):
            raise ConfigError("data.input: ngrams and tokens are both none, so a network would see nothing")
        fitted = TextFitted(
            name=cls.name,
            unicode=config.unicode,
            case=config.case,
            full_width=config.full_width,
            chinese=config.chinese,
            words=statistics["words"],
            blocks=tuple(blocks),
            block_sizes=tuple(map(len, ngrams)),
            max_ngrams=config.max_ngrams,
            documents=documents,
            tokens=tokens,
            token_count=0 if vocabulary is None else vocabulary.count,
            max_length=config.max_length,
            long=config.long,
            arrays=(*arrays[0], *arrays[1]),
            files=learned.hashes(found.files()),
        )
        return cls(fitted, found)

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

    def rows(self, array: str) -> int:
        """Return the rows of a table for ``tokens`` or ``ngrams``: the known ones, padding and unknown included."""
        return self.fitted.token_count if array == "tokens" else 1 + sum(self.fitted.block_sizes)

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

    def stated(self) -> TextConfig:
        """Return the options with which other texts are read in the same way."""
        fitted = self.fitted
        same = {name: getattr(fitted, name) for name in TextConfig.model_fields if name in TextFitted.model_fields}
        return TextConfig(**{**same, "ngrams": fitted.blocks})

    def read(self, source: Any) -> np.ndarray:
        """Return a text, or the content of a file, as an object array ``[]``."""
        return TextReader()(source)

    def extent(self, source: Any) -> int:
        """Return the number of characters of a text; of a file, or of bytes, the number of bytes."""
        return source.stat().st_size if isinstance(source, Path) else len(source)

    def encode(self, items: np.ndarray) -> dict[str, Ragged]:
        """Return the arrays of texts ``[N]``, not padded."""
        fitted, clean, words = self.fitted, self._clean, self._words
        parts: dict[str, list[Ragged]] = {name: [] for name in fitted.arrays}
        for start in range(0, max(len(items), 1), CHUNK):
            texts = [clean(str(item)) for item in items[start : start + CHUNK]]
            if "tokens" in parts:
                assert self.learned.tokens is not None
                parts["tokens"].append(self.learned.tokens.encode(texts, words, fitted.max_length, fitted.long))
            if "ngrams" in parts:
                rows, weights = encode(self.learned.blocks, texts, words)
                parts["ngrams"].append(rows)
                parts["ngram_weights"].append(weights)
        return {name: Ragged.joined(found) for name, found in parts.items()}

    def batch(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays of texts ``[B]``, padded to the longest of them."""
        found, rows = self.encode(items), np.arange(len(items))
        return {spec.name: found[spec.name].padded(rows, spec.dtype) for spec in self.specs}

    @cached_property
    def _clean(self) -> Callable[[str], str]:
        return _cleaner(self.fitted)

    @cached_property
    def _words(self) -> Callable[[str], Sequence[str]]:
        return word_splitter(self.fitted.words)

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
            if name == "ngram_weights":
                arrays[name] = rng.random((count, 64), dtype=np.float32) / 4
            else:
                arrays[name] = rng.integers(1, max(self.rows(name), 2), (count, 32 if name == "tokens" else 64))
        return arrays

    def facts(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the number of characters of each text."""
        return {"characters": np.array([len(str(item)) for item in items], np.float64)}


def _learned(tokens: TokenCounter) -> str | list[str]:
    """Return the tokens that were counted, or the text of a tokenizer's file."""
    kind = tokens.config.kind
    if kind in ("none", "characters", "words"):
        return tokens.most()
    return pieces_of(tokens.texts, tokens.config)


def _vocabulary(config: TokensConfig, found: str | list[str]) -> Vocabulary | None:
    if config.kind == "none":
        return None
    return Pieces(found, "data.input.tokens") if isinstance(found, str) else Listed(config.kind, found)


def _cleaner(options: TextConfig | TextFitted) -> Callable[[str], str]:
    return cleaner(options.unicode, options.case, options.full_width, options.chinese)


def _choices(config: TextConfig, texts: Sequence[str]) -> Choices:
    """Return what `auto` stands for with these training texts."""
    cjk = is_cjk(texts[:: max(len(texts) // SAMPLE, 1)])
    if config.ngrams == "auto":
        names = SETS["characters" if cjk else "words_and_characters"]
        blocks = tuple(Block.model_validate(name) for name in names)
    else:
        blocks = tuple(config.ngrams)
    tokens = config.tokens
    if tokens == "auto":
        tokens = TokensConfig(kind="characters" if cjk else "words")
    if config.words == "auto":
        used = tokens.kind == "words" or any(block.unit == "words" for block in blocks)
        words = "jieba" if cjk and used else "spaces"
    else:
        words = config.words
    return Choices(words, blocks, tokens)
