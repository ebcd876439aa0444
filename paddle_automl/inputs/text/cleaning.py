"""From a text as it was read to the text whose n-grams and tokens are counted."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal

from paddle_automl.core.extras import needed

_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b\ufeff]+")
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
"""Chinese and Japanese characters, between which no spaces tell where words end."""
_LETTERS = f"(?:(?![{_UNSPACED}])\\w)+"
_WORDS = re.compile(f"[{_UNSPACED}]|{_LETTERS}(?:['\u2019]{_LETTERS})*|[^\\w\\s]")
_FULL_WIDTH = {0x3000: 0x20} | {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
MOST_HELD = 10_000_000
"""Most characters of texts whose words are kept."""
Form = Literal["NFKC", "NFC", "none"]
Splitter = Callable[[str], Sequence[str]]
"""Splits a cleaned text into words."""
CJK = re.compile(f"[{_UNSPACED}\uac00-\ud7af]")
"""Characters of languages that are written without spaces between words, or that carry as much as a word."""
UNSPACED = re.compile(f"[{_UNSPACED}]")
"""Those between which no spaces tell where words end: Chinese and Japanese ones, not Korean ones."""


def cleaner(unicode: Form, case: str, full_width: str, chinese: str) -> Callable[[str], str]:
    """Return the function that cleans a text; spaces and control characters become single spaces.

    Raises UnsupportedError that names the extra if a package is missing.
    """
    convert = None if chinese == "keep" else _converter(chinese)

    def clean(text: str) -> str:
        if unicode != "none" and not text.isascii():
            text = unicodedata.normalize(unicode, text)
        if full_width == "plain" and not text.isascii():
            text = text.translate(_FULL_WIDTH)
        if case == "lower":
            text = text.lower()
        if convert is not None:
            text = convert(text)
        return _SPACES.sub(" ", text).strip()

    return clean


@lru_cache(maxsize=2)
def _converter(chinese: str) -> Callable[[str], str]:
    opencc = needed("opencc", "text", f"data.input.chinese: {chinese}")
    converter: Any = opencc.OpenCC("t2s" if chinese == "simplified" else "s2t")
    return lambda text: str(converter.convert(text))


def split_words(text: str) -> list[str]:
    """Return words and punctuation marks, split at spaces; a Chinese or Japanese character is a word of its own."""
    return _WORDS.findall(text)


def word_splitter(name: str) -> Splitter:
    """Return the function that splits a cleaned text into words."""
    return split_words if name == "spaces" else split_chinese


def split_chinese(text: str) -> list[str]:
    """Return the words that jieba finds."""
    return [word for word in _jieba()(text) if not word.isspace()]


class KeptWords:
    """Words of texts that will be split once more, of at most `most` characters of texts."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.clear()

    def clear(self) -> None:
        """Forget all words, such as those of earlier texts that nobody asked for."""
        self.held = 0
        """Characters of the texts whose words are kept."""
        self._words: dict[str, tuple[str, ...]] = {}

    def keeping(self, split: Splitter) -> Splitter:
        """Return a function that splits as `split` does, and keeps the words."""

        def words(text: str) -> Sequence[str]:
            found = self._words.get(text)
            if found is None:
                found = tuple(map(sys.intern, split(text)))
                if self.held + len(text) <= self.most:
                    self._words[text] = found
                    self.held += len(text)
            return found

        return words

    def giving(self, split: Splitter) -> Splitter:
        """Return a function that gives the words that were kept, once, and splits other texts with `split`."""

        def words(text: str) -> Sequence[str]:
            found = self._words.pop(text, None)
            if found is None:
                return split(text)
            self.held -= len(text)
            return found

        return words


TRAINING_WORDS = KeptWords(MOST_HELD)
"""Words of training texts that jieba has found. The texts are split when their words are counted, and again when
they are encoded; jieba takes most of the time of both. What is handed on in between is stored, and cannot hold
these."""


def splitting_once(split: Splitter) -> Splitter:
    """Return `split` with a cache: a text that is needed several times is split once."""
    known: dict[str, Sequence[str]] = {}

    def words(text: str) -> Sequence[str]:
        found = known.get(text)
        if found is None:
            found = known[text] = split(text)
        return found

    return words


def chinese_pieces(text: str) -> list[str]:
    """Return the words that jieba finds, with the spaces between them, which make up the text."""
    return list(_jieba()(text))


@lru_cache(maxsize=1)
def _jieba() -> Callable[[str], Iterable[str]]:
    jieba = needed("jieba", "text", "data.input.words: jieba")
    jieba.setLogLevel(60)
    cut: Callable[[str], Iterable[str]] = jieba.cut
    return cut


def is_cjk(texts: Sequence[str]) -> bool:
    """Return whether most of the texts' letters are Chinese, Japanese or Korean."""
    joined = "".join(texts)
    letters = sum(map(str.isalpha, joined))
    # A Chinese character stands for about as much as two letters.
    return 2 * len(CJK.findall(joined)) > letters - len(CJK.findall(joined))


def is_unspaced(texts: Sequence[str]) -> bool:
    """Return whether more of the texts' characters are Chinese or Japanese than Korean."""
    joined = "".join(texts)
    return 2 * len(UNSPACED.findall(joined)) > len(CJK.findall(joined))
