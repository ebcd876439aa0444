"""The contract of stages of a search."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from paddle_automl.core.errors import AutoMLError
from paddle_automl.core.loading import validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import start_executor
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.settling import settled
from paddle_automl.pipeline.stages.base import Deadline, Stage, in_order
from paddle_automl.pipeline.stages.run import Run, begun
from paddle_automl.testing.options import check_options

SEARCH = {
    "data": {"dataset": "digits"},
    "model": {"backbone": {"name": "resnet", "width": 4, "blocks": [1]}},
    "training": {"epochs": 2, "batch_size": 128},
    "refit": {"epochs": 2},
    "visualdl": False,
    "budget": {"time": "1h"},
    "search": {
        "controller": "random_search",
        "trials": 2,
        "workers": 1,
        "space": {"training.optimizer.learning_rate": {"log": [0.01, 0.3]}},
    },
}
"""A search of some seconds, with more time than it needs."""
LATE_S = 15.0
"""Seconds within which a stage must end if its time is up at its start."""


@dataclass
class SmallSearch:
    """A search whose stages are run one by one."""

    run: Run
    waiting: list[Stage] = field(default_factory=in_order)

    def up_to(self, stage: Stage) -> None:
        """Run the stages before `stage` that have not run yet."""
        while self.waiting and _position(self.waiting[0]) < _position(stage):
            self.only(self.waiting.pop(0))

    def only(self, stage: Stage) -> Any:
        """Run one stage if it is wanted; return its result, recorded or new."""
        self.waiting = [other for other in self.waiting if other.name != stage.name]
        self.run.stages = [stage]
        self.run.go()
        return self.run.results.get(stage.name)

    def to_the_end(self) -> None:
        """Run all stages that have not run yet."""
        while self.waiting:
            self.only(self.waiting.pop(0))


@contextmanager
def small_search(folder: Path, overrides: Mapping[str, Any]) -> Iterator[SmallSearch]:
    """Yield the search of `SEARCH`, changed by ``{dotted key: value}``, before its first stage."""
    config = validate(RunConfig, with_overrides({**SEARCH, "output": str(folder / "output")}, overrides))
    with start_executor(config) as executor:
        config = settled(config, executor)
        with begun(config, executor, Observer(), Deadline(config.budget.time)) as run:
            yield SmallSearch(run)


class StageContract:
    """Tests of a stage: parametrize `plugin` with its class; it need not be registered.

    One of them runs a small search of about half a minute. `overrides` change its configuration, by dotted keys, if
    the stage is only run then.
    """

    overrides: ClassVar[dict[str, Any]] = {}

    def test_it_has_a_place_and_a_description(self, plugin: type[Stage]) -> None:
        """Its name is used for its manifest and its time in the summary."""
        check_options(plugin)
        assert plugin.name, "name: the name of the stage"
        assert type(plugin.place) is int, "place: a whole number, between those of the stages before and after it"

    @pytest.mark.timeout(600)
    def test_a_search_with_it_ends_well(self, plugin: type[Stage], tmp_path: Path) -> None:
        """It keeps its time, repeats nothing, and leaves the results that others need."""
        with small_search(tmp_path, self.overrides) as search:
            check_at_work(plugin(), search)
            search.to_the_end()
            assert search.run.results["report"].bundle.verified


def check_at_work(stage: Stage, search: SmallSearch) -> None:
    """Assert the rules of a stage within a search whose earlier stages have run."""
    search.up_to(stage)
    run = search.run
    assert stage.wanted(run) is True, f"{stage.name} is not wanted here; set overrides so that it is"
    seconds = stage.seconds(run)
    assert 0 <= seconds < math.inf, f"seconds: {seconds}"
    check_late(stage, run)
    inputs = _plain(stage.inputs(run), "inputs")
    assert _plain(stage.inputs(run), "inputs") == inputs, "a second call of inputs() returns something else"
    calls: list[float | None] = []
    work = stage.work

    def counted(run: Run, until: float | None) -> Any:
        calls.append(until)
        return work(run, until)

    vars(stage)["work"] = counted
    result = search.only(stage)
    assert len(calls) == 1
    outputs = list(stage.outputs(run))
    for path in outputs:
        assert path.exists(), f"outputs: {path} was not written"
        assert run.folder.path in path.parents, f"outputs: {path} is outside of the output folder"
    if inputs is None:
        return
    assert _plain(result, "result") == result, "the result changes when it is written as JSON"
    assert search.only(stage) == result
    assert len(calls) == 1, "work() ran again although nothing has changed: inputs() or is_intact() is wrong"
    for path in outputs:
        aside = path.with_name(f"{path.name}.aside")
        path.rename(aside)
        assert not stage.is_intact(run, result), f"is_intact() accepts the result without {path}"
        aside.rename(path)


def check_late(stage: Stage, run: Run) -> None:
    """Assert that a stage whose time is up ends at once, with a result or an error of the package."""
    started = time.monotonic()
    with suppress(AutoMLError):
        stage.work(run, started)
    took = time.monotonic() - started
    assert took < LATE_S, f"work continued for {took:.0f} s although its time was up"


def _plain(value: Any, what: str) -> Any:
    """Return a value as it is read back from a JSON file."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{what} cannot be written as JSON: {error}") from error


def _position(stage: Stage) -> tuple[int, str]:
    return stage.place, stage.name
