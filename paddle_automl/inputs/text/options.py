"""Options of the text input, and its fitted state."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import did_you_mean
from paddle_automl.core.schema import Section, Sequence
from paddle_automl.inputs.base import Fitted, InputConfig

Unit = Literal["characters", "words", "characters_in_words"]
Kind = Literal["none", "characters", "words", "trained", "wordpiece", "package"]
LONGEST_NGRAM = 8

_SHORT = re.compile(r"(characters|words|characters_in_words) +(\d+)(?: *- *(\d+))?")
SETS: dict[str, tuple[str, ...]] = {
    "characters": ("characters 1-3",),
    "characters_1_2": ("characters 1-2",),
    "characters_and_words": ("characters 1-3", "words 1"),
    "words": ("words 1-2",),
    "words_and_characters": ("words 1-2", "characters_in_words 2-5"),
}
"""Names for some lists of blocks of n-grams."""
NAMES = ("auto", "none", *SETS)
Named = Literal[
    "auto", "none", "characters", "characters_1_2", "characters_and_words", "words", "words_and_characters"
]


class Block(Section):
    """N-grams of one unit; the weights of a text's n-grams in a block have unit length."""

    unit: Unit
    """characters: of the whole text, spaces included; words; characters_in_words: of what stands between spaces,
    with a space on both sides."""

    lengths: Annotated[tuple[int, int], Strict(False)] = (1, 3)
    """Least and largest number of units in an n-gram."""

    min_count: int = Field(2, ge=1)
    """N-grams in fewer training texts than this are not known."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """Read the short form, such as ``characters 1-3``."""
        if not isinstance(value, str):
            return value
        found = _SHORT.fullmatch(value.strip())
        if found is None:
            raise PydanticCustomError(
                "stated",
                f"must be a unit and lengths, such as 'characters 1-3' (units: characters, words, "
                f"characters_in_words), got {value!r}",
            )
        unit, first, last = found.groups()
        # A word that occurs once is often a name or a number, but many of them tell a class.
        rare = {"min_count": 1} if unit == "words" else {}
        return {"unit": unit, "lengths": (int(first), int(last or first)), **rare}

    @model_validator(mode="after")
    def _rising(self) -> Block:
        first, last = self.lengths
        if not 1 <= first <= last <= LONGEST_NGRAM:
            raise PydanticCustomError(
                "stated", f"lengths must rise between 1 and {LONGEST_NGRAM}, got {first} and {last}"
            )
        return self

    @property
    def name(self) -> str:
        """The short form."""
        first, last = self.lengths
        return f"{self.unit} {first}" + (f"-{last}" if last > first else "")


class TokensConfig(Section):
    """The tokens that a network reads one after the other."""

    path_options: ClassVar[tuple[str, ...]] = ("file",)

    kind: Kind
    """none; characters; words; trained: parts of words (byte pairs) that are learned from the training texts, or
    a given tokenizer.json; wordpiece: a given vocabulary file; package: that of a pretrained network whose package
    is installed."""

    file: str | None = None
    """wordpiece: a vocabulary file with a token per line (parts within a word begin with ##). trained: a
    tokenizer.json; null learns the vocabulary."""

    size: int = Field(8000, ge=100, le=200_000)
    """trained: number of tokens to learn."""

    min_count: int = Field(2, ge=1)
    """characters, words: those in fewer training texts than this are unknown."""

    package: str | None = None
    """package: name of the package."""

    most: int = Field(20_000, ge=1, le=500_000)
    """The most frequent tokens that are known; of a given vocabulary those that occur in the training texts
    (a tokenizer.json of byte pairs or of whole words keeps all of its tokens)."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _file_fits(self) -> TokensConfig:
        if self.kind == "wordpiece" and self.file is None:
            raise PydanticCustomError("stated", "file: wordpiece needs a vocabulary file, with a token per line")
        if self.file is not None and self.kind not in ("wordpiece", "trained"):
            raise PydanticCustomError("stated", f"file: {self.kind} takes no file; use wordpiece or trained")
        if (self.package is None) == (self.kind == "package"):
            raise PydanticCustomError("stated", "package: names a package where kind is package, and only there")
        return self


def _ngrams(value: Any) -> Any:
    """Check a name of `SETS`, and make a list of a single block."""
    if value is None:
        return "none"
    if not isinstance(value, str) or value in NAMES:
        return value
    if _SHORT.fullmatch(value.strip()):
        return (value,)
    hint = did_you_mean(value, NAMES) or ";"
    raise PydanticCustomError(
        "stated",
        f"unknown n-grams '{value}'{hint} valid: {', '.join(NAMES)}, or a list such as [characters 1-3]",
    )


def _tokens(value: Any) -> Any:
    return "none" if value is None else value


class TextConfig(InputConfig):
    """What a network sees of a text: n-grams, tokens, or both, whichever the backbone takes."""

    unicode: Literal["NFKC", "NFC", "none"] = "NFKC"
    """Unicode form. NFKC writes full-width letters, digits and marks, and other variants, in their plain form."""

    case: Literal["lower", "keep"] = "lower"
    """Whether letters become small."""

    full_width: Literal["plain", "keep"] = "plain"
    """Whether full-width letters, digits and marks become plain ones; NFKC does so in any case."""

    chinese: Literal["keep", "simplified", "traditional"] = "keep"
    """Converts Chinese characters (extra `text`)."""

    words: Literal["auto", "spaces", "jieba"] = "auto"
    """How a text is split into words: at spaces and punctuation, where a Chinese character counts as a word, or by
    jieba (extra `text`), which knows Chinese words. auto takes jieba for Chinese and Japanese texts where it is
    installed; Korean ones have spaces."""

    ngrams: Annotated[Named | Sequence[Block], BeforeValidator(_ngrams)] = "auto"
    """N-grams that are counted in the whole text: none, a list of blocks such as [characters 1-3, words 1], or the
    name of one: characters (1-3), characters_1_2, characters_and_words, words (1-2), words_and_characters. auto:
    characters for Chinese and the like, else words_and_characters. Of fewer than 3,000 training texts the names
    know n-grams that occur in one text alone, too."""

    max_ngrams: int = Field(200_000, ge=10, le=2_000_000)
    """Most n-grams of a block that are known, by the number of training texts with them."""

    tokens: Annotated[Literal["auto"] | TokensConfig, BeforeValidator(_tokens)] = "auto"
    """Tokens for networks that read a text in order: none, characters, words, trained, wordpiece, or a mapping with
    these options. auto: characters for Chinese and the like, else words."""

    max_length: int = Field(256, ge=4, le=8192)
    """Most tokens of a text that are read; n-grams are counted in the whole text."""

    long: Literal["head", "head_tail", "windows"] = "head"
    """What is read of a text with more tokens: its beginning; its beginning and its end; four equal parts, spread
    over the text."""


class TextFitted(Fitted):
    """How a text is turned into the network's arrays. Vocabularies are files beside it."""

    unicode: Literal["NFKC", "NFC", "none"]
    """Unicode form."""
    case: Literal["lower", "keep"]
    """Whether letters become small."""
    full_width: Literal["plain", "keep"]
    """Whether full-width forms become plain ones."""
    chinese: Literal["keep", "simplified", "traditional"]
    """Conversion of Chinese characters."""
    words: Literal["spaces", "jieba"]
    """How a text is split into words."""
    blocks: Sequence[Block]
    """Blocks of n-grams."""
    block_sizes: Sequence[int]
    """Known n-grams of each block."""
    max_ngrams: int
    """Most n-grams of a block."""
    documents: int
    """Training texts in which n-grams were counted."""
    tokens: TokensConfig
    """Kind of tokens."""
    token_count: int
    """Rows of a table of tokens, padding and unknown included; 0 without tokens."""
    max_length: int
    """Most tokens of a text that are read."""
    long: Literal["head", "head_tail", "windows"]
    """What is read of a longer text."""
    unread: float = 0.0
    """Fraction of the training texts' tokens that were beyond `max_length`."""
    arrays: Sequence[str]
    """Names of the arrays that the network takes."""
    files: dict[str, str]
    """SHA-256 of each file with a vocabulary."""

    ARRAYS: ClassVar[tuple[str, ...]] = ("tokens", "ngrams", "ngram_weights")
