"""Records of ``bundle.yaml`` about the data, the calibration of answers and the refusal of unknown items."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Annotated

import numpy as np
from pydantic import Field

from paddle_automl.core.display_text import by_name
from paddle_automl.core.schema import Plugin, PluginConfig, Section, Sequence
from paddle_automl.deployment.rejection.base import SCORES
from paddle_automl.tasks.calibration import LEAST_ITEMS


class CalibrationRecord(Section):
    """How well the probabilities match the fractions of right answers, on the validation split."""

    temperature: float
    """Temperature by which the raw outputs are divided before the softmax, in every format."""

    items: int
    """Validation items."""

    held_out: bool
    """Whether the network was not trained on them; if it was, new items have other errors."""

    error_before: float
    """Expected calibration error with 15 bins (Guo et al. 2017) at temperature 1."""

    error_after: float
    """The same at the temperature of the bundle."""

    loss_before: float
    """Cross entropy in nats at temperature 1."""

    loss_after: float
    """The same at the temperature of the bundle."""

    def describe(self) -> str:
        """Return one sentence for users."""
        if self.temperature == 1:
            few = self.items < LEAST_ITEMS
            why = f"fitted with at least {LEAST_ITEMS} validation items" if few else "no other was better"
            text = f"expected calibration error {self.error_after:.4f} on {self.items} validation items"
            return f"temperature 1 ({why}), {text}"
        seen = "" if self.held_out else "; the network was trained on these items, so new ones have other errors"
        return (
            f"temperature {self.temperature:.3f}, expected calibration error {self.error_before:.4f} before, "
            f"{self.error_after:.4f} after, on {self.items} validation items{seen}"
        )


class IntervalsRecord(Section):
    """How many true numbers lie in the intervals, on the validation split."""

    target: float
    """Fraction of the items that is asked for."""

    items: int
    """Validation items."""

    held_out: bool
    """Whether the network was not trained on them; if it was, fewer of new items lie in the intervals."""

    coverage: dict[str, float]
    """Fraction of the items whose true number lies in the interval; by column."""

    coverage_before: dict[str, float]
    """The same for the intervals of the network, before they are widened."""

    def describe(self) -> str:
        """Return one sentence for users."""
        after, before = (by_name(found, "{:.3f}".format) for found in (self.coverage, self.coverage_before))
        seen = "" if self.held_out else "; the network was trained on these items, so fewer of new ones do"
        return (
            f"{self.target:g} of the true numbers are to lie in them; of {self.items} validation items "
            f"{after} do (by the network alone {before}){seen}"
        )


class ScoreRecord(Section):
    """How well a rejection score tells items of withheld classes from known ones."""

    auroc: float
    """Area under the ROC curve: probability that a known item has a larger score than one of a withheld class."""

    shift: float = 0.0
    """Threshold on held-out items less that on items of the training; at most 0. It is added to the threshold of a
    network that was trained on the validation items too."""

    refused: float
    """Fraction of the items of withheld classes that are refused where `keep` of the known are kept."""


class Choice(Section):
    """The chosen rejection score, and what was measured to choose it."""

    score: Annotated[PluginConfig, Plugin(SCORES)]
    """The score."""

    tried: dict[str, ScoreRecord] = Field(default_factory=dict)
    """All scores, as measured; empty if none was."""

    withheld: Sequence[str] = ()
    """The classes whose items were the strangers."""


class RejectionRecord(Section):
    """When an item belongs to none of the classes: the score and its thresholds."""

    score: Annotated[PluginConfig, Plugin(SCORES)]
    """The score; larger for items that look like the known classes."""

    keep: float
    """Fraction of the validation items that must not be refused."""

    thresholds: dict[str, float] = Field(default_factory=dict)
    """Items with a smaller score are refused; by format."""

    kept: dict[str, float] = Field(default_factory=dict)
    """Fraction of the validation items that are not refused; by format."""

    items: int = 0
    """Validation items."""

    held_out: bool = True
    """Whether the network was not trained on them; if it was, the threshold is lowered by the `shift` of the score,
    or, if that is not known, more of new known items are refused than of these."""

    auroc: float | None = None
    """That of the score; see `tried`."""

    refused: float | None = None
    """That of the score; see `tried`."""

    tried: dict[str, ScoreRecord] = Field(default_factory=dict)
    """All scores, measured on validation with a network that was trained without some of the classes, for less time
    than the network in the bundle."""

    withheld: Sequence[str] = ()
    """Those classes."""

    def scores(self, outputs: Items[np.ndarray]) -> np.ndarray:
        """Return the score of each item, float64 ``[N]``, from all outputs of an exported network."""
        score = SCORES[self.score.name](self.score)
        if score.needs == "outputs":
            return score(outputs[0], {})
        return np.asarray(outputs[1], dtype=np.float64).reshape(len(outputs[0]))

    def describe(self) -> str:
        """Return one sentence for users."""
        kept = next(iter(self.kept.values()), None)
        text = f"{self.score.name}" + (
            "" if kept is None else f" keeps {kept:.3f} of {self.items} validation items"
        )
        if self.auroc is None or self.refused is None:
            return f"{text}; not measured on items of other classes"
        return (
            f"{text}; refuses {self.refused:.3f} of the items of {len(self.withheld)} withheld classes "
            f"(AUROC {self.auroc:.3f})"
        )


class DataRecord(Section):
    """The data that the network was made from."""

    items: int
    """All items."""

    splits: dict[str, int]
    """Items of each split."""

    fingerprint: str
    """SHA-256 over the content, the target and the split of all items."""
