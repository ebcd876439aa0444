"""What the text input learns from training texts, and its fitted state."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.inputs.base import Statistics
from paddle_automl.inputs.text.cleaning import TRAINING_WORDS, cleaner, is_cjk, is_unspaced, word_splitter
from paddle_automl.inputs.text.learned import Learned, check_sizes, hashes
from paddle_automl.inputs.text.ngrams import Counter, symbols_of
from paddle_automl.inputs.text.ngrams import Vocabulary as Ngrams
from paddle_automl.inputs.text.options import SETS, Block, TextConfig, TextFitted, TokensConfig
from paddle_automl.inputs.text.pieces import Pieces, pieces_of
from paddle_automl.inputs.text.tokens import Listed, TokenCounter, Vocabulary

log = logging.getLogger(__name__)

SAMPLE = 1000
"""Texts, evenly spread, by which the language, and the number of parts of words in a text, are found."""
FEW = 3000
"""Training texts below which n-grams that occur once are known, too: of few texts each says something."""
CHUNK = 4096
"""Texts that are counted or encoded at a time."""


@dataclass(frozen=True)
class Choices:
    """The options that `auto` leaves to the data, decided."""

    words: str
    blocks: tuple[Block, ...]
    tokens: TokensConfig


def counted(config: TextConfig, batches: Iterable[np.ndarray]) -> dict[str, Any]:
    """Return the n-grams with their counts, and the tokens, of training texts in batches."""
    # An item alone is an array [] of one object.
    texts = [str(item) for items in batches for item in items]
    choices = _choices(config, texts)
    clean, words = cleaner_of(config), word_splitter(choices.words)
    TRAINING_WORDS.clear()
    if choices.words == "jieba":
        words = TRAINING_WORDS.keeping(words)
    counters = [Counter(block) for block in choices.blocks]
    tokens = TokenCounter(choices.tokens, words, config.max_length)
    for start in range(0, len(texts), CHUNK):
        some = [clean(text) for text in texts[start : start + CHUNK]]
        units = {block.unit for block in choices.blocks}
        symbols = {unit: symbols_of(some, unit, words) for unit in sorted(units)}
        for counter in counters:
            counter.add(symbols[counter.block.unit])
        tokens.add(some)
    found = [counter.most(config.max_ngrams) for counter in counters]
    learned = _learned(tokens)
    return {
        "documents": len(texts),
        "words": choices.words,
        "blocks": [block.model_dump(mode="json") for block in choices.blocks],
        "ngrams": [{"texts": "\n".join(known), "counts": counts} for known, counts in found],
        "tokens": choices.tokens.model_dump(mode="json"),
        "learned": learned,
        "unread": 1 - tokens.read / tokens.whole if tokens.whole else 0.0,
    }


def fitted_to(config: TextConfig, name: str, statistics: Statistics) -> tuple[TextFitted, Learned]:
    """Return the fitted state, and the vocabularies, of what was counted."""
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
    if tokens.file is not None:
        # The vocabulary itself is kept; where its file was makes no other input.
        tokens = tokens.model_copy(update={"file": os.path.basename(tokens.file)})
    vocabulary = _vocabulary(tokens, statistics["learned"])
    found = Learned(ngrams, vocabulary)
    files = found.files()
    arrays = ((TextFitted.ARRAYS[:1] if vocabulary else ()), (TextFitted.ARRAYS[1:] if ngrams else ()))
    if not any(arrays):
        raise ConfigError("data.input: ngrams and tokens are both none, so a network would see nothing")
    fitted = TextFitted(
        name=name,
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
        unread=round(statistics["unread"], 2),
        arrays=(*arrays[0], *arrays[1]),
        files=hashes(files),
    )
    check_sizes(files, fitted)
    return fitted, found


def _learned(tokens: TokenCounter) -> str | list[str]:
    """Return the tokens that were counted, or the text of a tokenizer's file, whose tokens are counted here."""
    kind = tokens.config.kind
    if kind in ("none", "characters", "words"):
        return tokens.most()
    text = pieces_of(tokens.texts, tokens.config)
    for length in Pieces(text, "data.input.tokens").lengths(_some(tokens.texts)).tolist():
        tokens.note(length)
    return text


def _some(texts: Sequence[str]) -> Sequence[str]:
    """Return about `SAMPLE` texts, evenly spread."""
    return texts[:: max(len(texts) // SAMPLE, 1)]


def _vocabulary(config: TokensConfig, found: str | list[str]) -> Vocabulary | None:
    if config.kind == "none":
        return None
    return Pieces(found, "data.input.tokens") if isinstance(found, str) else Listed(config.kind, found)


def cleaner_of(options: TextConfig | TextFitted) -> Callable[[str], str]:
    """Return the function that cleans a text by some options."""
    return cleaner(options.unicode, options.case, options.full_width, options.chinese)


def _choices(config: TextConfig, texts: Sequence[str]) -> Choices:
    """Return what `auto` stands for with these training texts."""
    some = _some(texts)
    cjk = is_cjk(some)
    name = config.ngrams
    if isinstance(name, str):
        if name == "auto":
            name = "characters" if cjk else "words_and_characters"
        blocks = tuple(Block.model_validate(block) for block in SETS.get(name, ()))
        if len(texts) < FEW:
            blocks = tuple(block.model_copy(update={"min_count": 1}) for block in blocks)
    else:
        blocks = tuple(name)
    tokens = config.tokens
    if tokens == "auto":
        tokens = TokensConfig(kind="characters" if cjk else "words")
    if config.words == "auto":
        used = tokens.kind == "words" or any(block.unit == "words" for block in blocks)
        # Korean has spaces between words; jieba would cut it into single syllables.
        wanted = cjk and used and is_unspaced(some)
        words = "jieba" if wanted and find_spec("jieba") else "spaces"
        if wanted and words == "spaces":
            log.warning(
                "jieba is not installed, so that single characters are taken for Chinese words: "
                'pip install "paddle_automl[text]"'
            )
    else:
        words = config.words
    return Choices(words, blocks, tokens)
