"""Replacement of characters or words, also by synonyms."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np
from pydantic import model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.paths import located, read_lines, readable
from paddle_automl.data.augment._texts import TextChange, TextChangeConfig, some_places
from paddle_automl.data.augment.base import AUGMENTATIONS

_MARKS = ("=", "#", "@")
"""Ends of the codes in front of the lines of Cilin, a dictionary of synonyms."""


@AUGMENTATIONS.register("text_replace")
class TextReplace(TextChange):
    """Replace random characters or words of a text by others of the batch's texts, or words by synonyms."""

    class Config(TextChangeConfig):
        """What is replaced, and by what."""

        path_options: ClassVar[tuple[str, ...]] = ("synonyms",)

        synonyms: str | None = None
        """File with synonyms: a line of words with spaces, tabs or commas between them, as in Cilin; words without
        one stay. Null takes characters or words of the batch's texts."""

        @model_validator(mode="after")
        def _of_words(self) -> TextReplace.Config:
            if self.synonyms is not None and self.unit != "words":
                raise PydanticCustomError("stated", "synonyms: needs unit: words")
            return self

    config: Config

    def changed(self, pieces: list[str], count: int, others: list[str], rng: np.random.Generator) -> list[str]:
        """Return the units, some of them replaced."""
        result = list(pieces)
        if self.config.synonyms is None:
            for place in some_places(pieces, count, rng):
                result[place] = others[int(rng.integers(len(others)))]
            return result
        known = dictionary(self.config.synonyms)
        able = [place for place, piece in enumerate(pieces) if piece in known]
        for place in rng.permutation(able)[:count].tolist() if able else ():
            choice = known[pieces[place]]
            result[place] = choice[int(rng.integers(len(choice)))]
        return result


@lru_cache(maxsize=2)
def dictionary(file: str) -> dict[str, tuple[str, ...]]:
    """Return the synonyms of each word in a file; raises ConfigError for a file that has none."""
    path = located(file)
    if not path.is_file():
        raise ConfigError(f"data.augment: synonyms: the file '{readable(path)}' does not exist")
    found: dict[str, set[str]] = {}
    for line in read_lines(path):
        words = line.replace(",", " ").split()
        if words and words[0].endswith(_MARKS):
            words = words[1:]
        for word in words:
            found.setdefault(word, set()).update(other for other in words if other != word)
    synonyms = {word: tuple(sorted(others)) for word, others in found.items() if others}
    if not synonyms:
        raise ConfigError(f"data.augment: synonyms: '{readable(path)}' has no line with two words")
    return synonyms
