"""Reading numbers, errors and R2 of predicted ones, and how numbers are printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.tasks.answers import recorded
from paddle_automl.tasks.base import RawTargets, Row, Table

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def as_numbers(names: Sequence[str]) -> list[float] | None:
    """Return names as numbers, or None if one of them is not a finite number."""
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def finite_values(raw: RawTargets) -> np.ndarray:
    """Return targets as finite numbers, float64 ``[N, D]``; raises DataError that names the item."""
    if raw.kind == "classes":
        numbers = as_numbers(raw.names)
        assert numbers is not None
        return np.array(numbers)[raw.values][:, None]
    values = np.asarray(raw.values, dtype=np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = map(int, bad[0])
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise DataError(
            f"data.dataset: '{raw.names[column]}' of item {row} is {values[row, column]}{more}; "
            "targets must be finite numbers: correct or remove these items"
        )
    return values


def number_text(value: float, size: float | None = None) -> str:
    """Return a number rounded to a thousandth of `size`, the spread of such numbers; without it to six digits."""
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    if size is None:
        return f"{value:.6g}"
    digits = max(0, 3 - math.ceil(math.log10(size)))
    text = f"{value:.{digits}f}" if digits <= 12 else f"{value:.4g}"
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def absolute_errors(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the mean absolute error of each column [D]."""
    return np.asarray(np.abs(predicted - true).mean(axis=0))


def squared_errors(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each column [D]."""
    return np.asarray(((predicted - true) ** 2).mean(axis=0))


def varies(values: np.ndarray) -> np.ndarray:
    """Return which columns of finite numbers [N, D] hold more than one value, bool [D]."""
    return np.asarray((values != values[:1]).any(axis=0))


def r_squared(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return 1 - squared error / variance of each column [D].

    If the true values are constant: 1 if the predictions equal them, else 0.
    """
    rest = ((predicted - true) ** 2).sum(axis=0)
    whole = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    # Rounding makes the computed variance of constants such as 0.1 larger than 0.
    varied = varies(true) & (whole > 0)
    result = np.where(rest == 0, 1.0, 0.0)
    result[~np.isfinite(rest)] = np.nan
    np.divide(rest, whole, out=result, where=varied)
    return np.where(varied, 1 - result, result)


def residual_table(
    names: Sequence[str], predicted: np.ndarray, true: np.ndarray, inside: np.ndarray | None
) -> tuple[Table, list[dict[str, Any]]]:
    """Return errors per column, as a table and JSON-like; `inside`, bool [N, D], says which are in their interval.

    A residual is the prediction minus the truth; its quantiles show whether predictions are too low or too high.
    """
    residuals = predicted - true
    mae, mse, r2 = absolute_errors(predicted, true), squared_errors(predicted, true), r_squared(predicted, true)
    quantiles = np.quantile(residuals, QUANTILES, axis=0)
    titles = [f"residual {level:.0%}" for level in QUANTILES]
    rows: list[Row] = []
    data = []
    for k, name in enumerate(names):
        figures = [float(mae[k]), float(np.sqrt(mse[k])), float(r2[k]), *map(float, quantiles[:, k])]
        keys = ["mae", "rmse", "r2", *(f"residual_{level:g}" for level in QUANTILES)]
        if inside is not None:
            figures.append(float(inside[:, k].mean()))
            keys.append("coverage")
        rows.append((name, *figures))
        data.append({"column": name, **{key: recorded(value) for key, value in zip(keys, figures, strict=True)}})
    columns = ("column", "MAE", "RMSE", "R2", *titles, *(() if inside is None else ("coverage",)))
    return Table("per column", columns, tuple(rows)), data
