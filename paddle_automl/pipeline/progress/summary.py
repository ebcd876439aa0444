"""The result of a search as JSON-like data, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_automl.core.files import write_json
from paddle_automl.core.paths import readable, without_folders
from paddle_automl.pipeline.progress.results import SearchResult
from paddle_automl.pipeline.runs.trials import needed_paths
from paddle_automl.search.configurations import FinalChoice
from paddle_automl.search.records import TrialRecord
from paddle_automl.space import SearchSpace


def write_summary(result: SearchResult, file: Path) -> None:
    """Write a search's result as JSON; paths are relative to the output folder or the data's folder."""
    write_json(file, without_folders(summary_of(result), (result.output, *needed_paths(result.best_config))))


def summary_of(result: SearchResult) -> dict[str, Any]:
    """Return a search's result as JSON-like data."""
    choice = result.final_choice
    return {
        "ended": result.ended,
        "seconds": round(result.seconds, 1),
        "best_trial": result.best.number,
        "choices": dict(result.best.params),
        "final_choice": None if choice is None else _choice(choice),
        "exported": result.source,
        "metrics": result.bundle.metrics,
        "parity": result.bundle.parity,
        "latency": list(result.bundle.latency),
        "stage_seconds": {name: round(seconds, 1) for name, seconds in result.stage_seconds.items()},
        "compression": None if result.compression is None else result.compression.model_dump(mode="json"),
        "bundle": readable(result.bundle.bundle),
        "verified": result.bundle.verified,
        "trials": [
            {
                "number": record.number,
                "state": record.state,
                "values": list(record.values or ()),
                "seconds": record.seconds,
                "reason": record.reason,
                "folds": record.folds,
                "duplicate_of": record.duplicate_of,
                "repeat_of": record.repeat_of,
            }
            for record in result.trials
        ],
        "pareto": [record.number for record in result.pareto],
        "data": result.data.model_dump(
            mode="json", exclude={"fingerprint", "content", "changes", "notes", "items"}
        ),
    }


def _choice(choice: FinalChoice) -> dict[str, Any]:
    """Return the result of the repeats: means over the runs of a configuration, in the first objective's metric."""
    return {
        "metric": choice.metric,
        "trial": choice.winner.first.number,
        "runs": [run.number for run in choice.winner.runs],
        "failed_runs": choice.winner.failed,
        "mean": choice.mean,
        "lowest": choice.lowest,
        "highest": choice.highest,
        "best_observation": {
            "trial": choice.observed.first.number,
            "observed": choice.observed_value,
            "mean": choice.observed_mean,
            "runs": len(choice.observed.runs),
        },
        "gain": choice.gain,
    }


def describe_trial(record: TrialRecord, space: SearchSpace) -> str:
    """Return a trial's choices as a short text."""
    text = describe_choices(space.overrides(record.params))
    if record.repeat_of is not None:
        text = f"trial {record.repeat_of} again, repeat {record.repeat}: {text}"
    return f"{text} (from another search)" if record.warm_start else text


def describe_choices(overrides: Mapping[str, Any]) -> str:
    """Return ``backbone=resnet width=8 blocks=[1,2]`` for dotted keys and values."""
    parts = []
    for key, value in overrides.items():
        text = f"{value:.3g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False).strip('"')
        parts.append(f"{key.rsplit('.', 1)[-1]}={text.replace(' ', '')}")
    return " ".join(parts)
