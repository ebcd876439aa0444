"""The benchmark that kills searches: its phases, its verdicts and its table."""

import itertools
import os
import time
from pathlib import Path

import pytest

from paddle_automl.benchmarks.command import main
from paddle_automl.benchmarks.kills import state
from paddle_automl.benchmarks.kills.report import COLUMNS, markdown, rows
from paddle_automl.benchmarks.kills.rounds import workers_of, wrong
from paddle_automl.benchmarks.kills.search import NOTHING_KILLED, PHASES, VICTIMS, configuration, phase_of
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import RunFolder
from tests.unit.search.helpers import SMALL, controller, open_study

GOOD = {
    "seed": 3,
    "workers": 1,
    "victim": "worker",
    "phase": "trials",
    "first_exit": 0,
    "exit": 0,
    "verified": True,
    "finished_same": True,
    "same_weights": True,
    "orphans": 0,
    "left": [],
    "wrong": [],
}


def test_the_configuration_is_valid(tmp_path):
    validate(RunConfig, configuration(2, tmp_path))


def test_rounds_meet_every_phase_and_victim_with_one_and_two_workers():
    every = len(PHASES) * len(VICTIMS)
    met = {(seed % every, workers_of(seed)) for seed in range(2 * every)}
    assert met == set(itertools.product(range(every), (1, 2)))


@pytest.mark.parametrize(
    ("signs", "busy", "phase"),
    [
        ((), True, "start"),
        (("check",), True, "check"),
        (("check", "trial 0"), True, "trials"),
        (("check", "trial 0", "trial 0 ended"), False, "between trials"),
        (("check", "trial 0", "trial 0 ended", "interim export"), True, "interim export"),
        (("check", "trial 0", "trial 0 ended", "interim export", "trial 1"), True, "trials"),
        (("check", "trial 0", "trial 0 ended", "refit"), True, "refit"),
        (("check", "trial 0", "trial 0 ended", "refit", "export"), True, "export"),
        (("check", "trial 0", "trial 0 ended", "refit", "export", "report"), False, "report"),
    ],
)
def test_phases_by_their_signs(signs, busy, phase):
    assert phase_of(set(signs), busy) == phase


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"first_exit": 2}, "stopped the search"),
        ({"exit": 1}, "exit code 1"),
        ({"verified": False}, "no verified bundle"),
        ({"finished_same": False}, "changed"),
        ({"same_weights": False}, "other weights"),
        ({"orphans": 2}, "2 processes"),
        ({"left": ["tmp/x"]}, "left behind: tmp/x"),
    ],
)
def test_what_is_wrong_with_a_round_is_named(change, word):
    assert wrong(GOOD) == []
    found = wrong({**GOOD, **change})
    assert len(found) == 1
    assert word in found[0]


def test_the_kill_of_a_coordinator_may_end_the_command_and_two_workers_may_give_other_weights():
    assert wrong({**GOOD, "victim": "all", "first_exit": -9}) == []
    assert wrong({**GOOD, "workers": 2, "same_weights": False}) == []


def test_the_table_counts_by_phase():
    bad = {**GOOD, "victim": "all", "phase": "refit", "same_weights": False, "left": ["x"], "wrong": ["left x"]}
    table = rows([GOOD, bad, {**GOOD, "workers": 2}])
    assert [len(row) for row in table] == [len(COLUMNS)] * 3
    assert table[-1] == ["all", "0", "2", "0", "1", "3 of 3", "3 of 3", "1 of 2", "1"]
    assert [row[0] for row in table] == ["trials", "refit", "all"]
    assert "- round 3, 1 worker(s), all killed in refit: left x" in markdown([GOOD, bad])


def test_rounds_in_which_nothing_was_killed_do_not_count():
    none = {**GOOD, "phase": NOTHING_KILLED}
    assert rows([GOOD, none]) == rows([GOOD])
    assert "1 more round(s) ended before there was anything to kill" in markdown([GOOD, none])


def test_finished_trials_hold_rows_and_files(tmp_path):
    assert state.finished_trials(RunFolder(tmp_path)) == {}
    with open_study(tmp_path, space=SMALL) as study:
        for _ in range(2):
            number = study.ask(controller(space=SMALL)).number
        study.complete(0, {"accuracy": 0.5}, {1: 0.5})
    trial = RunFolder(tmp_path).trial(0)
    trial.path.mkdir(parents=True)
    trial.result.write_text("{}")
    found = state.finished_trials(RunFolder(tmp_path))
    assert (number, list(found)) == (1, ["1"])
    assert list(found["1"]["files"]) == ["result.json"]
    trial.result.write_text("{ }")
    assert state.finished_trials(RunFolder(tmp_path)) != found
    assert any("0.5" in row for row in found["1"]["rows"])


@pytest.mark.skipif(not state.SHARED_MEMORY.is_dir(), reason="shared memory of Linux")
def test_shared_memory_without_a_process(tmp_path):
    file = state.SHARED_MEMORY / f"paddle-automl-test-{os.getpid()}-{time.monotonic_ns()}"
    try:
        with file.open("w"):
            assert str(file) not in state.in_shared_memory()
        assert str(file) in state.in_shared_memory()
    finally:
        file.unlink()


def test_the_layout_counts_hidden_files_everywhere_and_others_not_in_the_trials(tmp_path):
    for name in ("trials/0/.x", "trials/0/y", "model/a", ".b"):
        Path(tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Path(tmp_path / name).touch()
    assert state.layout(RunFolder(tmp_path)) == {"trials/0/.x", "model", "model/a", ".b"}


def test_the_command_lists_itself(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["kills", "--help"])
    assert "--rounds" in capsys.readouterr().out
