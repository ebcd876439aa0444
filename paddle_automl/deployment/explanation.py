"""What parts of an item, such as the n-grams of a text, have said for and against an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.tasks.base import Task

if TYPE_CHECKING:
    from paddle_automl.data.splits import Split

TOLERANCE = 2e-3
"""Largest difference between a score and the sum of its parts, relative to the largest part: float32 rounding."""
_SMALLEST = 1e-37
_LARGEST = 1 - 2**-24
"""Largest probability below 1 in float32."""
SURE = 11.5
"""Log-odds of the probability 0.99999; larger ones are not known to a hundredth from a probability in float32."""
TRIED = 8
"""Items of a split on which it is tried whether a network is a sum."""
AT_ONCE = 2048
"""Parts that are run in one batch."""


@dataclass(frozen=True)
class Explanation:
    """Scores of one item as a sum: ``total = base + contributions.sum(axis=0)``, float64 ``[K]``.

    A score is an output before its last step: of classes the logarithm of the probability, less its mean over the
    other classes, which of two classes is the logarithm of the odds; of labels the logarithm of the odds, at most
    16.6, the most that float32 tells of one part; a number itself.
    """

    names: tuple[str, ...]
    """The parts, such as n-grams."""
    contributions: np.ndarray
    """What each part adds to each score, ``[P, K]``."""
    base: np.ndarray
    """The scores of an item without these parts: of frequencies of classes, and of what is no part."""
    total: np.ndarray
    """The scores of the item."""

    def ranked(self, output: int) -> list[tuple[str, float]]:
        """Return the parts with what they add to one score, the largest first."""
        values = self.contributions[:, output]
        return [(self.names[part], float(values[part])) for part in np.argsort(-values, kind="stable")]


def explain(predictor: Predictor, item: np.ndarray | str) -> Explanation:
    """Explain the outputs for one item as `Predictor.read` returns it.

    The network runs on each part alone, so that this holds for every format of a bundle. Raises UnsupportedError
    for an input without parts, for a network whose scores are not the sum of what its parts say, and for a part of
    which it is so sure that its probability, rounded to 1, does not tell what it says.
    """
    whole = predictor.input.batch(_alone(item))
    parts = predictor.input.parts(whole)
    if parts is None:
        raise UnsupportedError(
            f"explanation: this network takes no parts of an {predictor.input.word} that could be told apart; "
            "networks of n-grams (linear_ngrams, wide, bag, sum) do"
        )
    arrays, names = parts
    rows = len(next(iter(arrays.values())))
    outputs = [
        predictor.run({name: values[start : start + AT_ONCE] for name, values in arrays.items()}).outputs
        for start in range(0, rows, AT_ONCE)
    ]
    scores = scores_of(predictor.task, np.concatenate(outputs))
    total = scores_of(predictor.task, predictor.run(whole).outputs)[0]
    base, contributions = scores[0], scores[1:] - scores[0]
    added = base + contributions.sum(axis=0)
    most = SURE if predictor.task.final.activation == "sigmoid" else np.inf
    # Beyond `most` the sum is more exact than what was read from the probability.
    difference = np.abs(np.minimum(added, most) - np.minimum(total, most))
    total = np.where(total > most, added, total)
    wrong = difference > TOLERANCE * max(1.0, np.abs(contributions).max(initial=0.0), np.abs(total).max())
    if wrong.any() and (scores[:, wrong] > most).any(axis=0).all():
        raise _TooSureError(
            "explanation: the network is so sure of a part of this item that its probability is 1 after rounding, "
            "so what the part says is not known, nor the sum"
        )
    if wrong.any():
        raise UnsupportedError(
            "explanation: the scores of this network are not the sum of what its parts say, so no part has a "
            "contribution of its own; networks of n-grams (linear_ngrams, wide, bag, sum) are such sums"
        )
    return Explanation(names, contributions, base, total)


class _TooSureError(UnsupportedError):
    """What a part says cannot be told from its probability."""


def _alone(item: np.ndarray | str) -> np.ndarray:
    """Return an item as a batch of one."""
    if isinstance(item, str) or (item.dtype == object and item.shape == ()):
        return np.reshape(np.asarray(item, dtype=object), 1)
    return item[None]


def scores_of(task: Task, outputs: np.ndarray) -> np.ndarray:
    """Return the scores, float64 ``[N, K]``, of outputs (see `Explanation`)."""
    values = np.asarray(outputs, np.float64)
    activation = task.final.activation
    if activation == "softmax":
        logs = np.log(np.maximum(values, _SMALLEST))
        # Less the mean over all classes and times K / (K - 1): the same as less the mean over the others.
        count = logs.shape[1]
        return np.asarray(logs - logs.mean(axis=1, keepdims=True)) * (count / max(count - 1, 1))
    if activation == "sigmoid":
        values = np.clip(values, _SMALLEST, _LARGEST)
        return np.asarray(np.log(values) - np.log1p(-values))
    return values


def telling(predictor: Predictor, split: Split, count: int) -> dict[str, list[tuple[str, float]]] | None:
    """Return for each output the `count` parts that say most for it on the items of `split`, on average over them.

    What a part says counts as often as it occurs: rare parts that say much come behind frequent ones. None for a
    network without parts, or one that is not a sum of what they say (see `explain`). `split` is batched by the
    bundle's own input.
    """
    used = predictor.input.used_parts(split.ragged) if len(split) else None
    if used is None:
        return None
    if not _is_sum(predictor, split):
        return None
    arrays, names, amounts = used
    outputs = [
        predictor.run({name: values[start : start + AT_ONCE] for name, values in arrays.items()}).outputs
        for start in range(0, 1 + len(names), AT_ONCE)
    ]
    scores = scores_of(predictor.task, np.concatenate(outputs))
    said = (scores[1:] - scores[0]) * (amounts / len(split))[:, None]
    found = {}
    for output, name in enumerate(predictor.names[: said.shape[1]]):
        order = np.argsort(-said[:, output], kind="stable")[:count]
        found[name] = [(names[part], float(said[part, output])) for part in order if said[part, output] > 0]
    return found


def _is_sum(predictor: Predictor, split: Split) -> bool:
    """Return whether the scores of the first items are the sum of what their parts say."""
    explained = False
    for row in range(min(len(split), TRIED)):
        try:
            found = explain(predictor, split.raw([row])[0])
        except _TooSureError:
            continue
        except UnsupportedError:
            return False
        explained = True
        if len(found.names) > 1:
            # With one part or none every network is such a sum.
            break
    return explained
