"""The command `benchmark defaults`: how often a search ends with something worse than its default.

A search starts from a default as a user has one: some configuration among the best half, tenth or hundredth of a
table. The truth is known, and noise is drawn anew for every run: the mean of a configuration's runs, and the
deviation of one of them. Three choices are compared on the same trials.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Grid

from paddle_automl.benchmarks.kept import Kept
from paddle_automl.benchmarks.search.catalogue import task, task_names
from paddle_automl.benchmarks.search.replay import Trace, controller_of, play
from paddle_automl.benchmarks.search.task import Observation, Table
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.seeds import generator
from paddle_automl.core.threads import one_blas_thread
from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.estimates import estimate
from paddle_automl.search.learning.final_choice import next_repeat, ranked, repeats, winner
from paddle_automl.space import Params

SUMMARY = "Count how often the choice of a search is worse than the default it started from."
RULES = ("observed", "repeats", "shipped")
EXPLAINED = (
    "observed: the best single observation of all trials. repeats: the best mean after as many repeats as a search "
    "has. shipped: the rule of this project, the default unless a lead is more than noise. Worse: in truth worse "
    "than the default. Gain and bias (reported minus true score) are in units of the distance between the best "
    "and the median configuration, at most 0.3 each way; a positive bias promises too much."
)
LARGEST = 0.3


class Renewed(Table):
    """A table with new noise for every run: the mean of the runs, and the deviation of one of them."""

    def observe(self, params: Params, rng: np.random.Generator, used: Sequence[int]) -> Observation:
        """Return a run that no other run depends on."""
        runs = self.costs[self.index(params)].astype(float)
        runs = runs[~np.isnan(runs)]
        if not len(runs):
            return Observation(math.nan, -1)
        # The deviations of n runs from their own mean are too small by the factor sqrt((n - 1) / n).
        wider = math.sqrt(len(runs) / (len(runs) - 1)) if len(runs) > 1 else 1.0
        drawn = runs[int(rng.integers(len(runs)))]
        return Observation(float(runs.mean() + wider * (drawn - runs.mean())), len(used))


@dataclass(frozen=True)
class Verdict:
    """What a rule chose: whether it is worse than the default, or the default; gain over it, bias of the report."""

    worse: bool
    kept: bool
    gain: float
    bias: float


def default_of(table: Table, share: float, seed: int) -> Params:
    """Return a configuration drawn from the best `share` of a table."""
    rng = generator(seed, "benchmark", table.name, "default", f"{share:g}")
    places = np.argwhere(table.means <= np.nanquantile(table.means, share))
    chosen = places[int(rng.integers(len(places)))]
    return {key: list(values)[i] for (key, values), i in zip(table.choices.items(), chosen, strict=True)}


def verdicts(table: Table, controller: str, share: float, trials: int, seed: int) -> dict[str, Verdict]:
    """Return the verdict on each rule after one search."""
    sampler = controller_of(controller, table, seed, trials)
    trace = play(table, sampler, trials, seed, first=default_of(table, share, seed))
    found = {}
    for rule in RULES:
        place, reported = _chosen(table, trace, trials, seed, rule)
        true, default = table.truth(trace.params[place]), table.truth(trace.params[0])
        unit = table.typical - table.best
        # Costs: a report below the truth promises too much.
        gain, bias = (default - true) / unit, (true - reported) / unit
        found[rule] = Verdict(true > default + 1e-12, place == 0, _limited(gain), _limited(bias))
    return found


def _chosen(table: Table, trace: Trace, trials: int, seed: int, rule: str) -> tuple[int, float]:
    """Return the position that a rule chooses, and the cost that it reports for it."""
    spent = 0 if rule == "observed" else repeats(trials)
    usable = [i for i in range(min(trials - spent, len(trace.costs))) if math.isfinite(trace.costs[i])]
    costs = [[trace.costs[i]] for i in usable]
    default = usable.index(0) if rule == "shipped" and 0 in usable else None
    rng = generator(seed, "benchmark", table.name, "repeats")
    for left in range(spent, 0, -1):
        place = next_repeat(costs, left, default)
        if place is not None:
            costs[place].append(table.observe(trace.params[usable[place]], rng, ()).cost)
    if rule != "shipped":
        place = ranked(costs)[0]
        return usable[place], float(np.mean(costs[place]))
    estimates = estimate(Encoding(table.space), [trace.params[i] for i in usable], costs)
    place = winner(costs, estimates, default)
    reported = np.mean(costs[place]) if estimates is None else estimates.original(float(estimates.values[place]))
    return usable[place], float(reported)


def _limited(value: float) -> float:
    return float(np.clip(value, -LARGEST, LARGEST))


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("defaults", help=SUMMARY, description=SUMMARY)
    parser.add_argument("--tasks", default="tables", help="comma-separated tables as in `search` (default: tables)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with nas/ and hpo/")
    parser.add_argument("--controller", default="auto", help="controller of the searches (default: auto)")
    parser.add_argument("--trials", default="20,30,60", help="comma-separated lengths (default: 20,30,60)")
    parser.add_argument(
        "--best", default="0.5,0.1,0.01", help="shares of the table that the default is drawn from, the best ones"
    )
    parser.add_argument("--seeds", type=int, default=11, help="searches of each table (default: 11)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="keep results, and continue with the missing ones"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    try:
        lengths = [int(word) for word in args.trials.split(",") if word]
        shares = [float(word) for word in args.best.split(",") if word]
    except ValueError:
        raise ConfigError("--trials, --best: must be numbers such as 20,30 and 0.5,0.1") from None
    if args.seeds < 1 or not lengths or min(lengths) < 2 or not shares or not 0 < min(shares) <= max(shares) <= 1:
        raise ConfigError("--seeds must be at least 1, --trials at least 2, --best above 0 and at most 1")
    tables = [_renewed(name, args.data) for name in task_names(args.tasks.split(","), args.data)]
    kept = Kept.load(args.json, "defaults")
    rows = []
    for trials in lengths:
        for share in shares:
            of_rules: dict[str, list[Verdict]] = {rule: [] for rule in RULES}
            for seed in range(args.seeds):
                for table in tables:
                    for rule, verdict in _kept(kept, table, args.controller, share, trials, seed).items():
                        of_rules[rule].append(verdict)
            rows += [_row(trials, share, rule, found) for rule, found in of_rules.items()]
            sys.stderr.write(f"{trials} trials from the best {share:g}: {len(tables) * args.seeds} searches\n")
    kept.save({"rows": rows})
    _print(rows)


def _kept(kept: Kept, table: Table, controller: str, share: float, trials: int, seed: int) -> dict[str, Verdict]:
    asked = {"table": table.name, "content": table.content, "controller": controller, "share": share}
    asked |= {"trials": trials, "seed": seed}
    if table.likely:
        asked |= {"likely": dict(table.likely)}
    known = kept.get(asked)
    if known is None:
        with one_blas_thread():
            known = {
                rule: asdict(found) for rule, found in verdicts(table, controller, share, trials, seed).items()
            }
        kept.put(asked, known)
    return {rule: Verdict(**figures) for rule, figures in known.items()}


def _renewed(name: str, data: Path | None) -> Table:
    found = task(name, data)
    if not isinstance(found, Table):
        raise ConfigError(f"--tasks: '{name}' is not a table, whose best configurations are known")
    return Renewed(**{field.name: getattr(found, field.name) for field in fields(Table)})


def _row(trials: int, share: float, rule: str, found: Sequence[Verdict]) -> dict[str, Any]:
    columns: dict[str, Array] = {
        name: np.array([getattr(one, name) for one in found], dtype=float) for name in asdict(found[0])
    }
    means = {name: float(values.mean()) for name, values in columns.items()}
    return {"trials": trials, "best": share, "rule": rule, "searches": len(found), **means}


def _print(rows: Sequence[dict[str, Any]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    grid = Grid(title="The choice of a search against its default")
    for name in ("trials", "default among the best", "rule", "searches", "worse", "default kept", "gain", "bias"):
        grid.add_column(name)
    for row in rows:
        figures = (f"{row['worse']:.3f}", f"{row['kept']:.3f}", f"{row['gain']:+.4f}", f"{row['bias']:+.4f}")
        grid.add_row(str(row["trials"]), f"{row['best']:g}", row["rule"], str(row["searches"]), *figures)
    console.print(grid)
    console.print(EXPLAINED)
