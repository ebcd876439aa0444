"""One round: a search is killed, the same command is run again, and everything is compared."""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from paddle_automl.benchmarks.kills.search import NOTHING_KILLED, PHASES, TRIALS, VICTIMS, Started, phase_of
from paddle_automl.benchmarks.kills.state import finished_trials, in_shared_memory, layout, verified, weights_of
from paddle_automl.core.errors import SearchFailedError
from paddle_automl.pipeline.runs.folder import RunFolder

ORPHANS_S = 30.0
"""How long processes may outlive a killed search: a process that imports Paddle notices it only afterwards."""
_MOMENT_S = 0.5
"""Length of a pause between two trials."""
_NO_VICTIM_S = 60.0


@dataclass(frozen=True)
class Reference:
    """A search without a kill: the seconds of its phases, its weights and its files."""

    seconds: dict[str, float]
    weights: dict[str, str | None]
    layout: set[str]


def workers_of(seed: int) -> int:
    """Return the number of workers of a round: one and two in turn, in every phase and with every victim."""
    return 1 + (seed + seed // len(VICTIMS) + seed // (len(VICTIMS) * len(PHASES))) % 2


def reference(folder: Path, workers: int) -> Reference:
    """Run the search without a kill; raises SearchFailedError if even that fails."""
    search = Started(folder, workers)
    began = time.time()
    code, ended = search.wait(), time.time()
    if code or not verified(search.output):
        raise SearchFailedError(f"the search without a kill ends with exit code {code}: see {folder / 'log'}")
    signs = search.passed()
    order = sorted([*signs.items(), ("end", ended)], key=lambda item: item[1])
    seconds = {name: following - at for (name, at), (_, following) in itertools.pairwise(order)}
    seconds["start"] = order[0][1] - began
    return Reference(seconds, weights_of(search.output), layout(search.output))


def killed_round(folder: Path, seed: int, workers: int, known: Reference) -> dict[str, Any]:
    """Kill a search in `folder` at a random time of a random phase and return the results of the round.

    The folder is kept if the round has faults (see `wrong`).
    """
    chance = random.Random(seed)
    victim, phase = VICTIMS[seed % len(VICTIMS)], PHASES[seed // len(VICTIMS) % len(PHASES)]
    shared = in_shared_memory()
    search = Started(folder, workers)
    figures: dict[str, Any] = {"seed": seed, "workers": workers, "victim": victim, "aimed": phase}
    _wait_for_moment(search, phase, chance, known)
    before = finished_trials(search.output) if victim in ("worker", "fork server") else {}
    hit, killed = _kill(search, victim)
    signs = search.passed()
    figures["phase"] = phase_of(set(signs), bool(hit["worker"])) if killed else NOTHING_KILLED
    figures["first_exit"] = code = search.wait()
    family = [process for group in hit.values() for process in group]
    _, orphans = psutil.wait_procs(family, timeout=ORPHANS_S)
    if victim in ("coordinator", "all"):
        before = finished_trials(search.output)
    again = 0
    if code:
        again = Started(folder, workers).wait()
    after = finished_trials(search.output)
    figures |= {
        "exit": again,
        "verified": verified(search.output),
        "finished": len(before),
        "finished_same": all(after.get(number) == trial for number, trial in before.items()),
        "same_weights": weights_of(search.output) == known.weights,
        "orphans": len(orphans),
        "left": _left(folder, search.output, known, shared),
    }
    figures["wrong"] = wrong(figures)
    if not figures["wrong"]:
        shutil.rmtree(folder)
    return figures


def wrong(figures: dict[str, Any]) -> list[str]:
    """Return the faults after a round."""
    outside = figures["victim"] in ("worker", "fork server") and figures["first_exit"] != 0
    faults = {
        "the kill of a helper stopped the search": outside,
        f"exit code {figures['exit']} of the same command": figures["exit"] != 0,
        "no verified bundle": not figures["verified"],
        "a finished trial was changed": not figures["finished_same"],
        "other weights than without the kill": figures["workers"] == 1 and not figures["same_weights"],
        f"{figures['orphans']} processes were left": figures["orphans"] > 0,
        f"left behind: {', '.join(figures['left'])}": bool(figures["left"]),
    }
    return [text for text, holds in faults.items() if holds]


def _wait_for_moment(search: Started, phase: str, chance: random.Random, known: Reference) -> None:
    number = chance.randrange(TRIALS)
    sign = {"trials": f"trial {number}", "between trials": f"trial {number} ended"}.get(phase, phase)
    if phase != "start" and not search.wait_for(sign):
        return
    length = _MOMENT_S if phase == "between trials" else known.seconds.get(sign, 1.0)
    time.sleep(chance.random() * length)


def _kill(search: Started, victim: str) -> tuple[dict[str, list[psutil.Process]], int]:
    """Kill the victim as soon as it exists.

    Return the processes that lived at that time, by kind, and how many of them were killed.
    """
    give_up = time.monotonic() + _NO_VICTIM_S
    while True:
        found = search.family()
        targets = [process for group in found.values() for process in group]
        if victim == "worker":
            targets = found[victim][:1]
        elif victim != "all":
            targets = found[victim]
        if targets or not found["coordinator"] or time.monotonic() > give_up:
            break
        time.sleep(0.02)
    killed = 0
    for process in targets:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            killed += 1
    return found, killed


def _left(folder: Path, output: RunFolder, known: Reference, shared: set[str]) -> list[str]:
    """Return the names that remained in the temporary folder, in shared memory and in the output folder."""
    found = [str(path.relative_to(folder)) for path in (folder / "tmp").rglob("*")]
    found += sorted(in_shared_memory() - shared)
    return found + sorted(f"output/{name}" for name in layout(output) - known.layout)
