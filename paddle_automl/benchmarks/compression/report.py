"""The results as tables, and the requirements that they meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from paddle_automl.benchmarks.compression.plan import CHAIN, INT8_CASES

HALF = 0.505
"""Fraction of the FLOPs that counts as half: filters remain in multiples of eight."""
PRUNED_DROP, INT8_DROP = 1.0, 0.5
INT8_SPEEDUP, INT8_SIZE = 1.8, 0.3
CHAIN_S = 300.0
SPEED_BATCHES = ("8", "32")


@dataclass(frozen=True)
class Requirement:
    """One requirement with the measured value."""

    text: str
    measured: str
    reached: bool

    def __str__(self) -> str:
        return f"{'reached' if self.reached else 'not reached'}: {self.text}: {self.measured}"


def requirements(figures: Mapping[str, Any]) -> list[Requirement]:
    """Return the requirements for one network and data set, for the measured cases."""
    return list(_requirements(figures))


def _requirements(figures: Mapping[str, Any]) -> Iterator[Requirement]:
    cases, test = figures["cases"], figures["test_accuracy"]
    if "prune_filters" in cases:
        before, step = _first_and_last(cases["prune_filters"])
        share, drops = step["flops"] / before["flops"], _drops(before, step, test)
        yield Requirement(
            f"filters pruned to half the FLOPs, at most {PRUNED_DROP:g} point lost",
            f"{share:.3f} of the FLOPs, {_drop_text(drops)}",
            share <= HALF and _within(drops, PRUNED_DROP),
        )
    for name in INT8_CASES:
        if name not in cases:
            continue
        before, step = _first_and_last(cases[name])
        drops = _drops(before, step, test)
        yield Requirement(
            f"{name}: int8 at most {INT8_DROP:g} points below float32",
            _drop_text(drops),
            _within(drops, INT8_DROP),
        )
        times = {size: pace["speedup"] for size, pace in step["latency"]["int8"].items()}
        yield Requirement(
            f"{name}: int8 at least {INT8_SPEEDUP:g} times as fast as float32 at batch 8 or 32",
            ", ".join(f"batch {size}: {value:.2f}" for size, value in times.items()),
            max(times[size] for size in SPEED_BATCHES) >= INT8_SPEEDUP,
        )
        yield Requirement(
            f"{name}: weights at most {INT8_SIZE:g} of float32's",
            f"{step['weights_ratio']:.3f}",
            step["weights_ratio"] <= INT8_SIZE,
        )
    if CHAIN in cases and figures["dataset"] == "digits":
        seconds = cases[CHAIN]["seconds"]
        yield Requirement(
            f"the whole chain within {CHAIN_S:.0f} s", _seconds_text(cases[CHAIN]), seconds <= CHAIN_S
        )


def _seconds_text(case: Mapping[str, Any]) -> str:
    load = case["load_before"]
    return f"{case['seconds']:.0f} s" + ("" if load is None else f", load {load:.1f} at its start")


def _first_and_last(case: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return case["steps"][0], case["steps"][-1]


def _drops(before: Mapping[str, Any], step: Mapping[str, Any], test: float) -> dict[str, float]:
    """Return the drop of accuracy in percentage points, by split; a rejected step was not tested."""
    drops = {"validation": 100 * (before["accuracy"] - step["accuracy"])}
    if "test_accuracy" in step:
        drops["test"] = 100 * (test - step["test_accuracy"])
    return drops


def _within(drops: Mapping[str, float], limit: float) -> bool:
    return all(drop <= limit + 1e-6 for drop in drops.values())


def _drop_text(drops: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {0.0 - drop:+.2f}" for part, drop in drops.items()) + " points"


def print_figures(console: Console, figures: Mapping[str, Any]) -> None:
    """Print a table for one network on one data set, and its requirements."""
    title = (
        f"{figures['network']}, {figures['parameters']:,} parameters, on {figures['dataset']}: accuracy with "
        "points against float32; ms p50/p95 with speed-up over float32 in the same race"
    )
    sizes = next(iter(figures["cases"].values()))["compression"]["speed"]["batch_sizes"]
    columns = ("case", "network", "validation", "test", "FLOPs", "parameters", "weights", "runs as")
    table = Table(*columns, *(f"batch {size}" for size in sizes), title=title, title_justify="left", box=None)
    for name, case in figures["cases"].items():
        for row in _rows(name, case, figures["test_accuracy"]):
            table.add_row(*row)
    console.print()
    console.print(table)
    seconds = {name: _seconds_text(case) for name, case in figures["cases"].items()}
    console.print("; ".join(f"{name} took {text}" for name, text in seconds.items()), markup=False)
    for requirement in requirements(figures):
        console.print(str(requirement), markup=False)


def _rows(case: str, facts: Mapping[str, Any], test: float) -> Iterator[list[str]]:
    before = facts["steps"][0]
    for position, step in enumerate(facts["steps"]):
        drops = _drops(before, step, test)
        tested = test if position == 0 else step.get("test_accuracy")
        head = [
            case if position == 0 else "",
            step["name"] + ("" if step["kept"] else " (rejected)"),
            f"{step['accuracy']:.4f} ({0.0 - drops['validation']:+.2f})",
            "-" if tested is None else f"{tested:.4f} ({100 * (tested - test):+.2f})",
            f"{step['flops'] / max(before['flops'], 1):.2f}",
            f"{step['parameters']:,}",
            f"{step['weights_ratio']:.3f}",
        ]
        if not step["latency"]:
            yield [case if position == 0 else "", f"{step['name']} ({step['reason']})"]
        for runtime, sizes in step["latency"].items():
            if runtime in step.get("formats", {}):
                found = step["formats"][runtime]
                head[2:4] = [f"{found[key]:.4f}" if key in found else "-" for key in ("accuracy", "test_accuracy")]
            times = [f"{pace['p50_ms']:.2f}/{pace['p95_ms']:.2f} {pace['speedup']:.2f}x" for pace in sizes.values()]
            yield [*head, runtime, *times]
            head = [""] * len(head)
