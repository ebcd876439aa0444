"""Words about items that a data set holds more than once."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from paddle_automl.core.paths import readable
from paddle_automl.data.samples import Samples

log = logging.getLogger(__name__)


def report_copies(samples: Samples, copies: Mapping[int, int], splits: Mapping[str, np.ndarray], word: str) -> None:
    """Warn of items with the same content, of those in two splits, and of those with different targets.

    `copies` has for a row whose item is the same as an earlier one the first such row.
    """
    if not copies:
        return
    first = np.arange(len(samples), dtype=np.int64)
    first[list(copies)] = list(copies.values())
    row, other = next(iter(copies.items()))
    log.warning(
        "%d of %d %ss have the same content as another one, for example %s and %s; "
        "copies stay in one split where they can",
        len(copies), len(samples), word, _name(samples, other), _name(samples, row),
    )  # fmt: skip
    _warn_of_targets(samples, first, word)
    # Of each content that is trained on, one row to name it.
    training = dict(zip(first[splits["train"]].tolist(), splits["train"].tolist(), strict=True))
    for name in ("validation", "test"):
        shared = [row for row in splits[name].tolist() if int(first[row]) in training]
        if shared:
            log.warning(
                "%d %ss of the %s split are also in the training split, for example %s (%s): "
                "its scores will be too good",
                len(shared), word, name,
                _name(samples, shared[0]), _name(samples, training[int(first[shared[0]])]),
            )  # fmt: skip


def _warn_of_targets(samples: Samples, first: np.ndarray, word: str) -> None:
    values = samples.targets.values
    differs = (values != values[first]).reshape(len(values), -1).any(axis=1)
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        log.warning(
            "%d %ss have the same content as another one but a different target, for example %s and %s; "
            "no network can answer both",
            int(differs.sum()), word, _name(samples, int(first[row])), _name(samples, row),
        )  # fmt: skip


def _name(samples: Samples, row: int) -> str:
    if samples.sources is None:
        return f"number {row}"
    source = samples.sources[row]
    return readable(source) if hasattr(source, "__fspath__") else repr(source)
