"""The rounds as a table: phases and victims, and faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paddle_automl.benchmarks.kills.search import NOTHING_KILLED, PHASES, VICTIMS

COLUMNS = ("killed in", *VICTIMS, "recovered", "finished trials the same", "same weights, 1 worker", "left behind")


def rows(rounds: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the rows of the table, the last one for all phases; those where nothing was killed do not count."""
    by_phase = {phase: [r for r in rounds if r["phase"] == phase] for phase in PHASES}
    found = [_row(phase, members) for phase, members in by_phase.items() if members]
    return [*found, _row("all", [r for r in rounds if r["phase"] != NOTHING_KILLED])]


def _row(name: str, rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    alone = [r for r in rounds if r["workers"] == 1]
    recovered = sum(r["exit"] == 0 and r["verified"] for r in rounds)
    same = sum(r["same_weights"] for r in alone)
    left = sum(bool(r["left"]) or r["orphans"] > 0 for r in rounds)
    victims = [str(sum(r["victim"] == victim for r in rounds)) for victim in VICTIMS]
    kept = sum(r["finished_same"] for r in rounds)
    figures = [f"{recovered} of {len(rounds)}", f"{kept} of {len(rounds)}", f"{same} of {len(alone)}", str(left)]
    return [name, *victims, *figures]


def markdown(rounds: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown, with a line for each round that has a fault."""
    lines = [COLUMNS, ["---"] + ["---:"] * (len(COLUMNS) - 1), *rows(rounds)]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    nothing = sum(r["phase"] == NOTHING_KILLED for r in rounds)
    if nothing:
        text.append(f"- {nothing} more round(s) ended before there was anything to kill")
    for r in rounds:
        where = f"round {r['seed']}, {r['workers']} worker(s), {r['victim']} killed in {r['phase']}"
        text += [f"- {where}: {fault}" for fault in r["wrong"]]
    return "\n".join(text) + "\n"
