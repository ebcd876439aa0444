"""The command `benchmark search`: controllers on tables and synthetic tasks, as a table, JSON and a page."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from paddle_automl.benchmarks.kept import makers_of
from paddle_automl.benchmarks.search.catalogue import GROUPS, task_names
from paddle_automl.benchmarks.search.hub import REGISTRY
from paddle_automl.benchmarks.search.page import write_page
from paddle_automl.benchmarks.search.peers import PEERS
from paddle_automl.benchmarks.search.replay import SHORT, controller_of
from paddle_automl.benchmarks.search.runs import Results, Run, make_all
from paddle_automl.benchmarks.search.synthetic import Mixed
from paddle_automl.benchmarks.search.text import Question, print_summary, summary_of
from paddle_automl.core.errors import ConfigError
from paddle_automl.search.controllers.base import CONTROLLERS

SUMMARY = "Compare search controllers on tables and synthetic tasks, without any training."
OWN = "own"
DEFAULT = "auto,q_learning,gaussian_process,local_search,evolution,tpe,random"


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    search = commands.add_parser("search", help=SUMMARY, description=SUMMARY)
    groups = ", ".join(GROUPS)
    search.add_argument(
        "--tasks",
        default="synthetic",
        help=f"comma-separated tasks, groups ({groups}, tables = nas and hpo, all), or paths of tables: "
        "FILE.npz, FILE.npz:ARRAY, FILE.csv; NAME@others and NAME@worst are tables whose domains state as "
        "likely what is best or worst on tables of the same kind (default: synthetic, which needs no data)",
    )
    search.add_argument(
        "--controllers",
        default=DEFAULT,
        help="comma-separated controllers, each NAME or NAME:option=value+option=value; "
        f"own = all of the project except bayesian, grid and optuna; {', '.join((*SHORT, *PEERS))} "
        f"(default: {DEFAULT})",
    )
    search.add_argument("--trials", default="30,100", help="comma-separated budgets (default: 30,100)")
    search.add_argument("--seeds", type=int, default=20, help="runs of each controller and task (default: 20)")
    search.add_argument("--data", type=Path, metavar="DIR", help="folder with nas/ and hpo/")
    search.add_argument("--against", default="tpe", help="reference of the fractions and tests (default: tpe)")
    search.add_argument(
        "--final-choice",
        choices=("own", "all", "none"),
        default="own",
        help="controllers that use some of the budget for repeats of the best few: own (the project's), all, none",
    )
    search.add_argument(
        "--registry", type=Path, metavar="DIR", help="copy of OptunaHub's registry, if GitHub cannot be reached"
    )
    search.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    search.add_argument(
        "--json", type=Path, metavar="FILE", help="write results to FILE; runs already there are not repeated"
    )
    search.add_argument("--html", type=Path, metavar="FILE", help="write one page with plots")
    search.set_defaults(run=_search)


def _search(args: argparse.Namespace) -> None:
    if args.registry is not None:
        os.environ[REGISTRY] = str(args.registry)
    question = _question(args)
    runs = [
        Run(task, controller, seed)
        # Seeds outermost: an interrupted comparison covers everything a little.
        for seed in range(question.seeds)
        for task in question.tasks
        for controller in question.controllers
    ]
    results = Results.load(args.json)
    steps = max(1, len(runs) // 50)

    def tell(done: int, count: int) -> None:
        if done % steps == 0 or done == count:
            sys.stderr.write(f"\r{done} of {count} runs")
            sys.stderr.write("\n" if done == count else "")
            sys.stderr.flush()

    make_all(runs, question.budgets, args.data, results=results, path=args.json, workers=args.workers, tell=tell)
    summary = {**summary_of(results, question), "made": makers_of(results.runs[run.key] for run in runs)}
    results.save(args.json, summary)
    print_summary(Console(width=None if sys.stdout.isatty() else 200, highlight=False), summary)
    if args.html is not None:
        write_page(args.html, summary, results)


def _question(args: argparse.Namespace) -> Question:
    """Return the request; raises ConfigError for wrong words before anything runs."""
    controllers: list[str] = []
    for word in words(args.controllers):
        controllers.extend(
            name for name in (own_controllers() if word == OWN else [word]) if name not in controllers
        )
    if args.against not in controllers:
        controllers.append(args.against)
    probe = Mixed("probe", 0)
    for controller in controllers:
        controller_of(controller, probe, 0)
    try:
        budgets = sorted({int(word) for word in words(args.trials)})
    except ValueError:
        raise ConfigError(f"--trials: must be whole numbers such as 30,100, got {args.trials!r}") from None
    if not budgets or budgets[0] < 1 or args.seeds < 1 or args.workers < 1:
        raise ConfigError("--trials, --seeds and --workers: must be at least 1")
    tasks = task_names(words(args.tasks), args.data)
    return Question(tasks, controllers, budgets, args.seeds, args.against, args.final_choice)


def own_controllers() -> list[str]:
    """Return the project's controllers without `bayesian`, which takes 100 times as long as the others together."""
    return [name for name in CONTROLLERS.names() if name not in ("bayesian", "grid", "optuna")]


def words(text: str) -> list[str]:
    """Return the words between commas."""
    return [word for word in text.split(",") if word]
