"""Explanations of answers for the command `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from paddle_automl.core.display_text import shown

if TYPE_CHECKING:
    import numpy as np

    from paddle_automl.deployment.explanation import Explanation
    from paddle_automl.deployment.predictor import Prediction, Predictor

_DIGITS = 5
ENDS = ("lower", "upper")
"""Ends of an interval, as in a CSV file of predictions."""


def explained(predictor: Predictor, items: Sequence[np.ndarray | None]) -> list[Explanation | None]:
    """Return the explanation of each item, None for one that could not be read."""
    from paddle_automl.deployment.explanation import explain

    return [None if item is None else explain(predictor, item) for item in items]


def as_text(
    predictor: Predictor, predictions: Sequence[Prediction], found: Sequence[Explanation | None], top: int
) -> str:
    """Return the parts that spoke most for and against each answer, with the sum that they are terms of."""
    blocks = [f"what spoke for and against ({_unit(predictor)})"]
    for item, explanation in zip(predictions, found, strict=True):
        if explanation is None:
            continue
        lines = [shown(item.name)]
        for output in _answered(predictor, item, explanation):
            pros, cons = _sides(explanation, output, top)
            others = explanation.total[output] - explanation.base[output]
            others -= sum(value for _, value in (*pros, *cons))
            lines.append(
                f"  {shown(_name(predictor, output))}: {explanation.total[output]:+.3f} = "
                f"{explanation.base[output]:+.3f} without {predictor.input.word} "
                f"{sum(value for _, value in pros):+.3f} for {sum(value for _, value in cons):+.3f} against "
                f"{others:+.3f} others"
            )
            for word, side in (("for", pros), ("against", cons)):
                parts = "  ".join(f"{shown(repr(name))} {value:+.3f}" for name, value in side)
                lines.append(f"    {word:<8} {parts or 'nothing'}")
        blocks.append("\n".join(lines))
    return "\n".join(blocks) if len(blocks) > 1 else ""


def _unit(predictor: Predictor) -> str:
    activation = predictor.task.final.activation
    if activation == "identity":
        return "the numbers themselves"
    others = activation == "softmax" and len(predictor.names) > 2
    return "logarithms of odds against the geometric mean of the other classes" if others else "logarithms of odds"


def as_records(
    predictor: Predictor, predictions: Sequence[Prediction], found: Sequence[Explanation | None], top: int
) -> list[dict[str, Any]]:
    """Return the same JSON-like, for each answer by name; for an item that could not be read nothing."""
    return [
        {} if explanation is None else {"explanation": _record(predictor, item, explanation, top)}
        for item, explanation in zip(predictions, found, strict=True)
    ]


def _record(predictor: Predictor, item: Prediction, explanation: Explanation, top: int) -> dict[str, Any]:
    record = {}
    for output in _answered(predictor, item, explanation):
        pros, cons = _sides(explanation, output, top)
        record[_name(predictor, output)] = {
            "score": round(float(explanation.total[output]), _DIGITS),
            "base": round(float(explanation.base[output]), _DIGITS),
            "for": {name: round(value, _DIGITS) for name, value in pros},
            "against": {name: round(value, _DIGITS) for name, value in cons},
        }
    return record


def _answered(predictor: Predictor, item: Prediction, explanation: Explanation) -> list[int]:
    """Return the outputs that are explained: the likeliest class, the labels that apply, every number."""
    activation = predictor.task.final.activation
    if activation == "softmax":
        return [int(explanation.total.argmax())]
    every = list(range(len(explanation.total)))
    if activation == "sigmoid":
        # Each label applies by its own threshold, which need not be a half.
        labels = item.answer.labels if item.answer is not None else ()
        return [predictor.names.index(name) for name in labels] or [int(explanation.total.argmax())]
    return every


def _sides(
    explanation: Explanation, output: int, top: int
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    ranked = explanation.ranked(output)
    return [part for part in ranked if part[1] > 0][:top], [part for part in ranked[::-1] if part[1] < 0][:top]


def _name(predictor: Predictor, output: int) -> str:
    """Return the name of an output: after the numbers come all lower and all upper ends of their intervals."""
    names = predictor.names
    if output < len(names):
        return names[output]
    which, column = divmod(output, len(names))
    return f"{names[column]} {ENDS[which - 1]}" if which <= len(ENDS) else f"output {output}"
