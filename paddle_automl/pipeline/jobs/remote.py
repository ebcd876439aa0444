"""The jobs as the coordinator hands them out: light functions that import Paddle only where they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paddle_automl.pipeline.jobs.base import returning_errors

Report = Callable[[int, Mapping[str, float]], bool]


def train(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Train one configuration; see `evaluator.train_job`."""
    from paddle_automl.pipeline.jobs.train import train_job

    return train_job(payload, report)


def train_alone(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Train one configuration for a person, who wants a mistake told in full."""
    from paddle_automl.pipeline.jobs.train import train_job

    return returning_errors(train_job)(payload, report)


def check(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Build every option once; see `checking.check_job`."""
    from paddle_automl.pipeline.jobs.check import check_job

    return check_job(payload, report)


def time_candidates(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Time the smallest and the largest candidate; see `checking.timing_job`."""
    from paddle_automl.pipeline.jobs.check import timing_job

    return timing_job(payload, report)


def export(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Test, export and prove a network; see `exporting.export_job`."""
    from paddle_automl.pipeline.jobs.export import export_job

    return export_job(payload, report)


def evaluate(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Evaluate a model on a part of its data; see `exporting.evaluate_job`."""
    from paddle_automl.pipeline.jobs.export import evaluate_job

    return evaluate_job(payload, report)
