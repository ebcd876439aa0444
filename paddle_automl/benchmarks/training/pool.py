"""Processes for measurements: from this project's fork server, with one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paddle_automl.pipeline.jobs.warmup import PRELOAD, begin
from paddle_automl.search.executors.base import EXECUTORS, Executor


def executor(workers: int, scratch: Path | None = None) -> Executor:
    """Return an executor that runs `workers` parallel jobs on the CPU, each with one thread.

    Decoded items are kept in `scratch`.
    """
    begin()
    local: Any = EXECUTORS["local"]
    made: Executor = local(
        local.Config(threads=1), workers=workers, device="cpu", scratch=scratch, preload=(PRELOAD,)
    )
    return made
