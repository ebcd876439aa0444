"""Whether a network in fewer bits is close enough to the one it was made from, on the validation split."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from paddle_automl.data.running import run_split
from paddle_automl.data.splits import Split
from paddle_automl.deployment.exporters.base import Session
from paddle_automl.deployment.parity import ParityLimits
from paddle_automl.deployment.parity_record import keeps_answers
from paddle_automl.deployment.runtime import in_lasting_thread
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import drop_of, measure


def drop_between(split: Split, before: np.ndarray, after: np.ndarray) -> float:
    """Return by how much the task's main metric of outputs [N, K] is worse after than before; negative: better."""
    key = split.task.metrics[0]
    return drop_of(
        key, *(measure([key], Predictions(outputs, split.codes, split.task))[key] for outputs in (before, after))
    )


def acceptance(
    reference: Callable[[], np.ndarray], split: Split, limits: ParityLimits
) -> Callable[[Session], bool]:
    """Return a function that says whether a loaded network keeps the limits on all items of `split`.

    `reference` gives the outputs [N, K] of the network it was made from; it is called once, when it is needed.
    """
    known: list[np.ndarray] = []

    def accept(session: Session) -> bool:
        if not known:
            known.append(reference())
        outputs = in_lasting_thread(partial(run_split, split, session))
        if not np.isfinite(outputs).all():
            return False
        agreement = float(split.task.agree(known[0], outputs).mean())
        drop = None if limits.max_drop is None else drop_between(split, known[0], outputs)
        return keeps_answers(agreement, limits.min_agreement, drop, limits.max_drop)

    return accept
