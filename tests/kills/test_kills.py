"""A search that is killed at a random moment recovers with the same command, and nothing is left behind."""

import sys
import tempfile
from pathlib import Path

import pytest

from paddle_automl.benchmarks.kills.rounds import killed_round, reference, workers_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at the processes and the shared memory of Linux"),
]
SEEDS = range(0, 96, 7)
"""Every phase and every victim, with one worker and with two."""


@pytest.fixture(scope="session")
def place():
    # The names of sockets in the temporary folders have to stay short, so pytest's own folder is too deep.
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def references(place):
    return {workers: reference(place / f"reference-{workers}", workers) for workers in (1, 2)}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_search_recovers(seed, place, references):
    workers = workers_of(seed)
    figures = killed_round(place / f"round-{seed}", seed, workers, references[workers])
    assert not figures["wrong"], figures
