"""The command `benchmark predictor`: the overhead of `Predictor` over a bare loop, imports, hashes of a bundle."""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from paddle_automl.benchmarks.serving.bundle import write_bundle
from paddle_automl.core.files import write_json
from paddle_automl.core.runtime import MALLOC, processor_name, tune_process
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.exporters.paddle_inference import PaddleSession
from paddle_automl.deployment.integrity import file_record
from paddle_automl.deployment.predictor import Predictor

SUMMARY = "Measure what prediction costs beyond the network: overhead per batch, import, hashes of the files."
BATCH = 32
BARE = "bare loop"
TURN = 5
"""Calls of one kind before the next kind."""
HASHED_BYTES = 10_000_000
IMPORTS = {
    "import paddle": "import paddle",
    "import paddle, and Predictor": "import paddle\nimport paddle_automl\npaddle_automl.Predictor",
    "Predictor alone": "import paddle_automl\npaddle_automl.Predictor",
}


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("predictor", help=SUMMARY, description=SUMMARY)
    parser.add_argument("--rounds", type=int, default=60, help="rounds over all kinds of calls (default: 60)")
    parser.add_argument("--imports", type=int, default=5, help="processes per kind of import (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    parser.set_defaults(run=_predictor)


def _predictor(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="paddle_automl-benchmark-") as scratch:
        times = overhead(write_bundle(Path(scratch)), args.rounds)
        hashed = hash_ms(Path(scratch) / "hashed")
    imported = {name: import_cost(code, args.imports) for name, code in IMPORTS.items()}
    table = Table("batch of 32", "median ms", "lowest ms", "over bare", "standard error", box=None)
    for name, found in times.items():
        ratio, error = over(found, times[BARE])
        table.add_row(
            name, f"{median(found):.3f}", f"{min(found):.3f}", f"{100 * ratio:+.1f}%", f"{100 * error:.1f}"
        )
    screen = Console()
    screen.print(f"{processor_name()}, load {os.getloadavg()[0]:.1f}; CPU time, in turns, under 10% over bare")
    screen.print(table)
    for name, (wall, cpu) in imported.items():
        screen.print(f"{name}: {wall:.2f} s, {cpu:.2f} s of CPU time")
    screen.print(f"hashes of 10 MB in files of 1 MB: {hashed:.1f} ms (under 20 ms)")
    if args.json is not None:
        write_json(args.json, {"ms": times, "imports_s": imported, "hash_ms": hashed})


def overhead(bundle: Bundle, rounds: int) -> dict[str, list[float]]:
    """Return CPU milliseconds per batch of 32 in each round: Paddle Inference alone, and the predictor's calls.

    CPU time of the whole process, which other work on the machine lengthens least. The allocator is tuned as in
    this package's commands: else chance decides which loop has to get its memory from the system again.
    """
    tune_process((MALLOC,))
    shape = bundle.input.specs[0].zeros(BATCH).shape
    items = np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")
    arrays = bundle.input.batch(items)
    predictor = Predictor(bundle)
    single = list(items)
    calls: Mapping[str, Callable[[], object]] = {
        BARE: _bare(bundle, arrays),
        "Predictor.run (arrays)": lambda: predictor.run(arrays),
        "Predictor.predict_items (pixels)": lambda: predictor.predict_items(items),
        "Predictor.predict_read (answers)": lambda: predictor.predict_read(single),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        # Each kind comes after each other one as often.
        for name in list(calls) if turn % 2 else list(calls)[::-1]:
            # At the first call of a turn the caches hold another call's data.
            calls[name]()
            start = time.process_time()
            for _ in range(TURN):
                calls[name]()
            if turn:
                times[name].append((time.process_time() - start) / TURN * 1000)
    return times


def over(times: Sequence[float], bare: Sequence[float]) -> tuple[float, float]:
    """Return the median over the rounds of the cost over the bare loop's, and the standard error of a median."""
    ratios = np.array(times) / np.array(bare) - 1
    spread = 1.4826 * np.median(np.abs(ratios - np.median(ratios)))
    return float(np.median(ratios)), float(1.2533 * spread / np.sqrt(len(ratios)))


def _bare(bundle: Bundle, arrays: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
    """Return a call of Paddle Inference as its documentation shows it, in the caller's own thread."""
    network = PaddleSession.load(bundle.folder, None, 1)
    handles = [network.get_input_handle(name) for name in network.get_input_names()]
    output = network.get_output_handle(network.get_output_names()[0])

    def run() -> np.ndarray:
        for handle, array in zip(handles, arrays.values(), strict=True):
            handle.copy_from_cpu(array)
        network.run()
        found: np.ndarray = output.copy_to_cpu()
        return found

    return run


def import_cost(code: str, count: int) -> tuple[float, float]:
    """Return the median seconds, and seconds of CPU time, of running `code` in processes of its own."""
    walls, cpus = [], []
    for _ in range(count):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)
        walls.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(walls), median(cpus)


def hash_ms(folder: Path, rounds: int = 20) -> float:
    """Return the fastest time of hashing 10 MB in files of 1 MB, as loading a bundle does."""
    folder.mkdir()
    content = hashlib.shake_128(b"bundle").digest(HASHED_BYTES // 10)
    files = [folder / str(number) for number in range(10)]
    for file in files:
        file.write_bytes(content)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for file in files:
            file_record(file)
        times.append((time.perf_counter() - start) * 1000)
    return min(times)
