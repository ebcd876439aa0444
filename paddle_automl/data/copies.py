"""Warnings about duplicate items in a data set."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from paddle_automl.core.paths import readable
from paddle_automl.data.samples import SPLITS, Samples

log = logging.getLogger(__name__)


def report_copies(samples: Samples, copies: Mapping[int, int], splits: Mapping[str, np.ndarray], word: str) -> None:
    """Warn about items with the same content, in particular in two splits or with different targets.

    `copies` maps the row of a duplicate to the first row with the same content.
    """
    if not copies:
        return
    first = np.arange(len(samples), dtype=np.int64)
    first[list(copies)] = list(copies.values())
    row, other = next(iter(copies.items()))
    log.warning(
        "%s of %d with the same content as another one, for example %s and %s; copies stay in one split where "
        "they can",
        _count(len(copies), word), len(samples), _name(samples, other), _name(samples, row),
    )  # fmt: skip
    _warn_of_targets(samples, first, word)
    # One row of each content and target in the splits so far, for messages. Where targets differ, as those of empty
    # texts do, having learned the one makes no score of the other better.
    values = samples.targets.values
    seen: dict[tuple[int, bytes], int] = {}
    places = {"validation": "training split", "test": "training or the validation split"}
    for split in SPLITS:
        keys = {row: (int(first[row]), values[row].tobytes()) for row in splits[split].tolist()}
        shared = [row for row, key in keys.items() if key in seen]
        if split in places and shared:
            log.warning(
                "%s of the %s split %s also in the %s, for example %s (%s): its scores will be too good",
                _count(len(shared), word), split, "is" if len(shared) == 1 else "are", places[split],
                _name(samples, shared[0]), _name(samples, seen[keys[shared[0]]]),
            )  # fmt: skip
        seen |= {key: row for row, key in keys.items()}


def _warn_of_targets(samples: Samples, first: np.ndarray, word: str) -> None:
    values = samples.targets.values
    differs = (values != values[first]).reshape(len(values), -1).any(axis=1)
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        log.warning(
            "the same content but a different target: %s, for example %s and %s; no network can predict both",
            _count(int(differs.sum()), word), _name(samples, int(first[row])), _name(samples, row),
        )  # fmt: skip


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _name(samples: Samples, row: int) -> str:
    if samples.sources is None:
        return f"number {row}" if samples.origins is None else samples.origins[row]
    source = samples.sources[row]
    return readable(source) if hasattr(source, "__fspath__") else repr(source)
