"""Names of tensors in files of other libraries, and the names of the same tensors here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Place = Callable[[int], str]
"""Returns the names of a block's place, such as ``stages.1.0``, from its number in the network, from 0."""

_STATISTICS = {"running_mean": "_mean", "running_var": "_variance"}
_LEAF = r"(?P<leaf>weight|bias|_mean|_variance)"


def renamed_by(rules: Sequence[tuple[str, str]], place: Place = str) -> Callable[..., dict[str, np.ndarray]]:
    """Return a function that gives arrays the names of a backbone's state dict.

    Each of `rules` is a regular expression of a whole name and its replacement, in which ``\\g<leaf>`` is the end:
    weight, bias, _mean or _variance (``{leaf}`` in the expression), and ``{place}`` what `place` makes of the group
    ``block``. Arrays without a rule, such as those of a classifier, are left out. Names of running statistics may
    be those of PyTorch.
    """
    patterns = [(re.compile(pattern.replace("{leaf}", _LEAF)), new) for pattern, new in rules]

    def renamed(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = {}
        for name, array in state.items():
            path, _, leaf = name.rpartition(".")
            own = f"{path}.{_STATISTICS.get(leaf, leaf)}"
            for pattern, new in patterns:
                match = pattern.fullmatch(own)
                if match is None:
                    continue
                full = match.expand(new)
                block = match.groupdict().get("block")
                found[full if block is None else full.replace("{place}", place(int(block)))] = array
                break
        return found

    return renamed


def numbered_through(blocks: Sequence[int], first: int = 0) -> Place:
    """Return the place of blocks that are counted over all stages, from `first` on: ``stages.<stage>.<index>``."""
    places = [f"stages.{stage}.{index}" for stage, count in enumerate(blocks) for index in range(count)]

    def place(number: int) -> str:
        # An unknown place fits no tensor, which the check of the whole backbone tells.
        return places[number - first] if 0 <= number - first < len(places) else f"stages.none.{number}"

    return place
