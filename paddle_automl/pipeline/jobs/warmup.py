"""Starts the fork server early: it imports Paddle while the command still reads its configuration.

Imports nothing heavy itself.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver

PRELOAD = "paddle_automl.pipeline.jobs.preload"


def begin() -> None:
    """Start the fork server that trials will come from; does nothing where there is none, or if it runs."""
    stable_hashing()
    if "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.get_context("forkserver").set_forkserver_preload([PRELOAD])
        forkserver.ensure_running()


def stable_hashing() -> None:
    """Make Python's text hashes the same in every worker, whatever the terminal's environment says."""
    os.environ.setdefault("PYTHONHASHSEED", "0")
