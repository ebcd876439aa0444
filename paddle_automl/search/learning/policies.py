"""Stochastic policies over sequences of discrete choices, in NumPy, with their gradients.

The choices of all decisions are numbered consecutively, A in total. A batch of B sequences of at most T steps is
given as `decisions` and `actions` [B, T], with -1 after the end of a sequence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddle_automl.search.learning.bins import Step
from paddle_automl.search.learning.columns import Array, Indices


class Actions:
    """Numbers the choices of all decisions."""

    def __init__(self, counts: Sequence[int]) -> None:
        self.starts = np.concatenate([[0], np.cumsum(counts)])[:-1].astype(np.intp)
        self.total = int(sum(counts))
        self.allowed = np.zeros((len(counts), self.total), dtype=bool)
        for decision, (start, count) in enumerate(zip(self.starts, counts, strict=True)):
            self.allowed[decision, start : start + count] = True

    def batch(self, sequences: Sequence[Sequence[Step]]) -> Batch:
        """Return sequences of steps as arrays."""
        longest = max(1, *(len(steps) for steps in sequences))
        decisions = np.full((len(sequences), longest), -1, dtype=np.intp)
        actions = np.full((len(sequences), longest), -1, dtype=np.intp)
        for row, steps in enumerate(sequences):
            for place, (decision, choice) in enumerate(steps):
                decisions[row, place] = decision
                actions[row, place] = self.starts[decision] + choice
        return Batch(decisions, actions, self.allowed[decisions] & (decisions >= 0)[..., None])


@dataclass(frozen=True)
class Batch:
    """Sequences: `decisions` and `actions` [B, T], `allowed` [B, T, A] the actions of each step's decision."""

    decisions: Indices
    actions: Indices
    allowed: NDArray[np.bool_]

    @property
    def steps(self) -> NDArray[np.bool_]:
        """Which positions [B, T] hold a step."""
        return self.decisions >= 0

    @property
    def taken(self) -> Array:
        """One-hot actions [B, T, A]; zero where there is no step."""
        taken: Array = np.equal(self.actions[..., None], np.arange(self.allowed.shape[-1])).astype(float)
        return taken


def probabilities(logits: Array, allowed: NDArray[np.bool_]) -> Array:
    """Return the softmax [..., A] over allowed actions; all 0 where none is allowed."""
    masked = np.where(allowed, logits, -np.inf)
    top = np.max(masked, axis=-1, keepdims=True, initial=-1e300)
    raised = np.exp(masked - top)
    result: Array = raised / np.maximum(raised.sum(axis=-1, keepdims=True), 1e-300)
    return result


class Policy(ABC):
    """Logits of actions given the previous steps; the learner changes `parameters` in place."""

    parameters: dict[str, Array]

    @abstractmethod
    def forward(self, batch: Batch) -> tuple[Array, Any]:
        """Return the logits [B, T, A] of every step, and the intermediate values for `backward`."""

    @abstractmethod
    def backward(self, memory: Any, slopes: Array) -> dict[str, Array]:
        """Return the parameters' gradients for the logits' gradients [B, T, A]."""


class FactoredPolicy(Policy):
    """One logit per choice: decisions are independent. Initially uniform."""

    def __init__(self, actions: Actions) -> None:
        self.parameters = {"logits": np.zeros(actions.total)}

    def forward(self, batch: Batch) -> tuple[Array, Any]:
        """Return the same logits for every step."""
        return np.broadcast_to(self.parameters["logits"], batch.allowed.shape), None

    def backward(self, memory: Any, slopes: Array) -> dict[str, Array]:
        """Return the summed gradient."""
        return {"logits": slopes.sum(axis=(0, 1))}


class LstmPolicy(Policy):
    """A recurrent network that reads the choices made so far (Zoph and Le 2016, arXiv 1611.01578, section 3).

    Two layers of 35 LSTM units (Hochreiter and Schmidhuber 1997, with forget gates), weights uniform in +-0.08 as
    in section 4.1. The input is a learned vector of the action before; each decision has its own softmax on the
    last layer.
    """

    layers, units, spread = 2, 35, 0.08

    def __init__(self, actions: Actions, rng: np.random.Generator) -> None:
        shapes: dict[str, tuple[int, ...]] = {"embedding": (actions.total + 1, self.units)}
        for layer in range(self.layers):
            shapes[f"weight{layer}"] = (2 * self.units, 4 * self.units)
            shapes[f"bias{layer}"] = (4 * self.units,)
        shapes |= {"output": (self.units, actions.total), "output_bias": (actions.total,)}
        self.parameters = {name: rng.uniform(-self.spread, self.spread, shape) for name, shape in shapes.items()}

    def forward(self, batch: Batch) -> tuple[Array, Any]:
        """Run the network over all steps; the first one's input is the last row of the embedding."""
        count, length = batch.actions.shape
        inputs = np.concatenate([np.full((count, 1), -1, dtype=np.intp), batch.actions[:, :-1]], axis=1)
        hidden = np.zeros((self.layers, count, self.units))
        cell = np.zeros_like(hidden)
        tape: list[list[tuple[Array, ...]]] = []
        tops = np.empty((count, length, self.units))
        for step in range(length):
            below = self.parameters["embedding"][inputs[:, step]]
            tape.append([])
            for layer in range(self.layers):
                joined = np.concatenate([below, hidden[layer]], axis=1)
                before = cell[layer].copy()
                gates = joined @ self.parameters[f"weight{layer}"] + self.parameters[f"bias{layer}"]
                enter, forget, out = (1.0 / (1.0 + np.exp(-gates[:, self._part(g)])) for g in range(3))
                new = np.tanh(gates[:, self._part(3)])
                cell[layer] = forget * before + enter * new
                shape = np.tanh(cell[layer])
                hidden[layer] = below = out * shape
                tape[-1].append((joined, before, enter, forget, out, new, shape))
            tops[:, step] = below
        return tops @ self.parameters["output"] + self.parameters["output_bias"], (inputs, tape, tops)

    def backward(self, memory: Any, slopes: Array) -> dict[str, Array]:
        """Return the gradients by back-propagation through time."""
        inputs, tape, tops = memory
        gradients = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        gradients["output"] = np.einsum("btu,bta->ua", tops, slopes)
        gradients["output_bias"] = slopes.sum(axis=(0, 1))
        top_slopes = slopes @ self.parameters["output"].T
        hidden = np.zeros((self.layers, slopes.shape[0], self.units))
        cell = np.zeros_like(hidden)
        for step in range(slopes.shape[1] - 1, -1, -1):
            above = top_slopes[:, step]
            for layer in range(self.layers - 1, -1, -1):
                joined, before, enter, forget, out, new, shape = tape[step][layer]
                slope = hidden[layer] + above
                inner = cell[layer] + slope * out * (1.0 - shape**2)
                gates = np.concatenate(
                    [
                        inner * new * enter * (1.0 - enter),
                        inner * before * forget * (1.0 - forget),
                        slope * shape * out * (1.0 - out),
                        inner * enter * (1.0 - new**2),
                    ],
                    axis=1,
                )
                gradients[f"weight{layer}"] += joined.T @ gates
                gradients[f"bias{layer}"] += gates.sum(axis=0)
                back = gates @ self.parameters[f"weight{layer}"].T
                above, hidden[layer] = back[:, : self.units], back[:, self.units :]
                cell[layer] = inner * forget
            np.add.at(gradients["embedding"], inputs[:, step], above)
        return gradients

    def _part(self, gate: int) -> slice:
        return slice(gate * self.units, (gate + 1) * self.units)


class Adam:
    """Adam (Kingma and Ba 2014, arXiv 1412.6980, algorithm 1), in the direction of ascent."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._count = 0
        self._first: dict[str, Array] = {}
        self._second: dict[str, Array] = {}

    def ascend(self, parameters: dict[str, Array], gradients: dict[str, Array]) -> None:
        """Change the parameters in place."""
        self._count += 1
        for name, gradient in gradients.items():
            first = self._first.get(name, 0.0) * 0.9 + 0.1 * gradient
            second = self._second.get(name, 0.0) * 0.999 + 0.001 * gradient**2
            self._first[name], self._second[name] = first, second
            unbiased = first / (1.0 - 0.9**self._count)
            parameters[name] += self.rate * unbiased / (np.sqrt(second / (1.0 - 0.999**self._count)) + 1e-8)
