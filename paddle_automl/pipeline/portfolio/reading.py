"""The shipped first trials: reading them, and choosing those for given data and time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field

from paddle_automl.core.loading import validate
from paddle_automl.core.schema import Section, Sequence
from paddle_automl.core.yaml_io import read_yaml

FILE = Path(__file__).with_name("images.yaml")
PIXELS = 32 * 32
"""Pixels of the images to which the speeds in the file refer."""


class Speed(Section):
    """Factors of the speeds of the widths."""

    amx: float = Field(gt=0)
    """Factor with AMX."""
    float32: float = Field(gt=0)
    """Factor without bfloat16."""


class TrialLength(Section):
    """How long a trial is."""

    share: float = Field(gt=0, lt=1)
    """Fraction of the budget."""
    without_budget_s: float = Field(gt=0)
    """Seconds of a trial without a budget."""
    least_epochs: int = Field(ge=1)
    """Fewest epochs."""
    most_epochs: int = Field(ge=1)
    """Most epochs."""


class WidthRow(Section):
    """A width, and how many images a trial must see for it, and how often."""

    width: float
    """Factor of the channels."""
    images: float = Field(ge=0)
    """Training images times epochs."""
    epochs: float = Field(default=0, ge=0)
    """Epochs."""
    speed: float = Field(gt=0)
    """Images of 32 x 32 pixels per second of one core."""


class BatchRow(Section):
    """A batch size, and the training images from which it holds."""

    items: int
    """Training images."""
    batch_size: int
    """Items per step."""


class RateRow(Section):
    """A learning rate, and the steps of a trial from which it holds."""

    steps: int
    """Steps of a trial."""
    learning_rate: float
    """That of the kernels, in decoupled units."""


class RefitRow(Section):
    """How long a refit is, and its rate; and the training images from which that holds."""

    items: int
    """Training images."""
    rate_power: float = Field(0.0, ge=0, le=1)
    """See `refit.rate_power`."""
    most_epochs: int | None = None
    """See `refit.most_epochs`."""


class Kind(Section):
    """A kind of data, with the first trial and changes of it."""

    name: str
    """For readers of the file."""
    channels: int | None = None
    """Channels of its images; none: any."""
    pixels: int | None = None
    """Most pixels of the short side; none: any number."""
    first: dict[str, Any]
    """The first trial: options by dotted key."""
    long: dict[str, Any] = Field(default_factory=dict)
    """Other values of it in trials of `Portfolio.long_from_epochs` epochs and more."""
    others: Sequence[dict[str, Any]] = ()
    """Changes of the first trial that are tried next."""

    def holds(self, facts: ImageFacts) -> bool:
        """Return whether data are of this kind."""
        channels, height, width = facts.shape
        return self.channels in (None, channels) and (self.pixels is None or min(height, width) <= self.pixels)


class Portfolio(Section):
    """The whole file."""

    speed: Speed
    """Speed of training."""
    trial: TrialLength
    """Length of a trial."""
    widths: Sequence[WidthRow]
    """From the widest on."""
    batch_sizes: Sequence[BatchRow]
    """From the smallest number of images on."""
    learning_rates: Sequence[RateRow]
    """From the smallest number of steps on."""
    refits: Sequence[RefitRow]
    """From the smallest number of images on."""
    long_from_epochs: int
    """Epochs from which a trial is long."""
    kinds: Sequence[Kind]
    """The first that holds is used."""


@dataclass(frozen=True)
class ImageFacts:
    """What is known about the data before any item is read in full, and about the processor."""

    shape: tuple[int, int, int]
    """Channels, height and width."""
    items: int
    """Training images."""
    processor: frozenset[str] = field(default_factory=frozenset)
    """Flags of the processor."""


@dataclass(frozen=True)
class FirstTrials:
    """The first trials for some data: `values` are options by dotted key, `others` changes of them."""

    values: dict[str, Any]
    others: tuple[dict[str, Any], ...]
    recipe: dict[str, float | None]
    """Epochs, batch size and more, by dotted key, for a configuration that does not state them."""


@lru_cache(maxsize=1)
def shipped() -> Portfolio:
    """Return the shipped portfolio."""
    return validate(Portfolio, *read_yaml(FILE))


def first_trials(facts: ImageFacts, budget_s: float | None) -> FirstTrials:
    """Return the first trials for data and a budget in seconds; None: no limit.

    They depend on nothing else, so that a search that is continued begins with the same.
    """
    found = shipped()
    kind = next(kind for kind in found.kinds if kind.holds(facts))
    trial_s = found.trial.without_budget_s if budget_s is None else found.trial.share * budget_s
    width, speed = _width(found, facts, trial_s)
    fitting = int(trial_s * speed / max(facts.items, 1))
    epochs = min(max(fitting, found.trial.least_epochs), found.trial.most_epochs)
    batch = [row.batch_size for row in found.batch_sizes if row.items <= facts.items][-1]
    steps = epochs * max(facts.items // batch, 1)
    values = {
        "model.backbone.width": width,
        "training.optimizer.learning_rate": [r.learning_rate for r in found.learning_rates if r.steps <= steps][-1],
        **kind.first,
        **(kind.long if epochs >= found.long_from_epochs else {}),
    }
    refit = [row for row in found.refits if row.items <= facts.items][-1]
    recipe = {
        "training.epochs": epochs,
        "training.batch_size": batch,
        "refit.rate_power": refit.rate_power,
        "refit.most_epochs": refit.most_epochs,
    }
    return FirstTrials(values, tuple(kind.others), recipe)


def _width(portfolio: Portfolio, facts: ImageFacts, trial_s: float) -> tuple[float, float]:
    """Return the width of a trial's network, and the images per second with it."""
    _, height, width = facts.shape
    for row in portfolio.widths:
        speed = row.speed * _factor(portfolio.speed, facts) * PIXELS / (height * width)
        # What a trial cannot use, because it has enough epochs, does not speak for a wide network.
        seen = min(trial_s * speed, portfolio.trial.most_epochs * facts.items)
        if seen >= max(row.images, row.epochs * facts.items):
            return row.width, speed
    raise AssertionError("the last row holds for any time")


def _factor(speed: Speed, facts: ImageFacts) -> float:
    if "amx_bf16" in facts.processor:
        return speed.amx
    return 1.0 if "avx512_bf16" in facts.processor else speed.float32
