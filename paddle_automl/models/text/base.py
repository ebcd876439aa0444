"""The base of backbones that take texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, cast

from paddle import Tensor

from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import Backbone

TOKENS = ("tokens",)
NGRAMS = ("ngrams", "ngram_weights")


class Texts(Protocol):
    """What a backbone asks the input of texts for."""

    def rows(self, name: str) -> int:
        """Return the number of rows of the table of ``tokens`` or ``ngrams``, that of padding included."""

    def texts(self, name: str) -> Sequence[str]:
        """Return the text of each row; empty for padding."""


def texts_of(given: Input) -> Texts:
    """Return the input of a backbone of texts as such."""
    return cast(Texts, given)


class TextBackbone(Backbone):
    """A backbone of texts; `needs` names the arrays that it takes, see `inputs.text`."""

    takes: ClassVar[str] = "text"
    needs: ClassVar[tuple[str, ...]] = TOKENS

    @classmethod
    def arrays(cls, config: Any) -> tuple[str, ...] | None:
        """Return the names of the arrays."""
        return cls.needs

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map the arrays `needs` to features [N, F]."""
        raise NotImplementedError
