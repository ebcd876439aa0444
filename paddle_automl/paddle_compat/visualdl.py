"""What VisualDL 2.5 needs with today's NumPy and Paddle, and where it draws something else than it says."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from paddle_automl.core.runtime import silence_known_warnings

MOST_POINTS = 127
"""Most points of a curve, as in VisualDL."""


def add_pr_curve(writer: Any, tag: str, true: np.ndarray, stated: np.ndarray, step: int = 0) -> None:
    """Write a curve of precision over recall: `true` bool [N], `stated` probabilities [N]; some are true.

    VisualDL's own function uses a name that NumPy no longer has. It also takes evenly spaced thresholds, among
    which a sure network has a single point, and calls the precision above the largest probability 0, so that its
    curves begin with a line from the origin.
    """
    from visualdl.component.base_component import pr_curve_raw

    order = np.argsort(-stated, kind="stable")
    ranked, right = stated[order], true[order].astype(np.int64)
    # One threshold for equal probabilities: the last of them.
    ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    hits = np.cumsum(right)[ends]
    false = ends + 1 - hits
    total = int(right.sum())
    wanted = np.searchsorted(hits, np.linspace(1, total, min(MOST_POINTS - 1, total)))
    chosen = np.unique(np.append(wanted, len(ends) - 1))[::-1]
    hits, false = hits[chosen], false[chosen]
    record = pr_curve_raw(
        tag=tag,
        tp=hits.tolist(),
        fp=false.tolist(),
        tn=(len(true) - total - false).tolist(),
        fn=(total - hits).tolist(),
        precision=(hits / (hits + false)).tolist(),
        recall=(hits / total).tolist(),
        step=step,
        walltime=round(time.time() * 1000),
    )
    writer._get_file_writer().add_record(record)


def add_graph(writer: Any, model: Any, specs: Sequence[Any]) -> None:
    """Write the graph of a network in the format before Paddle 3, the only one that VisualDL reads.

    It changes `model`, which cannot be used afterwards. Raises what Paddle raises for an operation that the old
    format lacks.
    """
    from paddle_automl.paddle_compat.slim.old_ir import old_ir

    silence_known_warnings()
    with old_ir(), contextlib.redirect_stdout(None):
        writer.add_graph(model=model, input_spec=list(specs))
