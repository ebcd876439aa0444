"""Results of a chain of compression: the measurements of each step's network, and the networks to ship."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from paddle_automl.compression.base import Form
from paddle_automl.compression.copying import sparsity
from paddle_automl.deployment.repair import Repaired
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.models.network import Network
from paddle_automl.models.profile import profile
from paddle_automl.tasks.answers import recorded
from paddle_automl.tasks.base import Task

BEFORE = "before"
"""Name of the network that the chain starts from."""
NOT_REPORTED = ("model", "source", "task", "outputs", "repaired")
"""Fields of `StepResult` that are not data for reports."""


@dataclass
class StepResult:
    """One network of the chain with all measurements; the first one is the network before the chain."""

    name: str
    """The step that made it, or `BEFORE`."""
    kept: bool
    """Whether it passed its gates: the next step starts from it, and it gets a bundle."""
    reason: str
    """Why it was kept or rejected."""
    form: Form
    model: Network | None
    """The network; None if the step failed."""
    task: Task
    """The task tuned on the validation outputs of the export, such as thresholds of labels."""
    source: Network | None = None
    """The network that the step started from."""
    outputs: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)
    """Outputs of the exported network for the validation items, float32 [N, K]."""
    score: float = 0.0
    """Value of `metric` for the exported network on the validation split."""
    drop: float = 0.0
    """How much worse `score` is than that of the network before the chain; negative: it is better."""
    parameters: int = 0
    flops: int = 0
    """Multiply-accumulates per item; quantization changes only their type, not their number."""
    sparsity: float = 0.0
    """Fraction of zeros among the weights."""
    weights_mb: float = 0.0
    """Size of the file of weights, MB (10^6 bytes)."""
    weights_ratio: float = 1.0
    """`weights_mb` divided by that of the network before the chain."""
    export_mb: float = 0.0
    """Size of all files of the export, MB: an 8-bit network of few weights can be larger than the float one, as its
    program has more operators."""
    export_ratio: float = 1.0
    """`export_mb` divided by that of the network before the chain."""
    speedup: float = 1.0
    """Time of a run of the network before the chain divided by that of this one, both timed in turn with the batch
    size of the gate."""
    step_speedups: dict[str, list[float]] = field(default_factory=dict)
    """The lower and the upper quartile of the speed-up over the network before the step in the rounds, by batch
    size: that of the gate, and 1."""
    agreement: float = 1.0
    """Fraction of the validation items for which the export and the network give the same answer."""
    seconds: float = 0.0
    """Duration of the step."""
    latency: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """By precision (or further format) and batch size: p50_ms, p95_ms, speedup (ratio of medians) over float32
    before the chain, and undisturbed_speedup (from the fastest runs of each round)."""
    formats: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By the name of each further format: score on the validation split; weights_mb, the size of its files; and
    float_layers, the layers of an 8-bit format that had to be left in float."""
    repaired: Repaired = field(default_factory=Repaired)
    """Layers that had to be left in float, so that the accuracy is within the limits."""
    unrepaired: str = ""
    """Why no layer was left in float although the accuracy is beyond the limits; empty: none helped, or none had
    to be."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Facts reported by the step."""

    @property
    def metric(self) -> str:
        """Key of the task's main metric, in whose unit `score` and `drop` are."""
        return self.task.metrics[0]

    def count(self, model: Network, specs: Sequence[TensorSpec], before: StepResult | None = None) -> None:
        """Fill in parameters, operations and zeros of `model`; `before` is the network before the step."""
        if before is not None and self.form is Form.QUANTIZED:
            # Quantized layers have other classes, but the same numbers of weights and operations.
            self.parameters, self.flops, self.sparsity = before.parameters, before.flops, before.sparsity
            return
        costs = profile(model, specs)
        self.parameters, self.flops, self.sparsity = costs.parameters, costs.flops, sparsity(model)

    def as_dict(self) -> dict[str, Any]:
        """Return all measurements as JSON-like data."""
        data = {key: value for key, value in vars(self).items() if key not in NOT_REPORTED}
        rounded = {key: recorded(value) if isinstance(value, float) else value for key, value in data.items()}
        return {**rounded, "form": self.form.value, "metric": self.metric}


@dataclass
class ChainResult:
    """The networks of a chain in the order of its steps; the first one is the network before the chain."""

    steps: list[StepResult]

    @property
    def before(self) -> StepResult:
        """The network that the chain started from."""
        return self.steps[0]

    @property
    def best(self) -> StepResult:
        """The last network that was kept; if no step's was, the one before the chain."""
        return [result for result in self.steps if result.kept][-1]

    @property
    def shipped(self) -> list[StepResult]:
        """The networks that were kept, without the one before the chain."""
        return [result for result in self.steps[1:] if result.kept]

    def as_dict(self) -> dict[str, Any]:
        """Return the results as JSON-like data."""
        return {"best": self.best.name, "steps": [result.as_dict() for result in self.steps]}

    def table(self) -> list[dict[str, str]]:
        """Return rows of texts by column, one per network and precision, as a command prints them."""
        return [row for result in self.steps for row in _rows(result)]


def _rows(result: StepResult) -> list[dict[str, str]]:
    head = {
        "step": result.name,
        result.metric: f"{result.score:.4f}",
        "drop": f"{result.drop:+.4f}",
        "parameters": f"{result.parameters:,}",
        "MFLOPs": f"{result.flops / 1e6:.2f}",
        "weights MB": f"{result.weights_mb:.3f}",
        "zeros": f"{100 * result.sparsity:.0f} %",
    }
    tail = {"kept": "kept" if result.kept else "rejected", "why": result.reason}
    if result.model is None:
        return [{**dict.fromkeys(head, "-"), "step": result.name, "precision": "-", **tail}]
    rows: list[dict[str, str]] = []
    for precision, sizes in result.latency.items():
        times = {
            f"batch {size}, ms": f"{timing['p50_ms']:.2f}/{timing['p95_ms']:.2f} {timing['speedup']:.2f}x"
            for size, timing in sizes.items()
        }
        shown = dict.fromkeys(head, "") if rows else head
        if precision in result.formats:
            facts = result.formats[precision]
            shown |= {result.metric: f"{facts['score']:.4f}", "weights MB": f"{facts['weights_mb']:.3f}"}
            floats = ", ".join(facts.get("float_layers", ()))
        else:
            floats = "" if rows else ", ".join(result.repaired.layers)
        rows.append({**shown, "precision": precision, **times, **({"in float32": floats} if floats else {})})
        rows[-1] |= tail if len(rows) == 1 else dict.fromkeys(tail, "")
    return rows or [{**head, "precision": "-", **tail}]
