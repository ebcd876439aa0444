"""The gates that the network of a step must pass to be kept."""

from __future__ import annotations

from paddle_automl.compression.base import Form, Gain
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.results import StepResult
from paddle_automl.tasks.metrics.spelling import drop_of

ROUNDING = 1e-9
"""Tolerance, so that a drop of exactly the limit passes in spite of rounding."""
LEAST_GAIN = 0.02
"""Fraction by which three of four rounds must be faster for a gain: less is within the noise of a quiet machine."""


def gate(config: CompressionConfig, gain: Gain, result: StepResult, last: StepResult) -> tuple[bool, str]:
    """Return whether a step's network is kept, and the reason; `last` is the network before the step."""
    loss = loss_of(config, result)
    if loss:
        return False, loss
    if gain == "metric":
        if drop_of(result.metric, last.score, result.score) > 0:
            return False, f"{result.metric} {result.score:.4f} is worse than the {last.score:.4f} before the step"
        return True, f"{result.metric} {result.score:.4f} after {last.score:.4f}"
    if gain == "sparsity":
        return True, f"{100 * result.sparsity:.0f} % zeros; dense kernels do not run faster"
    return _cost(config, result, last)


def loss_of(config: CompressionConfig, result: StepResult) -> str:
    """Return in words what accuracy a network loses beyond the limits; empty: nothing."""
    drop = too_large_drop(config, result)
    if drop:
        return drop
    needed = config.min_agreement
    if result.form is Form.QUANTIZED and result.agreement < needed:
        found = f"export and network give the same answer for {result.agreement:.4f} of the items"
        return f"{found}, required is {needed:g}"
    return ""


def too_large_drop(config: CompressionConfig, result: StepResult) -> str:
    """Return in words by how much the score is below the limit; empty: it is not."""
    # Negated, so that NaN counts as above the limit.
    if not result.drop <= config.max_drop + ROUNDING:
        return f"{result.metric} is worse by {result.drop:.4f}, allowed is {config.max_drop:g}"
    return ""


def _cost(config: CompressionConfig, result: StepResult, last: StepResult) -> tuple[bool, str]:
    least, size = config.min_speedup, config.speed.gate_batch_size
    facts = f"{result.speedup:.2f} times as fast (batch {size}), files {result.export_ratio:.2f} of the size"
    if least is not None:
        if result.speedup < least:
            return False, f"{facts}; required is {least:g} times as fast"
        return True, facts
    if result.export_mb < last.export_mb:
        return True, facts
    if result.step_speedups[str(size)][0] < 1 + LEAST_GAIN:
        return False, f"{facts}: neither clearly faster nor smaller than before the step"
    slowest = result.step_speedups["1"][1]
    if slowest < 1 - LEAST_GAIN:
        return False, f"{facts}: not smaller than before the step, and slower for one item ({slowest:.2f} times)"
    return True, facts
