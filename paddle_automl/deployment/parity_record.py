"""The record of a parity check in ``bundle.yaml``: its figures, its limits and its verdict."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from paddle_automl.core.schema import Section

ROUNDING = 1e-3
"""Differences up to this may come from the order of float32 additions alone."""

SCORE_FACTOR = 1000
"""Allowed difference of a rejection score, in units of its standard deviation, over the allowed difference of
outputs: 1% of the deviation for 1e-5."""

DROP_ROUNDING = 1e-9
"""A drop of a metric may exceed its limit by this, which is rounding."""

DEVIATIONS = 3
"""Standard deviations of a count that are taken for chance: a sound format exceeds them about once in 1000."""

Source = Literal["original files", "written files", "none"]


def most_different(items: int, required: float) -> int:
    """Return how many of `items` may have another answer where the fraction `required` agrees on a larger set.

    Drawn at random they have ``(1 - required) * items`` on average; up to `DEVIATIONS` standard deviations more,
    rounded up, are chance: 2 of 5 and 71 of 1000 for 0.95. None may differ where all have to agree.
    """
    different = 1.0 - required
    if different <= 0:
        return 0
    chance = DEVIATIONS * math.sqrt(different * required * items)
    return min(items, math.ceil(different * items + chance))


def keeps_answers(agreement: float, min_agreement: float, drop: float | None, max_drop: float | None) -> bool:
    """Return whether a format's answers for the validation split, and its main metric, are within their limits.

    The parity check and the repair of formats in 8 bits both ask this, so that what one accepts passes the other.
    """
    kept = max_drop is None or (drop is not None and drop <= max_drop + DROP_ROUNDING)
    return agreement >= min_agreement and kept


class ParityRecord(Section):
    """Result of the parity check: how far the exported network's outputs are from the trained network's.

    The trained network runs as a dynamic graph in float32; the exported one is the one that users of the bundle
    run.
    """

    samples: int
    """Items compared: the whole validation split."""

    agreement: float
    """Fraction of the items of the split for which both give the same answer; that of the items which were read
    again from files, or given alone, if these agree less often than chance explains (see `most_different`)."""

    largest_difference: float
    """Largest absolute difference between two outputs of the same item, in units of the output's scale."""

    not_finite: int = 0
    """Items for which either of the two has an output that is NaN or infinite."""

    raw_files: int
    """Items that the bundle read from files by itself."""

    raw_source: Source
    """Whether those were the data set's own files, or items of an array data set written to files."""

    raw_largest_difference: float | None
    """Largest absolute difference on those files."""

    scale: float = Field(default=1.0, gt=0)
    """Scale of the outputs: 1 for probabilities; for numbers that of the targets, the largest of all columns."""

    max_difference: float | None
    """Allowed difference, in the same units (``deployment.parity.max_difference``); none: any difference."""

    min_agreement: float
    """Required agreement (``deployment.parity.min_agreement``)."""

    worst_index: int | None
    """Row in the validation split with the largest difference."""

    worst_item: str | None
    """Its file or name, if the data set has them."""

    worst: str
    """The largest difference in words: item, output, both values."""

    metric: str | None = None
    """The task's main metric, such as accuracy."""

    score_difference: float | None = None
    """Largest difference of the rejection score, in units of its standard deviation; none without one."""

    value: float | None = None
    """Its value for the exported network on the validation split; none if it cannot be computed."""

    network_value: float | None = None
    """Its value for the trained network."""

    drop: float | None = None
    """How much worse the exported network's value is; negative if it is better."""

    max_drop: float | None = None
    """Largest allowed drop, in the metric's unit; none if equal outputs are required."""

    verified: bool
    """Whether all limits hold."""

    subject: str | None = None
    """SHA-256 over the hashes of the format's files, the input and the task that were checked: a record that was
    copied from another bundle has another one. None for a bundle of an earlier version."""

    @property
    def within_limits(self) -> bool:
        """Whether the recorded values are within the recorded limits; equals `verified` in an intact record."""
        return (
            self.samples > 0
            and self.not_finite == 0
            and keeps_answers(self.agreement, self.min_agreement, self.drop, self.max_drop)
            and not self.outputs_differ
            and not self.scores_differ
        )

    @property
    def _largest(self) -> float:
        return max(self.largest_difference, self.raw_largest_difference or 0.0)

    @property
    def outputs_differ(self) -> bool:
        """Return whether the outputs differ too much for an exact format."""
        return self.max_difference is not None and not self._largest <= self.max_difference

    @property
    def scores_differ(self) -> bool:
        """Return whether the rejection scores differ too much for an exact format."""
        if self.max_difference is None or self.score_difference is None:
            return False
        return self.score_difference > SCORE_FACTOR * self.max_difference

    def describe(self) -> str:
        """Return one sentence for users: the verdict, the numbers, the worst item, what to do."""
        scores = ""
        if self.max_drop is not None and self.value is not None and self.network_value is not None:
            scores = f"{self.metric} {self.value:.4f} after {self.network_value:.4f} (may lose {self.max_drop:g}), "
        broken = f"{self.not_finite} items without finite outputs, " if self.not_finite else ""
        if self.scores_differ:
            broken += f"rejection score differs by {self.score_difference:.2e} of its deviation, "
        limit = "any" if self.max_difference is None else f"{self.max_difference:g}"
        unit = "" if self.scale == 1 else " of their scale"
        return (
            f"{'verified' if self.verified else 'NOT verified'}: {self.samples} items and {self.raw_files} files "
            f"({self.raw_source}), agreement {self.agreement:.4f} (required {self.min_agreement:g}), {scores}"
            f"{broken}largest difference of outputs {self._largest:.2e}{unit} (allowed {limit}); "
            f"worst: {self.worst}{self._advice()}"
        )

    def _advice(self) -> str:
        different = self.agreement < self.min_agreement or self._largest > ROUNDING
        if self.verified or different or self.not_finite or not self.samples:
            return ""
        return (
            "; the answers agree, and such a small difference is normal float32 rounding in a deep network: "
            "deployment.parity.max_difference sets the limit"
        )
