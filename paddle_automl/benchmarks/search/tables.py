"""Tables from files: NAS-Bench-201, and any table in a documented .npz or CSV form.

A ``.npz`` table holds `space`, a JSON text that maps each decision to the list of its values, and one array per
task of shape ``[n_1, ..., n_D]`` or ``[n_1, ..., n_D, runs]`` with axes in the order of `space`. `goal` ("minimize"
or "maximize", default minimize) is the direction. FCNet (Klein and Hutter 2019, arXiv 1905.04970) and HPOBench's
tabular MLP (Eggensperger et al. 2021, arXiv 2109.06716) have this form.

A ``.csv`` or ``.csv.gz`` table has a column per decision and the columns ``cost`` or ``score`` (several runs:
``cost_1``, ``cost_2``, ...); every combination of values has one row.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.benchmarks.search.task import Table
from paddle_automl.core.errors import DataError

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""Operations of NAS-Bench-201 (Dong and Yang 2020, arXiv 2001.00326), by their digit in the column `ops`."""
EDGES = ("0_1", "0_2", "1_2", "0_3", "1_3", "2_3")


def nas_bench_201(path: Path, data: str, short: bool = False) -> Table:
    """Return NAS-Bench-201 on one data set: single 200-epoch validation runs, accuracy as a negative cost.

    `short` uses the validation accuracy after 12 epochs, a cheap signal. The test accuracy after 200 is shown.
    """
    wanted = [f"{data}_val_12ep"] if short else [f"{data}_val_200ep_run{run}" for run in range(3)]
    rows = _rows(path)
    shape = (len(OPERATIONS),) * len(EDGES)
    costs = np.full((*shape, len(wanted)), np.nan)
    test = np.full(shape, np.nan)
    for row in rows:
        place = tuple(int(digit) for digit in row["ops"])
        costs[place] = [-float(row[column]) if row[column] else np.nan for column in wanted]
        test[place] = float(row[f"{data}_test_200ep"])
    choices = {f"model.edge_{edge}": OPERATIONS for edge in EDGES}
    return Table(f"nas201_{data}{'_12ep' if short else ''}", choices, costs, {"test_accuracy": test})


def npz_tables(path: Path, goal: str = "minimize", prefix: str = "") -> list[Table]:
    """Return the tables of a .npz file; its own `goal` takes precedence over the given one."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read the table: {error}") from None
    if "space" not in content:
        raise DataError(f"{path}: has no array 'space' with the JSON text of the decisions and their values")
    choices = json.loads(str(content.pop("space")))
    sign = _sign(path, str(content.pop("goal", goal)))
    shape = tuple(len(values) for values in choices.values())
    tables = []
    for name, values in content.items():
        if values.shape[: len(shape)] != shape or values.ndim > len(shape) + 1:
            raise DataError(f"{path}: '{name}' has shape {values.shape}; 'space' needs {shape} or {shape} + runs")
        runs = values if values.ndim > len(shape) else values[..., None]
        tables.append(Table(f"{prefix}{name}", _keys(choices), sign * runs))
    return tables


def csv_table(path: Path) -> Table:
    """Return the table of a CSV file, named after it."""
    rows = _rows(path)
    if not rows:
        raise DataError(f"{path}: has no rows")
    # Others that begin so, such as score_threshold, are decisions.
    measured = [column for column in rows[0] if re.fullmatch(r"(cost|score)(_\d+)?", column)]
    kinds = {column.split("_")[0] for column in measured}
    if len(kinds) != 1:
        raise DataError(f"{path}: needs columns 'cost' or 'score' (runs: cost_1, cost_2, ...), has {list(rows[0])}")
    decisions = [column for column in rows[0] if column not in measured]
    choices: dict[str, list[Any]] = {
        key: _in_order(list(dict.fromkeys(_value(row[key]) for row in rows))) for key in decisions
    }
    costs = np.full((*(len(values) for values in choices.values()), len(measured)), np.nan)
    seen = set()
    for number, row in enumerate(rows, 2):
        place = tuple(choices[key].index(_value(row[key])) for key in decisions)
        if place in seen:
            raise DataError(f"{path}:{number}: duplicate combination")
        seen.add(place)
        costs[place] = [float(row[column]) if row[column] else np.nan for column in measured]
    missing = int(np.prod(costs.shape[:-1])) - len(seen)
    if missing:
        gap = next(p for p in product(*map(range, costs.shape[:-1])) if p not in seen)
        example = {key: choices[key][i] for key, i in zip(decisions, gap, strict=True)}
        raise DataError(f"{path}: {missing} combinations are missing, the first is {example}")
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    return Table(name, _keys(choices), -costs if kinds == {"score"} else costs)


def _sign(path: Path, goal: str) -> float:
    if goal not in ("minimize", "maximize"):
        raise DataError(f"{path}: goal is '{goal}'; valid: minimize, maximize")
    return -1.0 if goal == "maximize" else 1.0


def _keys(choices: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return {f"table.{key}": values for key, values in choices.items()}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read the table: {error}") from None
    return list(csv.DictReader(io.StringIO(text)))


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _in_order(values: list[Any]) -> list[Any]:
    numbers = all(isinstance(value, int | float) for value in values)
    return sorted(values) if numbers else values
