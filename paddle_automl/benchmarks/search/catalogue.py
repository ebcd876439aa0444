"""Tasks by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from paddle_automl.benchmarks.search.synthetic import Conditional, Mixed
from paddle_automl.benchmarks.search.tables import csv_table, nas_bench_201, npz_tables
from paddle_automl.benchmarks.search.task import Table, Task
from paddle_automl.core.errors import ConfigError, unknown_name

NAS_FILE, FCNET_FILE, MLP_FILE = "nas/nas_bench_201.csv.gz", "hpo/fcnet_val_mse.npz", "hpo/hpobench_mlp_score.npz"
NAS_DATA = ("cifar10", "cifar100", "imagenet16_120")
FCNET_DATA = ("parkinsons_telemonitoring", "slice_localization")
MLP_DATA = ("phoneme", "vehicle", "australian", "blood_transfusion")
SYNTHETIC = ("mixed0", "mixed1", "conditional0", "conditional1")
DRAWN = tuple(f"{kind}{number}" for kind in ("mixed", "conditional") for number in range(10))
"""All synthetic tasks. Methods were developed on mixed0 to mixed3 and conditional0 to conditional2."""
GROUPS: dict[str, tuple[str, ...]] = {
    "nas": tuple(f"nas201_{data}" for data in NAS_DATA),
    "hpo": (*(f"fcnet_{data}" for data in FCNET_DATA), *(f"mlp_{data}" for data in MLP_DATA)),
    "nas12": tuple(f"nas201_{data}_12ep" for data in NAS_DATA),
    "synthetic": SYNTHETIC,
    "drawn": DRAWN,
}
"""Groups of tasks; `tables` are the first two, `all` adds nas12 (validation after 12 epochs) and synthetic."""
EXPECTED = ("others", "worst")
"""What a table's domains may state as likely (``NAME@others``): the best over its sister tables, or the worst."""


def task_names(words: list[str], data: Path | None) -> list[str]:
    """Return the tasks for words: names, groups, or paths of tables (``file.npz:array``).

    Raises ConfigError for an unknown name, and for a table without a data folder.
    """
    names: list[str] = []
    for whole in words:
        word, mark, expected = whole.partition("@")
        if mark and expected not in EXPECTED:
            raise ConfigError(f"--tasks: {unknown_name('expectation', expected, EXPECTED)} in '{whole}'")
        if word in ("tables", "all"):
            chosen = [*GROUPS["nas"], *GROUPS["hpo"], *((*GROUPS["nas12"], *SYNTHETIC) if word == "all" else ())]
        else:
            chosen = list(GROUPS.get(word, (word,)))
        names.extend(f"{name}{mark}{expected}" for name in chosen if f"{name}{mark}{expected}" not in names)
    known = [name for group in GROUPS.values() for name in group]
    for full in names:
        name, mark, _ = full.partition("@")
        if mark and (name in DRAWN or path_of(name) is not None):
            raise ConfigError(f"--tasks: '{full}': only the named tables have others to learn from")
        if path_of(name) is None and name not in known:
            raise ConfigError(f"--tasks: {unknown_name('task', name, [*known, *GROUPS, 'tables', 'all'])}")
        if data is None and path_of(name) is None and name not in DRAWN:
            raise ConfigError(f"--tasks: '{name}' is a table; give its folder with --data DIR")
    return names


@lru_cache(maxsize=32)
def task(name: str, data: Path | None) -> Task:
    """Return a task; tables are in the folder `data`, with the layout of the project's data collection."""
    name, mark, expected = name.partition("@")
    if mark:
        return _expecting(name, expected, data)
    path = path_of(name)
    if path is not None:
        return _from_file(path, name)
    kind, _, part = name.partition("_")
    if name in DRAWN:
        return (Mixed if name.startswith("mixed") else Conditional)(name, int(name[-1]))
    folder = data or Path()
    if kind == "nas201":
        return nas_bench_201(folder / NAS_FILE, part.removesuffix("_12ep"), short=part.endswith("_12ep"))
    if kind == "fcnet":
        return _pick(npz_tables(folder / FCNET_FILE, prefix="fcnet_"), name)
    return _pick(npz_tables(folder / MLP_FILE, goal="maximize", prefix="mlp_"), name)


def _expecting(name: str, expected: str, data: Path | None) -> Task:
    """Return a table whose domains state as likely what was best, or worst, in the mean over its sister tables."""
    kind = name.split("_")[0]
    own = task(name, data)
    sisters = [
        other
        for other in (*GROUPS["nas12" if name.endswith("_12ep") else "nas"], *GROUPS["hpo"])
        if other != name and other.split("_")[0] == kind
    ]
    if not isinstance(own, Table):
        raise ConfigError(f"--tasks: '{name}' is not a table")
    ranks = np.zeros(own.means.shape)
    for sister in sisters:
        found = task(sister, data)
        if isinstance(found, Table):
            flat = np.nan_to_num(found.means.ravel(), nan=np.inf)
            ranks += np.argsort(np.argsort(flat, kind="stable"), kind="stable").reshape(ranks.shape)
    place = np.unravel_index(int(ranks.argmin() if expected == "others" else ranks.argmax()), ranks.shape)
    likely = {key: list(values)[int(i)] for (key, values), i in zip(own.choices.items(), place, strict=True)}
    return replace(own, name=f"{name}@{expected}", likely=likely)


def path_of(name: str) -> Path | None:
    """Return the file of the table that a task names by its path; None for other tasks."""
    path = Path(name.rsplit(":", 1)[0] if ".npz:" in name else name)
    return path if path.name.endswith((".npz", ".csv", ".csv.gz")) else None


def _from_file(path: Path, name: str) -> Task:
    if path.suffix != ".npz":
        return csv_table(path)
    tables = npz_tables(path)
    if ".npz:" not in name:
        if len(tables) == 1:
            return tables[0]
        raise ConfigError(f"--tasks: {path} holds {', '.join(t.name for t in tables)}; name one as {path}:NAME")
    return _pick(tables, name.rsplit(":", 1)[1])


def _pick(tables: Sequence[Task], name: str) -> Task:
    for table in tables:
        if table.name == name:
            return table
    raise ConfigError(f"--tasks: {unknown_name('table', name, [table.name for table in tables])}")
