"""Tokens: the characters, words or parts of words that a network reads in order."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.extras import needed
from paddle_automl.core.files import open_regular
from paddle_automl.core.paths import located, readable
from paddle_automl.inputs.ragged import Ragged, offsets_of, spans
from paddle_automl.inputs.text.ngrams import Words, code_points
from paddle_automl.inputs.text.options import TokensConfig

UNKNOWN = "<unknown>"
FIRST = 2
"""Row of the first token of a vocabulary: 0 is padding, 1 is unknown."""
LARGEST_FILE = 64 << 20
"""Most bytes of a vocabulary file."""
PARTS = 4
"""Parts of a long text that ``windows`` reads."""


def cut(lengths: np.ndarray, most: int, long: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what is read of texts with so many tokens, int64 ``[N]``: places among all tokens, and lengths."""
    starts = offsets_of(lengths)[:-1]
    kept = np.minimum(lengths, most)
    places = spans(starts, kept)
    if long != "head" and (lengths > most).any():
        # Steps are cut in equal parts, of which each begins where its part of the text does.
        parts = 2 if long == "head_tail" else PARTS
        inner = spans(np.zeros(len(kept), np.int64), kept)
        part = np.minimum(inner * parts // most, parts - 1)
        jump = np.repeat(lengths - kept, kept) * part // (parts - 1)
        places = places + jump
    return places, kept


class Vocabulary(ABC):
    """Known tokens; `count` rows of a table of them, padding and unknown included."""

    file: str
    """Name of its file in a bundle."""

    @property
    @abstractmethod
    def texts(self) -> list[str]:
        """The text of each row: of padding an empty one."""

    @property
    def count(self) -> int:
        """Rows of a table of the tokens."""
        return len(self.texts)

    @abstractmethod
    def encode(self, texts: Sequence[str], words: Words, most: int, long: str) -> Ragged:
        """Return the tokens of cleaned texts as rows, int32, at least one for each text and at most `most`."""

    @abstractmethod
    def content(self) -> bytes:
        """Return the content of its file."""


class Listed(Vocabulary):
    """Tokens that are characters, or words."""

    file = "tokens.txt"

    def __init__(self, kind: str, known: Sequence[str]) -> None:
        self.kind = kind
        self.known = known

    @cached_property
    def texts(self) -> list[str]:
        """The text of each row."""
        return ["", UNKNOWN, *self.known]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {token: row for row, token in enumerate(self.known, start=FIRST)}

    @cached_property
    def _characters(self) -> tuple[np.ndarray, np.ndarray]:
        codes = np.array([ord(token) for token in self.known] or [0], np.uint32)
        order = np.argsort(codes)
        return codes[order], (order + FIRST).astype(np.int32)

    def encode(self, texts: Sequence[str], words: Words, most: int, long: str) -> Ragged:
        """Return the rows of the tokens; see the base class."""
        if self.kind == "words":
            found = [words(text) for text in texts]
            lengths = np.fromiter(map(len, found), np.int64, len(found))
            places, kept = cut(lengths, most, long)
            rows = self._rows
            every = np.fromiter((rows.get(word, 1) for of in found for word in of), np.int32, int(lengths.sum()))
            return never_empty(kept, every[places])
        codes, lengths = code_points(texts)
        places, kept = cut(lengths, most, long)
        known, rows_of = self._characters
        wanted = codes[places]
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return never_empty(kept, np.where(known[at] == wanted, rows_of[at], 1).astype(np.int32))

    def content(self) -> bytes:
        """Return a line for each token."""
        return "".join(f"{token}\n" for token in self.known).encode("utf-8", "surrogatepass")


class Pieces(Vocabulary):
    """Parts of words, found by the package tokenizers from its own file."""

    file = "tokenizer.json"

    def __init__(self, text: str, where: str) -> None:
        tokenizers = needed("tokenizers", "text", "data.input.tokens")
        self._text = text
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # noqa: BLE001  the package raises nothing more special
            raise DataError(f"{where}: is not a tokenizer.json: {error}") from None
        # A tokenizer of a network pads, cuts and adds marks; here none of it is wanted.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @cached_property
    def texts(self) -> list[str]:
        """The text of each row."""
        count = self._tokenizer.get_vocab_size(with_added_tokens=True)
        named = [self._tokenizer.id_to_token(number) for number in range(count)]
        return ["", UNKNOWN, *(name or UNKNOWN for name in named)]

    def encode(self, texts: Sequence[str], words: Words, most: int, long: str) -> Ragged:
        """Return the rows of the tokens; see the base class."""
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        rows = [np.asarray(item.ids, np.int32) for item in found]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        places, kept = cut(lengths, most, long)
        every = np.concatenate([np.empty(0, np.int32), *rows]) + FIRST
        unknown = self._unknown
        if unknown is not None:
            every = np.where(every == unknown + FIRST, 1, every)
        return never_empty(kept, every[places].astype(np.int32))

    @cached_property
    def _unknown(self) -> int | None:
        model = json.loads(self._text)["model"]
        if isinstance(model.get("unk_id"), int):
            return int(model["unk_id"])
        token = model.get("unk_token")
        return None if token is None else self._tokenizer.token_to_id(token)

    def content(self) -> bytes:
        """Return the package's own form."""
        return self._text.encode("utf-8")


def never_empty(lengths: np.ndarray, values: np.ndarray) -> Ragged:
    """Return rows in which an empty text has one unknown token."""
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        values = np.insert(values, offsets_of(lengths)[empty], 1)
        lengths = np.maximum(lengths, 1)
    return Ragged(offsets_of(lengths), values)


class TokenCounter:
    """Learns the tokens of a configuration from cleaned training texts."""

    def __init__(self, config: TokensConfig, words: Words, most: int) -> None:
        self.config = config
        self.words = words
        self.most = most
        self.whole = self.read = 0
        """Tokens of all texts, and those of them that are read."""
        self._counts: Counter[str] = Counter()
        self._texts: list[str] = []

    def add(self, texts: Sequence[str]) -> None:
        """Count some further texts."""
        kind = self.config.kind
        if kind in ("characters", "words"):
            split: Callable[[str], Iterable[str]] = self.words if kind == "words" else list
            for text in texts:
                found = list(split(text))
                self._counts.update(set(found))
                self._note(len(found))
        elif kind == "trained" and self.config.file is None:
            self._texts.extend(texts)

    def _note(self, length: int) -> None:
        self.whole += length
        self.read += min(length, self.most)

    def learned(self) -> str | list[str]:
        """Return the tokens, the most frequent first, or the text of a tokenizer's file."""
        config = self.config
        if config.kind == "none":
            return []
        if config.kind in ("characters", "words"):
            found = [(token, count) for token, count in self._counts.items() if count >= config.min_count]
            found.sort(key=lambda item: (-item[1], item[0]))
            return [token for token, _ in found[: config.most]]
        if config.file is not None:
            return given_file(config)
        return trained(self._texts, config)


def vocabulary_of(config: TokensConfig, learned: str | Sequence[str]) -> Vocabulary:
    """Return the vocabulary of what a `TokenCounter` has learned, or of the content of its file."""
    if config.kind in ("characters", "words"):
        return Listed(config.kind, list(learned))
    assert isinstance(learned, str)
    return Pieces(learned, "data.input.tokens.file" if config.file is None else config.file)


def trained(texts: Sequence[str], config: TokensConfig) -> str:
    """Return a tokenizer, as the package's JSON, that was trained on cleaned texts."""
    tokenizers = needed("tokenizers", "text", "data.input.tokens: trained")
    byte_pairs = config.model == "bpe"
    models, trainers = tokenizers.models, tokenizers.trainers
    made = tokenizers.Tokenizer(models.BPE(unk_token=UNKNOWN) if byte_pairs else models.Unigram())
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.decoder = tokenizers.decoders.Metaspace()
    options: dict[str, Any] = {"vocab_size": config.size, "special_tokens": [UNKNOWN], "show_progress": False}
    trainer = (
        trainers.BpeTrainer(**options) if byte_pairs else trainers.UnigramTrainer(**options, unk_token=UNKNOWN)
    )
    made.train_from_iterator(iter(texts), trainer, length=len(texts))
    return str(made.to_str())


def given_file(config: TokensConfig) -> str:
    """Return the tokenizer of a given file, as the package's JSON; raises ConfigError for a file that is none."""
    assert config.file is not None
    path, key = located(config.file), "data.input.tokens.file"
    text = _read(path, key)
    if config.kind == "trained":
        return Pieces(text, f"{key}: {readable(path)}").content().decode("utf-8")
    lines = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]
    known = {token: number for number, token in reversed(list(enumerate(lines)))}
    unknown = next((token for token in ("[UNK]", "<unk>", UNKNOWN) if token in known), None)
    if unknown is None or len(lines) < FIRST:
        raise ConfigError(
            f"{key}: '{readable(path)}' is not a WordPiece vocabulary: it needs a token per line, one of them [UNK]"
        )
    tokenizers = needed("tokenizers", "text", "data.input.tokens: wordpiece")
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(known, unk_token=unknown))
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    return str(made.to_str())


def _read(path: Path, key: str) -> str:
    try:
        with open_regular(path) as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{key}: cannot read '{readable(path)}': {error.strerror or error}") from None
    if len(raw) > LARGEST_FILE:
        raise ConfigError(
            f"{key}: '{readable(path)}' has more than {LARGEST_FILE >> 20} MB; a vocabulary is smaller"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{key}: '{readable(path)}' is not UTF-8 text") from None
