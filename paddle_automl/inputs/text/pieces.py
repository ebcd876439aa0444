"""Tokens that are parts of words, found by the package tokenizers."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.extras import needed
from paddle_automl.core.files import open_regular
from paddle_automl.core.paths import located, readable
from paddle_automl.inputs.ragged import Ragged
from paddle_automl.inputs.text.ngrams import Words
from paddle_automl.inputs.text.options import TokensConfig
from paddle_automl.inputs.text.tokens import FIRST, LARGEST_FILE, UNKNOWN, Vocabulary, cut, never_empty

log = logging.getLogger(__name__)

_SPACE = "\u2581"
"""What stands for a space in the package's Metaspace."""
_AT_ONCE = 4096
"""Texts that are encoded at a time."""


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
        # Ids are rows of a table; one beyond it would be read from somewhere else in memory.
        known = self._tokenizer.get_vocab(with_added_tokens=True)
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if known and max(known.values()) >= size:
            token = max(known, key=known.__getitem__)
            raise DataError(
                f"{where}: the ids of its {size} tokens must be 0 to {size - 1}, without gaps; "
                f"'{token}' has {known[token]}"
            )
        # A tokenizer of a network pads, cuts and adds marks; here none of it is wanted.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @cached_property
    def texts(self) -> list[str]:
        """The text of each row."""
        count = self._tokenizer.get_vocab_size(with_added_tokens=True)
        named = [self._tokenizer.id_to_token(number) for number in range(count)]
        return ["", UNKNOWN, *(name or UNKNOWN for name in named)]

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Return the number of tokens of each text, int64 ``[N]``."""
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return np.fromiter(map(len, found), np.int64, len(found))

    def counted(self, texts: Sequence[str]) -> np.ndarray:
        """Return how often each token occurs in texts, without padding and unknown, int64 ``[V]``."""
        counts = np.zeros(self.count - FIRST, np.int64)
        for start in range(0, len(texts), _AT_ONCE):
            some = list(texts[start : start + _AT_ONCE])
            for item in self._tokenizer.encode_batch_fast(some, add_special_tokens=False):
                counts += np.bincount(item.ids, minlength=len(counts)) if len(item.ids) else 0
        return counts

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


def trained(texts: Sequence[str], config: TokensConfig) -> str:
    """Return a tokenizer of byte pairs, as the package's JSON, that was trained on cleaned texts.

    Half of its tokens at most are characters, the most frequent ones. A Unigram model can be given, but is not
    learned: the package's training gives another one each time.
    """
    tokenizers = needed("tokenizers", "text", "data.input.tokens: trained")
    counts = Counter(character for text in texts for character in text.replace(" ", _SPACE))
    counts[_SPACE] += 1
    order = sorted(counts, key=lambda character: (-counts[character], character))
    alphabet = order[: config.size // 2]
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=UNKNOWN))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=config.size,
        special_tokens=[UNKNOWN],
        show_progress=False,
        initial_alphabet=sorted(alphabet),
        limit_alphabet=len(alphabet),
    )
    made.train_from_iterator(iter(texts), trainer, length=len(texts))
    return str(made.to_str())


def pieces_of(texts: Sequence[str], config: TokensConfig) -> str:
    """Return the tokenizer of a configuration for cleaned training texts, as the package's JSON.

    Of a given vocabulary only what occurs in the texts is kept, at most `config.most` pieces: a table has a row for
    each, and those of a large network mostly belong to other languages.
    """
    if config.kind == "package":
        assert config.package is not None
        from paddle_automl.inputs.text.packages import token_package

        return reduced(str(token_package(config.package).tokenizer_json()), texts, config.most)
    if config.kind == "wordpiece" or config.file is not None:
        return reduced(given_file(config), texts, config.most)
    return trained(texts, config)


def reduced(text: str, texts: Sequence[str], most: int) -> str:
    """Return a tokenizer with only the pieces that occur in `texts`, the most frequent ones.

    The best division of a text stays the best one among fewer pieces, where none that it has is left out: Unigram
    maximizes a sum, WordPiece takes the longest piece. Byte pairs are built from each other, and
    stay whole, as other kinds do; a warning tells if they are more than `most`.
    """
    made = Pieces(text, "data.input.tokens")
    counts = made.counted(texts)
    data = json.loads(text)
    model, added = data["model"], data.get("added_tokens") or []
    kind, vocabulary = model.get("type"), model.get("vocab")
    if kind not in ("Unigram", "WordPiece"):
        if len(counts) > most:
            log.warning(
                "data.input.tokens: all %d tokens of the given tokenizer (%s) are kept, not the %d that "
                "data.input.tokens.most allows: a vocabulary of this kind stays whole, and each takes a row in the "
                "table of a network",
                len(counts), kind or "unknown kind", most,
            )  # fmt: skip
        return text
    pieces = [piece for piece, _ in vocabulary] if kind == "Unigram" else sorted(vocabulary, key=vocabulary.get)
    special = {token["content"] for token in added if token.get("special")}
    unknown = pieces[model["unk_id"]] if kind == "Unigram" and model.get("unk_id") is not None else None
    fixed = {model.get("unk_token"), unknown}
    order = sorted((number for number in range(len(pieces)) if counts[number]), key=lambda n: (-counts[n], n))
    chosen = {pieces[number] for number in order[:most]} | {piece for piece in pieces if piece in fixed}
    kept = [number for number, piece in enumerate(pieces) if piece in chosen]
    if kind == "Unigram":
        model["vocab"] = [vocabulary[number] for number in kept]
        model["unk_id"] = None if unknown is None else [pieces[number] for number in kept].index(unknown)
    else:
        model["vocab"] = {pieces[number]: place for place, number in enumerate(kept)}
    places = {pieces[number]: place for place, number in enumerate(kept)}
    data["added_tokens"] = [
        {**token, "id": places[token["content"]]}
        for token in added
        if token["content"] in places and (token["content"] in special or token["content"] in fixed)
    ]
    # Marks around a text are not wanted, and may name pieces that are gone.
    data["post_processor"] = None
    return json.dumps(data, ensure_ascii=False)


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
