"""Tables of results, and the commands to try next."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from paddle_automl.core.paths import readable
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.compress import CompressionOutcome
from paddle_automl.pipeline.progress.display import best_table
from paddle_automl.pipeline.progress.results import BundleOutcome, SearchResult, TrainingOutcome

_SHOWN_TRIALS = 10
_PROGRAM = Path(sys.executable).name


def print_search(console: Console, config: RunConfig, result: SearchResult) -> None:
    """Print what a search found, where everything lies, and what to do next."""
    objectives = config.search.objectives
    describe = result.describe
    console.print()
    console.print(best_table(result.configurations[:_SHOWN_TRIALS], objectives, describe, "best trials"))
    if len(objectives) > 1:
        front = [item for item in result.configurations if item.first in result.pareto]
        console.print()
        console.print(best_table(front, objectives, describe, "Pareto front"))
    states = [record.state for record in result.trials if record.counted]
    counts = ", ".join(
        f"{states.count(name)} {name}" for name in ("complete", "pruned", "failed") if name in states
    )
    console.print(f"\n{len(states)} trials ({counts}) in {result.seconds:.0f} s; the search ended: {result.ended}")
    _print_gain(console, result)
    console.print(f"exported: {_source_text(result)}")
    print_bundle(result.bundle, console)
    output = result.output
    rows = {
        "model": result.bundle.bundle,
        "best configuration": output / "best.yaml",
        "trials": output / "trials",
        "pictures": f"{output / 'search_history.png'}, {output / 'learning_curves.png'}",
    }
    console.print(_pairs("results", rows))
    examples = list_samples(result.bundle.bundle)
    commands = [
        f"tools/predict.py -m {quoted(result.bundle.bundle)} {examples}",
        f"tools/evaluate.py -m {quoted(output)}",
        f"tools/train.py -c {quoted(output / 'best.yaml')}",
    ]
    print_next(console, commands, visualdl=output / "visualdl" if config.visualdl else None)


def _print_gain(console: Console, result: SearchResult) -> None:
    choice = result.final_choice
    if choice is not None:
        told = f"final choice: trial {choice.winner.first.number}, mean {choice.metric} {choice.mean:.4g}"
        told += f" of {len(choice.winner.runs)} runs ({choice.lowest:.4g} to {choice.highest:.4g}); "
        if choice.observed is choice.winner:
            told += "it was the best single observation too"
        else:
            first = (choice.observed.first.values or (0.0,))[0]
            told += f"the best single observation, trial {choice.observed.first.number} with {first:.4g}, "
            told += f"has a mean of {choice.observed_mean:.4g}: gain {choice.gain:.4g}"
        console.print(told)
    own = next((item for item in result.configurations if item.first.baseline), None)
    if own is None or own is result.configurations[0]:
        return
    name, before, after = result.objectives[0].metric, own.values[0], result.configurations[0].values[0]
    console.print(
        f"the configuration's own values (trial {own.first.number}): {name} {before:.4g}; best: {after:.4g}"
    )


def _source_text(result: SearchResult) -> str:
    if result.source == "final" and result.final is not None:
        return f"the last training of trial {result.best.number}'s configuration ({result.final.epochs_run} epochs)"
    why = "there was no last training" if result.final is None else "better on validation than the last training"
    return f"the weights of trial {int(Path(result.source).name)}: {why}"


def print_bundle(outcome: BundleOutcome, console: Console | None = None) -> None:
    """Print scores, proof, size and speed of a bundle."""
    screen = console or Console(highlight=False, soft_wrap=True)
    rows: dict[str, Any] = {}
    for part in ("validation", "test"):
        scores = outcome.metrics.get(part)
        if scores:
            rows[part] = ", ".join(f"{key} {value:.4f}" for key, value in scores.items())
    if outcome.metrics.get("note"):
        rows["note"] = outcome.metrics["note"]
    costs = outcome.metrics.get("costs", {})
    if costs:
        rows["network"] = f"{costs['parameters']:,.0f} parameters, {costs['flops'] / 1e6:.2f} million FLOPs"
    rows["size"] = f"{outcome.size_mb:.3f} MB on disk"
    for item in outcome.latency:
        rows[f"latency, batch {item['batch_size']}"] = (
            f"{item['p50_ms']:.2f} ms (p95 {item['p95_ms']:.2f}), {item['threads']} thread(s), {item['processor']}"
        )
    rows["proof"] = outcome.parity_summary
    for extra in outcome.formats:
        rows[f"format {extra['name']}"] = _format_text(extra)
    if outcome.formats and outcome.fastest:
        rows["fastest format"] = outcome.fastest
    screen.print(_pairs("exported model", rows))


def _format_text(facts: Mapping[str, Any]) -> str:
    times = ", ".join(f"{item['p50_ms']:.2f} ms at batch {item['batch_size']}" for item in facts["latency"])
    return f"{times}; {facts['parity_summary']}" if times else str(facts["parity_summary"])


def print_training(console: Console, config: RunConfig, outcome: TrainingOutcome) -> None:
    """Print the validation metrics of one training and the next commands."""
    for note in outcome.notes:
        console.print(f"note: {note}", markup=False)
    rows = {
        key: f"{value:,.0f}" if key in ("parameters", "flops") else f"{value:.4f}"
        for key, value in outcome.metrics.items()
    }
    console.print(_pairs(f"validation, best epoch {outcome.best_epoch} of {outcome.epochs_run}", rows))
    for file, reason in outcome.skipped_files:
        console.print(f"left out: {file}: {reason}", markup=False)
    folder = quoted(outcome.folder)
    print_next(
        console,
        [f"tools/evaluate.py -m {folder}", f"tools/export.py -m {folder}"],
        visualdl=outcome.folder / "visualdl" if config.visualdl else None,
    )


def print_evaluation(console: Console, outcome: Mapping[str, Any]) -> None:
    """Print metrics, per-class figures, confusion matrix and worst mistakes."""
    metrics = ", ".join(f"{key} {value:.4f}" for key, value in outcome["metrics"].items())
    if outcome.get("note"):
        console.print(f"note: {outcome['note']}", markup=False)
    console.print(f"{outcome['part']} part, {outcome['images']} images: {metrics}\n")
    table = Table("class", "precision", "recall", "F1", "images", box=None, title="per class", title_justify="left")
    for row in outcome["per_class"]:
        figures = (f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        table.add_row(row["class"], *figures, str(row["support"]))
    console.print(table)
    names = outcome["class_names"]
    matrix = Table("true \\ predicted", *names, box=None, title="confusion matrix", title_justify="left")
    for name, counts in zip(names, outcome["confusion_matrix"], strict=True):
        matrix.add_row(name, *(str(count) if count else "." for count in counts))
    console.print()
    console.print(matrix)
    if outcome["worst_mistakes"]:
        columns = ("image", "is", "with probability", "predicted", "with probability")
        worst = Table(*columns, box=None, title="worst mistakes", title_justify="left")
        for item in outcome["worst_mistakes"]:
            place = item["file"] or f"number {item['index']}"
            true, predicted = (f"{item[key]:.4f}" for key in ("label_probability", "probability"))
            worst.add_row(place, item["label"], true, item["predicted"], predicted)
        console.print()
        console.print(worst)


def print_compression(console: Console, outcome: CompressionOutcome) -> None:
    """Print a row per link of the chain, why each was kept or rejected, and the bundles."""
    keys = list(dict.fromkeys(key for row in outcome.table for key in row))
    keys = [key for key in keys if key not in ("kept", "why")] + ["kept"]
    title = "compression, on the validation part; times are p50/p95, speed-up over float32 before"
    table = Table(*keys, title=title, title_justify="left", box=None)
    for row in outcome.table:
        table.add_row(*(row.get(key, "") for key in keys))
    console.print()
    console.print(table)
    for link in outcome.links[1:]:
        console.print(f"{link['name']}: {'kept' if link['kept'] else 'rejected'}: {link['reason']}", markup=False)
    for bundle in outcome.bundles:
        console.print(f"{bundle['bundle']}: {bundle['size_mb']:.3f} MB, {bundle['parity_summary']}", markup=False)
        for extra in bundle["formats"]:
            console.print(f"  {extra['name']}: {_format_text(extra)}", markup=False)
        if bundle["formats"] and bundle["fastest"]:
            console.print(f"  fastest: {bundle['fastest']}", markup=False)
    if outcome.best is None:
        console.print("no step was kept: the network before compression stays the best")
    else:
        console.print(f"best: {outcome.best}", markup=False)


def print_dry_run(console: Console, facts: Mapping[str, Any]) -> None:
    """Print the size of the space, the times of the smallest and largest candidate, and what fits."""
    data, size = facts["data"], facts["size"]
    count = "infinitely many" if size is None else f"{size:,}"
    rows = {
        "data": f"{data['train']} training, {data['validation']} validation, {data['test']} test images, "
        f"{len(data['classes'])} classes, input {'x'.join(map(str, data['input_shape']))}",
        "space": f"{facts['decisions']} decisions, {count} configurations",
    }
    for name in ("smallest", "largest"):
        item = facts[name]
        rows[f"{name} candidate"] = (
            f"{item['flops'] / 1e6:.2f} million FLOPs, {item['parameters']:,} parameters: "
            f"{item['epoch_s']:.2f} s per epoch, {item['trial_s']:.1f} s per trial"
        )
    rows["trials"] = facts["fits"]
    console.print(_pairs("dry run: nothing was trained or written", rows))


def print_next(console: Console, commands: list[str], visualdl: Path | None) -> None:
    """Print the next commands to try, ready to be copied."""
    lines = [f"  {_PROGRAM} {command}" for command in commands]
    if visualdl is not None:
        lines.append(f"  visualdl --logdir {quoted(visualdl)} --disable-telemetry")
    console.print("\nnext:")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def list_samples(bundle: Path) -> str:
    """Return one sample image of a bundle for an example command."""
    images = sorted(
        path for path in (bundle / "samples").glob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg")
    )
    return quoted(images[0]) if images else "IMAGE"


def quoted(path: Path) -> str:
    """Return a path as it can be pasted into a shell."""
    import shlex

    return shlex.quote(readable(path))


def _pairs(title: str, rows: Mapping[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(key, str(value))
    return table
