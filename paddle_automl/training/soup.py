"""A greedy soup: the mean of the weights of several epochs, as far as it is better on validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import paddle
from paddle import Tensor

T = TypeVar("T")
Weights = Mapping[str, Tensor]


@dataclass
class Soup:
    """Weights that may be averaged, the best `most` of those that were offered.

    Greedy soup of Wortsman et al., 2022, arXiv:2203.05482, algorithm 1: from the best on, each is added to the mean
    where that does not make the mean worse. They must have an ancestor in common, such as an earlier epoch of the
    same training or the same pretrained weights: between networks that were trained independently the loss is high.
    """

    most: int
    _offered: list[tuple[float, int, Weights]] = field(default_factory=list)
    """Merit, number, weights; best first."""

    def offer(self, merit: float, number: int, weights: Callable[[], Weights]) -> None:
        """Keep the weights of a network with this merit, a higher one being better, if it is among the best.

        `number` identifies it; of equal ones the later counts as better.
        """
        rank = sum((merit, number) < (other, when) for other, when, _ in self._offered)
        if rank < self.most:
            self._offered.insert(rank, (merit, number, weights()))
            del self._offered[self.most :]

    def stir(self, measured: Callable[[Weights], tuple[float, T]]) -> tuple[T, list[int]] | None:
        """Return what was measured with the best mean, and the numbers of its members; None if no mean is better.

        `measured` returns the merit of weights, found in the same way as those that were offered, and any facts.
        """
        if len(self._offered) < 2:
            return None
        result: T | None = None
        first, number, mean = self._offered[0]
        best, members = first, [number]
        total = {name: tensor.astype("float32") for name, tensor in mean.items() if _averaged(tensor)}
        for _, number, weights in self._offered[1:]:
            joined = {name: value + weights[name].astype("float32") for name, value in total.items()}
            tried = _mean(joined, len(members) + 1, mean)
            merit, facts = measured(tried)
            if merit >= best:
                best, total, result = merit, joined, facts
                members.append(number)
        return None if result is None or best <= first else (result, members)


def _averaged(tensor: Tensor) -> bool:
    return bool(tensor.is_floating_point())


def _mean(total: Weights, count: int, like: Weights) -> dict[str, Tensor]:
    with paddle.no_grad():
        return {
            name: (total[name] / count).astype(tensor.dtype) if name in total else tensor
            for name, tensor in like.items()
        }
