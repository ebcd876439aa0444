"""The command `benchmark serving`: the server's throughput, its memory, and what it withstands."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from paddle_automl.benchmarks.serving import hostile, memory, throughput
from paddle_automl.benchmarks.serving.bundle import write_bundle
from paddle_automl.benchmarks.serving.process import Server, started
from paddle_automl.benchmarks.training.command import tell
from paddle_automl.core.errors import SearchFailedError
from paddle_automl.core.files import write_json
from paddle_automl.core.runtime import processor_name
from paddle_automl.deployment.predictor import Predictor

SUMMARY = "Measure the server: throughput beside the bare network, memory, hostile requests."
DESCRIPTION = """Serves a small network for images of 32 x 32 pixels (or --bundle) in a process of its own.
throughput: float32 tensors in binary form, one item in each request; in turns with the bare network, which gets
batches of the size that the server formed. memory: what the server's processes hold over many requests. hostile:
truncated, oversized, wrong and slow requests, with healthy ones beside them. Exit code 2 if a goal is missed."""
WHAT = ("throughput", "memory", "hostile")
RATIO, SPREAD = 0.7, 5.0
"""Goals: least throughput as a fraction of the bare network's, and largest p99 as a multiple of p50."""
GROWTH_MB = 50.0
"""Most memory that hostile requests may leave behind: the caches of image decoders and of the allocator."""


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("serving", help=SUMMARY, description=f"{SUMMARY} {DESCRIPTION}")
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"any of {', '.join(WHAT)} (default: throughput)")
    parser.add_argument("--bundle", type=Path, metavar="PATH", help="serve this bundle instead")
    parser.add_argument("--connections", type=int, default=16, metavar="N", help="connections (16)")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="rounds of throughput (20)")
    parser.add_argument("--seconds", type=float, default=1.5, metavar="S", help="time of each measurement (1.5)")
    parser.add_argument("--requests", type=int, default=100_000, metavar="N", help="requests for memory (100000)")
    parser.add_argument("--attacks", type=int, default=10_000, metavar="N", help="hostile requests (10000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    asked = args.what or ["throughput"]
    unknown = [name for name in asked if name not in WHAT]
    if unknown:
        raise SearchFailedError(f"there is no measurement '{unknown[0]}'; valid: {', '.join(WHAT)}")
    with tempfile.TemporaryDirectory(prefix="serving-") as scratch:
        bundle = args.bundle or write_bundle(Path(scratch)).folder
        with started(bundle) as server:
            found = {name: globals()[f"_{name}"](server, bundle, args) for name in asked}
    tell("")
    if args.json is not None:
        write_json(args.json, {"command": "serving", "processor": processor_name(), **found})
    missed = [text for name in asked for text in found[name]["missed"]]
    for text in missed:
        sys.stdout.write(f"missed: {text}\n")
    if missed:
        raise SearchFailedError(f"{len(missed)} of the goals are missed")


def _throughput(server: Server, bundle: Path, args: argparse.Namespace) -> dict[str, Any]:
    rounds = throughput.measure(
        server, Predictor(bundle), connections=args.connections, rounds=args.rounds, seconds=args.seconds, tell=tell
    )  # fmt: skip
    columns = ("per_second", "batch", "bare_per_second", "ratio", "p50_ms", "p99_ms", "p99_over_p50", "errors")
    sys.stdout.write(f"\n| round | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}\n")
    for number, figures in enumerate(rounds, 1):
        sys.stdout.write(f"| {number} | {' | '.join(str(figures[name]) for name in columns)} |\n")
    ratio = statistics.median(figures["ratio"] for figures in rounds)
    spread = statistics.median(figures["p99_over_p50"] for figures in rounds)
    errors = sum(figures["errors"] for figures in rounds)
    sys.stdout.write(f"median: {ratio:.2f} of the bare network, p99 {spread:.2f} times p50, {errors} errors\n")
    missed = [f"throughput {ratio:.2f} of the bare network's, not {RATIO}"] if ratio < RATIO else []
    missed += [f"p99 is {spread:.2f} times p50, not under {SPREAD:g}"] if spread >= SPREAD else []
    missed += [f"{errors} requests were not answered"] if errors else []
    return {"rounds": rounds, "ratio": ratio, "p99_over_p50": spread, "missed": missed}


def _memory(server: Server, bundle: Path, args: argparse.Namespace) -> dict[str, Any]:
    del bundle
    found = memory.measure(server, requests=args.requests, connections=args.connections, tell=tell)
    sys.stdout.write(
        f"\nmemory: {found['memory_mb'][0]:.1f} MB at first, {found['memory_mb'][-1]:.1f} MB after "
        f"{found['requests']} requests; slope {found['slope_mb']:.2f} MB (95%: {found['interval_mb'][0]:.2f} to "
        f"{found['interval_mb'][1]:.2f}) for as many, {found['errors']} errors\n"
    )
    missed = [] if found["constant"] else [f"memory grows by {found['slope_mb']:.2f} MB"]
    missed += [f"{found['errors']} requests were not answered"] if found["errors"] else []
    return found | {"missed": missed}


def _hostile(server: Server, bundle: Path, args: argparse.Namespace) -> dict[str, Any]:
    del bundle
    processes = [process.pid for process in server.processes]
    asyncio.run(hostile.attack(server.target, requests=max(1, args.attacks // 20), seed=1))
    memory_before, files_before = server.memory_mb(), server.files()
    found = asyncio.run(hostile.attack(server.target, requests=args.attacks))
    files = _settled(server, files_before)
    grown = server.memory_mb() - memory_before
    sys.stdout.write(
        f"\nhostile: {found['hostile']} requests, answers {found['statuses']}; {found['healthy']} healthy ones "
        f"beside them, {found['healthy_unanswered']} not answered; memory {grown:+.1f} MB, open files "
        f"{files_before} before and {files} after\n"
    )
    missed = [f"{found['healthy_unanswered']} healthy requests were not answered"] * bool(
        found["healthy_unanswered"]
    )
    missed += [f"requests of the kinds {found['failed']} were answered with 500"] * bool(found["failed"])
    missed += [f"memory grew by {grown:.1f} MB"] * (grown > GROWTH_MB)
    missed += [f"{files - files_before} connections or files stayed open"] * (files > files_before)
    missed += ["a process of the server ended"] * ([item.pid for item in server.processes] != processes)
    missed += ["the server is not ready"] * (not asyncio.run(server.ready()))
    return found | {"memory_mb": round(grown, 1), "files": [files_before, files], "missed": missed}


def _settled(server: Server, files: int) -> int:
    """Return the number of open files when connections have had the time to end."""
    end = time.monotonic() + 30.0
    while server.files() > files and time.monotonic() < end:
        time.sleep(0.2)
    return server.files()
