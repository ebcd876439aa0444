"""What a chain of compression came to: a row per link, and the network that survives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from paddle_automl.compression.base import Form
from paddle_automl.compression.copying import sparsity
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.models.network import Network
from paddle_automl.models.profile import profile

BEFORE = "before"
"""Name of the network that the chain starts from."""


@dataclass
class Link:
    """One network of the chain, the one before it included, with everything measured on it.

    `score` is the exported network's value of `metric`, the task's main one, on the validation split.
    """

    name: str
    """The step that made it."""
    kept: bool
    reason: str
    """Why it was kept or rejected."""
    form: Form
    model: Network | None
    """None if the step failed."""
    source: Network | None = None
    """The network that the step started from."""
    metric: str = "accuracy"
    score: float = 0.0
    drop: float = 0.0
    """By how much it is worse than the network before the chain; negative: it got better."""
    parameters: int = 0
    flops: int = 0
    """Multiply-accumulates per item; quantization does not change their number, only their kind."""
    sparsity: float = 0.0
    """Fraction of zeros among the weights."""
    weights_mb: float = 0.0
    """Size of the file of weights, MB (10^6 bytes)."""
    weights_ratio: float = 1.0
    """That size over the one before the chain."""
    speedup: float = 1.0
    """Time before the chain over its own, in the race that decided."""
    agreement: float = 1.0
    """Fraction of the validation items to which export and network give the same answer."""
    seconds: float = 0.0
    """Time that the step took."""
    latency: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """By precision (or further format) and batch size: p50_ms, p95_ms, speedup (ratio of medians) over float32
    before the chain, and undisturbed_speedup, of the fastest runs of each round."""
    formats: dict[str, dict[str, float]] = field(default_factory=dict)
    """By the name of each further format: score on the validation split; weights_mb, the size of its files."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the step itself reports."""

    def count(self, model: Network, specs: Sequence[TensorSpec], before: Link | None = None) -> None:
        """Note parameters, operations and zeros of `model`; `before` is the link that the step started from."""
        if before is not None and self.form is Form.QUANTIZED:
            # Quantized layers are of other classes, but there are as many weights and products as before.
            self.parameters, self.flops, self.sparsity = before.parameters, before.flops, before.sparsity
            return
        costs = profile(model, specs)
        self.parameters, self.flops, self.sparsity = costs.parameters, costs.flops, sparsity(model)

    def as_dict(self) -> dict[str, Any]:
        """Return all but the networks as JSON-like data."""
        data = {key: value for key, value in vars(self).items() if key not in ("model", "source")}
        rounded = {key: round(value, 6) if isinstance(value, float) else value for key, value in data.items()}
        return {**rounded, "form": self.form.value}


@dataclass
class ChainResult:
    """All links in order, the first being the network before the chain."""

    links: list[Link]

    @property
    def before(self) -> Link:
        """Return the network that the chain started from."""
        return self.links[0]

    @property
    def best(self) -> Link:
        """Return the last link that was kept: the network before the chain if none was."""
        return [link for link in self.links if link.kept][-1]

    @property
    def shipped(self) -> list[Link]:
        """Return the links that were kept and are new."""
        return [link for link in self.links[1:] if link.kept]

    def as_dict(self) -> dict[str, Any]:
        """Return the table as JSON-like data."""
        return {"best": self.best.name, "links": [link.as_dict() for link in self.links]}

    def table(self) -> list[dict[str, str]]:
        """Return a row of texts per link and precision, as a command shows them."""
        return [row for link in self.links for row in _rows(link)]


def _rows(link: Link) -> list[dict[str, str]]:
    head = {
        "step": link.name,
        link.metric: f"{link.score:.4f}",
        "drop": f"{link.drop:+.4f}",
        "parameters": f"{link.parameters:,}",
        "MFLOPs": f"{link.flops / 1e6:.2f}",
        "weights MB": f"{link.weights_mb:.3f}",
        "zeros": f"{100 * link.sparsity:.0f} %",
    }
    tail = {"kept": "kept" if link.kept else "rejected", "why": link.reason}
    if link.model is None:
        return [{**dict.fromkeys(head, "-"), "step": link.name, "precision": "-", **tail}]
    rows: list[dict[str, str]] = []
    for precision, sizes in link.latency.items():
        times = {
            f"batch {size}, ms": f"{pace['p50_ms']:.2f}/{pace['p95_ms']:.2f} {pace['speedup']:.2f}x"
            for size, pace in sizes.items()
        }
        shown = dict.fromkeys(head, "") if rows else head
        if precision in link.formats:
            facts = link.formats[precision]
            shown |= {link.metric: f"{facts['score']:.4f}", "weights MB": f"{facts['weights_mb']:.3f}"}
        rows.append({**shown, "precision": precision, **times})
        rows[-1] |= tail if len(rows) == 1 else dict.fromkeys(tail, "")
    return rows or [{**head, "precision": "-", **tail}]
