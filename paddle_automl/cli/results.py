"""Tables of results, and the commands to try next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from paddle_automl.core.display_text import shown
from paddle_automl.core.paths import readable
from paddle_automl.core.program import command
from paddle_automl.deployment.bundle import SAMPLES
from paddle_automl.deployment.only_answer import sentence_of
from paddle_automl.pipeline.commands import DryRun, TrainingOutcome
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.bundle import BundleResult, FormatResult
from paddle_automl.pipeline.jobs.compress import CompressResult
from paddle_automl.pipeline.progress.display import best_table
from paddle_automl.pipeline.progress.results import SearchResult
from paddle_automl.pipeline.runs.folder import JOINED, RunFolder, name_of
from paddle_automl.tasks.answers import float_text
from paddle_automl.tasks.metrics.base import METRICS
from paddle_automl.tasks.metrics.spelling import text_of

_SHOWN_TRIALS = 10
_SHOWN_NAMES = 10
_FEW_FLOPS = 10_000
"""FLOPs below which they are shown as they are, not in millions."""


def print_search(console: Console, config: RunConfig, result: SearchResult) -> None:
    """Print what a search found, where the results are, and what to do next."""
    objectives = result.objectives
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
    console.print(Text(shown(f"exported: {_source_text(result)}")))
    print_bundle(result.bundle, console, _validated_on(result))
    if result.compression is not None:
        print_compression(console, result.compression)
    folder = RunFolder(result.output)
    rows = {
        "model": result.bundle.bundle,
        "best configuration": folder.best,
        "trials": folder.trials,
        "pictures": f"{folder.history_picture}, {folder.curves_picture}",
        **({"report": folder.report} if folder.report.is_file() else {}),
        "time": _stages_text(result, config),
    }
    console.print(_pairs("results", rows))
    print_next(console, search_commands(config, result), visualdl=folder.visualdl if config.visualdl else None)


def search_commands(config: RunConfig, result: SearchResult) -> list[str]:
    """Return the commands that work on the results of a search."""
    # A bundle needs the code that it was made with, and loads none by itself.
    code = "".join(f" --plugin {quoted(name)}" for name in config.plugins)
    split = "" if result.data.test else " --split validation"
    return [
        f"{command('predict')} -m {quoted(result.bundle.bundle)}{code} {sample_of(result.bundle.bundle)}",
        f"{command('evaluate')} -m {quoted(result.output)}{code}{split}",
        f"{command('train')} -c {quoted(RunFolder(result.output).best)}",
    ]


def _print_gain(console: Console, result: SearchResult) -> None:
    choice = result.final_choice
    if choice is not None:
        text = f"final choice: trial {choice.winner.first.number}, mean {choice.metric} {choice.mean:.4g}"
        text += f" of {len(choice.winner.runs)} runs ({choice.lowest:.4g} to {choice.highest:.4g}); "
        if choice.observed is choice.winner:
            text += "it was also the best single observation"
        else:
            number, value = choice.observed.first.number, choice.observed_value
            text += f"the best single observation, trial {number} with {value:.4g}, "
            text += f"has a mean of {choice.observed_mean:.4g}: gain {choice.gain:.4g}"
        console.print(Text(shown(text)))
    own = next((item for item in result.configurations if item.first.baseline), None)
    if own is None or own is result.configurations[0]:
        return
    name, before, after = result.objectives[0].metric, own.values[0], result.configurations[0].values[0]
    text = f"the configuration's own values (trial {own.first.number}): {name} {before:.4g}; best: {after:.4g}"
    console.print(Text(shown(text)))


def _source_text(result: SearchResult) -> str:
    if result.bundle.kept:
        return f"an earlier bundle, of {name_of(result.source)}: {result.bundle.kept}"
    source = RunFolder(result.output).inside(result.source)
    if result.refit is not None and source.path == RunFolder(result.output).refit.path:
        return f"the refit of trial {result.best.number}'s configuration ({result.refit.epochs_run} epochs)"
    if source.path.parent == RunFolder(result.output).fine_tuned("any").path.parent:
        return f"the network of trial {result.best.number}, fine-tuned ({result.source}): better on validation"
    if source.path == RunFolder(result.output).in_ensemble(JOINED).path:
        return f"an ensemble of the best trials in one network ({result.source}): better on validation"
    why = "there was no refit" if result.refit is None else "better on validation than the refit"
    return f"the weights of trial {int(source.path.name)}: {why}"


def _validated_on(result: SearchResult) -> str:
    """Return on which folds the exported network's validation scores were measured, if there are folds."""
    if not result.best.folds or result.bundle.kept or not result.bundle.metrics.get("validation"):
        return ""
    folder, winner = RunFolder(result.output), result.configurations[0]
    source = folder.inside(result.source)
    if source.path.parent == folder.trials:
        return f"the first of {result.best.folds[1]} folds alone"
    if result.refit is not None and source.path == folder.refit.path and result.refit.on == "train+validation":
        return winner.folds_text or f"mean over {result.best.folds[1]} folds"
    return ""


def _stages_text(result: SearchResult, config: RunConfig) -> str:
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.stage_seconds.items())
    budget = "" if config.budget.time is None else f" of {config.budget.time:.0f} s"
    return f"{took}; {result.seconds:.1f} s{budget} in all"


def print_bundle(outcome: BundleResult, screen: Console, validated_on: str = "") -> None:
    """Print scores, parity, size and speed of a bundle; `validated_on` tells more about its validation items."""
    rows: dict[str, Any] = {}
    for split in ("validation", "test"):
        scores = outcome.metrics.get(split)
        if scores:
            rows[split] = ", ".join(f"{key} {float_text(value)}" for key, value in scores.items())
    if validated_on:
        rows["validation"] += f" ({validated_on})"
    rows["note"] = outcome.metrics.get("note")
    rows["answers"] = sentence_of(outcome.metrics)
    costs = outcome.metrics.get("costs", {})
    if costs:
        rows["network"] = f"{costs['parameters']:,.0f} parameters, {_flops_text(costs['flops'])}"
    rows["size"] = f"{outcome.size_mb:.3f} MB on disk"
    several = len({item["threads"] for item in outcome.latency}) > 1
    for item in outcome.latency:
        threads = f", {item['threads']} threads" if several else ""
        rows[f"latency, batch {item['batch_size']}{threads}"] = (
            f"{item['p50_ms']:.2f} ms (p95 {item['p95_ms']:.2f}), {item['threads']} thread(s), {item['processor']}"
        )
    rows["parity"] = outcome.parity_summary
    rows["calibration"] = outcome.calibration_summary
    rows["intervals"] = outcome.intervals_summary
    rows["unknown items"] = outcome.rejection_summary
    for extra in outcome.formats:
        rows[f"format {extra.name}"] = _format_text(extra)
    if outcome.formats and outcome.fastest:
        rows["fastest format"] = outcome.fastest
    screen.print(_pairs("exported model", {key: value for key, value in rows.items() if value}))


def _flops_text(flops: float) -> str:
    return f"{flops:,.0f} FLOPs" if flops < _FEW_FLOPS else f"{flops / 1e6:.2f} million FLOPs"


def _format_text(facts: FormatResult) -> str:
    several = len({item["threads"] for item in facts.latency}) > 1
    times = ", ".join(
        f"{item['p50_ms']:.2f} ms at batch {item['batch_size']}"
        + (f" with {item['threads']} thread(s)" if several else "")
        for item in facts.latency
    )
    return "; ".join(text for text in (times, facts.repaired, facts.parity_summary) if text)


def print_training(console: Console, config: RunConfig, outcome: TrainingOutcome) -> None:
    """Print the validation metrics of one training and the next commands."""
    for note in outcome.notes:
        console.print(Text(shown(f"note: {note}")))
    rows = {key: _value_text(key, value, outcome.standard_errors) for key, value in outcome.metrics.items()}
    console.print(_pairs(f"validation, best epoch {outcome.best_epoch} of {outcome.epochs_run}", rows))
    for file, reason in outcome.skipped_files:
        console.print(Text(shown(f"left out: {file}: {reason}")))
    folder = quoted(outcome.folder)
    print_next(
        console,
        [f"{command('evaluate')} -m {folder}", f"{command('export')} -m {folder}"],
        visualdl=RunFolder(outcome.folder).visualdl if config.visualdl else None,
    )


def _value_text(key: str, value: float, errors: Mapping[str, float]) -> str:
    name = key.partition("[")[0]
    text = text_of(key, value) + (f" {METRICS[name].unit}" if name in METRICS and METRICS[name].unit else "")
    return f"{text} +- {float_text(errors[key])} (standard error over the folds)" if key in errors else text


def print_compression(console: Console, outcome: CompressResult) -> None:
    """Print a row per step of the chain, why each was kept or rejected, and the bundles."""
    keys = list(dict.fromkeys(key for row in outcome.table for key in row))
    keys = [key for key in keys if key not in ("kept", "why")] + ["kept"]
    title = "compression, on the validation split; times are p50/p95, speed-up is over the float32 network before"
    table = Table(*(Column(Text(shown(key))) for key in keys), title=title, title_justify="left", box=None)
    for row in outcome.table:
        table.add_row(*(Text(shown(row.get(key, ""))) for key in keys))
    console.print()
    console.print(table)
    for step in outcome.steps[1:]:
        console.print(Text(shown(f"{step['name']}: {'kept' if step['kept'] else 'rejected'}: {step['reason']}")))
    for bundle in outcome.bundles:
        console.print(Text(shown(f"{bundle.bundle}: {bundle.size_mb:.3f} MB, {bundle.parity_summary}")))
        for extra in bundle.formats:
            console.print(Text(f"  {extra.name}: {_format_text(extra)}"))
        if bundle.formats and bundle.fastest:
            console.print(Text(f"  fastest: {bundle.fastest}"))
    if outcome.best_bundle is None:
        console.print("no step was kept: the network before compression remains the best")
    else:
        console.print(Text(shown(f"best: {outcome.best_bundle}")))


def print_dry_run(console: Console, facts: DryRun) -> None:
    """Print the size of the space, the times of the smallest and largest candidate, and which trials fit the
    budget."""
    data = facts.times.data
    count = "infinitely many" if facts.size is None else f"{facts.size:,}"
    names = ", ".join(data.names[:_SHOWN_NAMES]) + (", ..." if len(data.names) > _SHOWN_NAMES else "")
    arrays = "; ".join(f"{item.name} {'x'.join(str(size or '?') for size in item.shape)}" for item in data.inputs)
    rows = {
        "data": f"{data.train} training, {data.validation} validation, {data.test} test {data.word}s",
        "input": arrays,
        "task": f"{data.task}: {names}",
        "space": f"{facts.decisions} decisions, {count} configurations",
    }
    for file, reason in data.skipped_files:
        rows[f"left out: {file}"] = reason
    for name, item in (("smallest", facts.times.smallest), ("largest", facts.times.largest)):
        rows[f"{name} candidate"] = (
            f"{_flops_text(item.flops)}, {item.parameters:,} parameters: "
            f"{item.epoch_s:.2f} s per epoch, {item.trial_s:.1f} s per trial"
        )
    rows["trials"] = facts.fits
    console.print(_pairs("dry run: nothing was trained or written", rows))


def print_next(console: Console, commands: list[str], visualdl: Path | None) -> None:
    """Print the next commands to try, ready to be copied."""
    lines = [f"  {line}" for line in commands]
    if visualdl is not None:
        lines.append(f"  {command('watch')} {quoted(visualdl.parent)}")
    console.print("\nnext:")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def sample_of(bundle: Path) -> str:
    """Return one sample of a bundle for an example command."""
    found = sorted(path for path in (bundle / SAMPLES).glob("*") if path.suffix != ".json")
    return quoted(found[0]) if found else "FILE"


def quoted(path: str | Path) -> str:
    """Return a path as it can be pasted into a shell."""
    text = readable(path)
    if shown(text) == text:
        return shlex.quote(text)
    # A shell reads $'...' with escapes, which do not control the terminal.
    escaped = text.encode("unicode_escape").decode("ascii").replace("'", "\\'")
    return f"$'{escaped}'"


def _pairs(title: str, rows: Mapping[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows.items():
        # As text: brackets in names are no markup here.
        table.add_row(Text(shown(key)), Text(shown(value)))
    return table
