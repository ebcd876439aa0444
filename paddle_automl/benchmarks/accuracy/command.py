"""The command `benchmark accuracy`: what whole searches reach in a given time, over several seeds."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from paddle_automl.benchmarks.accuracy.folds import images_of, make_fold, root_of
from paddle_automl.benchmarks.deadlines.cases import ROOT, TOOL
from paddle_automl.benchmarks.deadlines.measure import LAST_LINES, result_of, summary_of, watch
from paddle_automl.benchmarks.kept import Kept
from paddle_automl.benchmarks.training.command import screen, tell
from paddle_automl.core.errors import BundleError, ConfigError, SearchFailedError
from paddle_automl.core.files import digest
from paddle_automl.core.loading import parse_overrides, read_config
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.pipeline.runs.folder import RunFolder

SUMMARY = (
    "Run whole searches of a configuration with a time budget: what their models reach on validation and test."
)
DESCRIPTION = """From the start of the command to the verified bundle. Each seed has its own random splits, unless
the data set gives them, and its own trials. With --folds the test splits are the parts of a folder of images, so
that each image is tested once. The machine should be idle. With --json results are kept, and searches
that are already there are not run again while their configuration says the same, unless they failed."""


@dataclass(frozen=True)
class TimedSearch:
    """One search: a configuration with changes (``key=value``), a budget in minutes, and a seed.

    `content` is a hash of what the configuration says, with its bases and changes. With `folds` its test split is
    part number `seed` of as many of the images in `root`.
    """

    config: str
    content: str
    changes: tuple[str, ...]
    minutes: float
    seed: int
    folds: int | None = None
    root: str | None = None

    def asked(self) -> dict[str, Any]:
        """Return the request as plain values, by which its results are found again."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @property
    def allowed_s(self) -> float:
        """Return the latest allowed end of the command: 2% or 10 s after its budget, whichever is later."""
        return 60 * self.minutes + max(1.2 * self.minutes, 10.0)

    def command(self, output: Path) -> list[str]:
        """Return the words of the command."""
        own = (f"output={output}", f"budget.time={60 * self.minutes:g}s", f"seed={self.seed}")
        words = [word for change in (*self.changes, *own) for word in ("-o", change)]
        return [sys.executable, str(TOOL), "-c", self.config, *words]

    def measure(self) -> dict[str, Any]:
        """Run it with a temporary output and return its results, with size and latency of the model."""
        with tempfile.TemporaryDirectory() as temporary:
            output, log = RunFolder(Path(temporary, "output")), Path(temporary, "log")
            search = self._on_fold(Path(temporary, "images"))
            # In the caller's folder, so that paths in the configuration and its changes are those of a search.
            figures = {**watch(search, output, log, Path.cwd()), **result_of(output), **summary_of(output)}
            figures |= {**_model_of(output), "compressed": _compressed_of(output)}
            if figures["exit_code"] != 0:
                text = log.read_text(encoding="utf-8", errors="replace")
                figures["last_lines"] = text.splitlines()[-LAST_LINES:]
            return figures

    def _on_fold(self, folder: Path) -> TimedSearch:
        """Return the search with its fold made in `folder`; without folds it stays as it is."""
        if self.folds is None or self.root is None:
            return self
        make_fold(images_of(self.config, self.changes), folder, self.seed, self.folds)
        own = (f"data.dataset.root={folder}", "data.dataset.layout=splits")
        return replace(self, changes=(*self.changes, *own))


def _compressed_of(output: RunFolder) -> list[dict[str, Any]]:
    """Return what a chain of compression made of the model: how much validation lost by it, size, latency."""
    if not output.summary.is_file():
        return []
    chain = json.loads(output.summary.read_text(encoding="utf-8")).get("compression") or {}
    found = []
    for made in chain.get("bundles", ()):
        step = made["metrics"]["compression"]
        single = [item["p50_ms"] for item in made["latency"] if item["batch_size"] == 1]
        name, size = Path(made["bundle"]).name, round(made["size_mb"], 3)
        lost = {"metric": step["metric"], "drop": step["drop"]}
        found.append({"name": name, **lost, "size_mb": size, "latency_ms": min(single, default=None)})
    return found


def _model_of(output: RunFolder) -> dict[str, Any]:
    """Return the size of the model on disk in MB, and its latency in ms at batch 1; None where not known."""
    try:
        bundle = Bundle.open(output.bundle)
    except BundleError:
        return {"size_mb": None, "latency_ms": None}
    single = [found.p50_ms for found in bundle.info.latency if found.batch_size == 1]
    return {"size_mb": round(bundle.size_mb, 3), "latency_ms": min(single, default=None)}


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("accuracy", help=SUMMARY, description=f"{SUMMARY} {DESCRIPTION}")
    parser.add_argument("-c", "--config", required=True, metavar="FILE", help="configuration of the search")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="change one key")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 5.0], metavar="M", help="budgets (1 5)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 of each (3)")
    parser.add_argument(
        "--folds", type=int, metavar="N", help="instead of seeds: folds of a folder of images, each tested once"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    wanted = searches(args.config, args.override, args.minutes, args.seeds, args.folds)
    kept = Kept.load(args.json, "accuracy")
    found = []
    for number, search in enumerate(wanted, start=1):
        part = "seed" if search.folds is None else "fold"
        tell(f"{search.minutes:g} min, {part} {search.seed} ({number} of {len(wanted)})")
        figures = kept.get(search.asked())
        # A search that failed, as for lack of its data, may succeed now.
        if figures is None or figures.get("exit_code") != 0:
            figures = search.measure()
            kept.put(search.asked(), figures)
        found.append((search, figures))
    tell("")
    kept.save({"config": args.config})
    print_figures(screen(), found)
    without = sum(not figures["verified"] for _, figures in found)
    failed = sum(bool(_failure(figures)) for _, figures in found)
    if failed:
        bundles = f"; {without} of them left no verified bundle" if without else ""
        raise SearchFailedError(f"{failed} of {len(found)} searches failed{bundles}")


def _failure(figures: dict[str, Any]) -> str:
    """Return why a search counts as failed, with the last lines that it wrote; empty if it did not fail."""
    if figures["exit_code"] == 0:
        return "" if figures["verified"] else "it left no verified bundle"
    return f"exit code {figures['exit_code']}: {' | '.join(figures.get('last_lines') or ['no output'])}"


def searches(
    config: str, changes: list[str], minutes: list[float], seeds: int, folds: int | None = None
) -> list[TimedSearch]:
    """Return the searches, shortest first; raises ConfigError for what cannot be run."""
    if not TOOL.is_file():
        raise ConfigError(f"accuracy: runs the commands of a checkout, but there is no {TOOL}; clone one")
    file = next((path for path in (Path(config), ROOT / config) if path.is_file()), None)
    if file is None:
        raise ConfigError(f"accuracy: there is no configuration {config}")
    if seeds < 1 or min(minutes) <= 0:
        raise ConfigError("accuracy: --seeds must be at least 1 and --minutes more than 0")
    absolute, given, root = str(file.resolve()), tuple(changes), None
    # What the file says, not its name: the same name may say something else by the next run.
    content = digest(read_config(absolute, parse_overrides(given))[0])
    if folds is not None:
        if folds < 2:
            raise ConfigError("accuracy: --folds must be at least 2")
        root = str(root_of(absolute, given))
    parts = range(seeds if folds is None else folds)
    return [
        TimedSearch(absolute, content, given, budget, part, folds, root)
        for budget in sorted(minutes)
        for part in parts
    ]


def print_figures(console: Console, found: list[tuple[TimedSearch, dict[str, Any]]]) -> None:
    """Print a row per search, and the mean over the seeds of each budget with its standard error."""
    metric = next((figures["metric"] for _, figures in found if figures["metric"]), "metric not known")
    table = Table(title=f"{metric} of whole searches", title_justify="left")
    part = "seed" if found[0][0].folds is None else "fold"
    for name in ("minutes", part, "took s", "first bundle s", "trials", "validation", "test", "MB", "ms"):
        table.add_column(name, justify="right")
    for search, figures in found:
        forms = {"first_bundle_s": ".1f", "trials": "d", "validation": ".4f", "test": ".4f"}
        cells = [
            _text(figures[key], form) for key, form in {**forms, "size_mb": ".2f", "latency_ms": ".2f"}.items()
        ]
        late = " !" if figures["took_s"] > search.allowed_s else ""
        table.add_row(f"{search.minutes:g}", str(search.seed), f"{figures['took_s']:.1f}{late}", *cells)
    console.print(table)
    for search, figures in found:
        for made in figures.get("compressed") or ():
            # Results of earlier versions do not say what was lost.
            lost = f"{made.get('metric', 'validation')} worse by {_text(made.get('drop'), '.4f')} on validation"
            console.print(
                f"{search.minutes:g} min, {part} {search.seed}: {made['name']}: {lost}, "
                f"{_text(made['latency_ms'], '.2f')} ms ({_text(figures['latency_ms'], '.2f')} ms before), "
                f"{made['size_mb']:.2f} MB"
            )
    for minutes in sorted({search.minutes for search, _ in found}):
        scores = [figures["test"] for search, figures in found if search.minutes == minutes]
        known = [score for score in scores if score is not None]
        if len(known) > 1:
            error = stdev(known) / len(known) ** 0.5
            count = f"{len(known)} of {len(scores)}" if len(known) < len(scores) else str(len(known))
            console.print(f"{minutes:g} min: test {fmean(known):.4f} +- {error:.4f} over {count} {part}s")
    for search, figures in found:
        if failure := _failure(figures):
            text = f"{search.minutes:g} min, {part} {search.seed}: {failure}"
            console.print(text, style="bold", markup=False)


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
