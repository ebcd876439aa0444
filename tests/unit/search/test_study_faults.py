"""Faults of the machine and damaged content of a study's file: one message, and what is finished is kept."""

import json
import os
import resource
import sqlite3
from contextlib import closing

import pytest

from paddle_automl.core.errors import AutoMLError, OutputError, StudyError
from paddle_automl.search import faults, storage
from paddle_automl.search.reading import read_study
from paddle_automl.search.records import KILLED_TWICE
from tests.unit.search.helpers import SMALL, TWO, controller, open_study


def kill(study):
    """Leave a study as a kill leaves it."""
    study._study._storage.remove_session()
    study._study._storage._backend.engine.dispose()
    study._lock.release()


def small(tmp_path):
    return open_study(tmp_path, space=SMALL)


def finish(study):
    record = study.ask(controller(space=SMALL))
    return study.complete(record.number, {"accuracy": 0.5}, {1: 0.5})[0]


def searched(tmp_path, trials=3):
    with small(tmp_path) as study:
        for _ in range(trials):
            finish(study)
        records = study.records()
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    return records


def change(tmp_path, *statements):
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def full_disk(monkeypatch):
    """Make SQLite's own limit of pages stand for the disk's end."""
    harden = storage.harden

    def limited(pages):
        def tight(connection):
            harden(connection)
            connection.execute(f"PRAGMA max_page_count={pages}")

        monkeypatch.setattr(storage, "harden", tight)

    return limited


def test_a_full_disk_at_the_start_is_named_and_no_study_is_to_be_moved_away(tmp_path, full_disk):
    full_disk(3)
    with pytest.raises(
        OutputError, match=r"study\.db: no space left on the disk; .*make room and run the same"
    ) as caught:
        small(tmp_path)
    assert "--fresh" not in str(caught.value)
    full_disk(10_000)
    with small(tmp_path) as study:
        finish(study)


@pytest.mark.slow
def test_a_disk_that_fills_up_while_the_study_is_written_is_named(tmp_path, monkeypatch):
    with small(tmp_path) as study:
        finish(study)
        number = study.ask(controller(space=SMALL)).number
        calls = [
            lambda: study.ask(controller(space=SMALL)),
            lambda: study.complete(number, {"accuracy": 0.5}, {1: 0.5}),
            lambda: study.prune(number, {"accuracy": 0.5}, {1: 0.5}, "stopped"),
            lambda: study.fail(number, "diverged"),
            lambda: study.interrupt(number),
            lambda: study.repeat(0),
            lambda: study.note_reports(number, {1: (0.5,)}),
        ]
        engine, harden = study._study._storage._backend.engine, storage.harden
        with monkeypatch.context() as patch:
            patch.setattr(storage, "harden", lambda given: (harden(given), given.execute("PRAGMA query_only=ON")))
            study._study._storage.remove_session()
            engine.dispose()
            for call in calls:
                with pytest.raises(OutputError, match=r"study\.db: is not writable; finished trials are kept"):
                    call()
        study._study._storage.remove_session()
        engine.dispose()
    with small(tmp_path) as study:
        assert study.records()[0].state == "complete"
        assert study.waiting


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX systems")
def test_a_limit_of_a_files_size_is_an_output_error(tmp_path):
    searched(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(OutputError, match="finished trials are kept"), small(tmp_path) as study:
            list(map(finish, [study] * 3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with small(tmp_path) as study:
        assert [record.state for record in study.records()[:3]] == ["complete"] * 3


def test_a_folder_that_cannot_be_made_and_a_folder_as_study_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written: Not a directory"):
        small(tmp_path / "file" / "run")
    (tmp_path / "study.db").mkdir()
    with pytest.raises(StudyError, match="is not a regular file"):
        small(tmp_path)


def test_a_program_that_holds_the_study_is_named(tmp_path, monkeypatch):
    searched(tmp_path)
    monkeypatch.setattr(storage, "BUSY_S", 0.1)
    with closing(sqlite3.connect(tmp_path / "study.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StudyError, match="another program is using the study"):
            small(tmp_path)


def test_choices_that_were_killed_twice_are_recorded_as_failed(tmp_path):
    study = small(tmp_path)
    first = study.ask(controller(space=SMALL))
    kill(study)
    study = small(tmp_path)
    assert study.records()[0].reason == "interrupted"
    again = study.ask(controller(space=SMALL))
    assert (again.params, again.retry_of) == (first.params, 0)
    kill(study)
    with small(tmp_path) as study:
        last = study.records()[1]
        assert (last.state, last.reason, last.counted) == ("failed", KILLED_TWICE, True)
        assert not study.waiting
        assert study.ask(controller(space=SMALL)).retry_of is None


def test_kills_are_counted_by_choices_also_where_they_are_proposed_again(tmp_path):
    for _ in range(2):
        study = small(tmp_path)
        study.ask(controller(space=SMALL))
        kill(study)
    study = small(tmp_path)
    params = study.records()[0].params
    study.optuna.enqueue_trial(dict(params))
    assert study.ask(controller(space=SMALL)).params == params
    kill(study)
    with small(tmp_path) as study:
        assert [record.reason for record in study.records()] == ["interrupted", KILLED_TWICE, KILLED_TWICE]


def test_ends_that_are_no_kills_are_never_counted(tmp_path):
    for _ in range(4):
        with small(tmp_path) as study:
            record = study.ask(controller(space=SMALL))
            study.interrupt(record.number)
    for _ in range(4):
        # An error ended the search before it could record the trial.
        with small(tmp_path) as study:
            record = study.ask(controller(space=SMALL))
    study = small(tmp_path)
    study.ask(controller(space=SMALL))
    kill(study)
    with small(tmp_path) as study:
        assert {item.reason for item in study.records()} == {"interrupted"}
        assert study.ask(controller(space=SMALL)).params == record.params


def test_another_trial_that_was_killed_does_not_count(tmp_path):
    study = small(tmp_path)
    one, two = study.ask(controller(space=SMALL)), study.ask(controller(space=SMALL))
    assert one.params != two.params
    kill(study)
    study = small(tmp_path)
    study.ask(controller(space=SMALL))
    kill(study)
    with small(tmp_path) as study:
        assert [record.reason for record in study.records()] == ["interrupted", "interrupted", KILLED_TWICE]
        assert study.ask(controller(space=SMALL)).params == two.params


DAMAGE = {
    "metrics are no JSON": "UPDATE trial_user_attributes SET value_json='{x' WHERE key='metrics'",
    "metrics are a text": "UPDATE trial_user_attributes SET value_json='\"x\"' WHERE key='metrics'",
    "a metric is a list": "UPDATE trial_user_attributes SET value_json='{\"accuracy\": [1]}' WHERE key='metrics'",
    "deep JSON": f"UPDATE trial_user_attributes SET value_json='{'[' * 100_000}' WHERE key='metrics'",
    "a huge number": f"INSERT INTO trial_user_attributes VALUES (99, 1, 'seconds', '{'9' * 5000}')",
    "seconds are null": "INSERT INTO trial_user_attributes VALUES (99, 1, 'seconds', 'null')",
    "an endless number": "INSERT INTO trial_user_attributes VALUES (99, 1, 'repeat', '1e999')",
    "curve": "UPDATE trial_user_attributes SET value_json='{\"one\": 0.5}' WHERE key='curve'",
    "a trial that is not there": (
        "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (1, 'repeat_of', '77')"
    ),
    "identity is no JSON": "UPDATE study_user_attributes SET value_json='{' WHERE key='identity'",
    "identity is a list": "UPDATE study_user_attributes SET value_json='[1]' WHERE key='identity'",
    "a choice beyond the options": "UPDATE trial_params SET param_value=99 WHERE param_name='a'",
    "a choice that is no number": "UPDATE trial_params SET param_value='x' WHERE param_name='a'",
    "a choice of another name": "UPDATE trial_params SET param_name='c' WHERE param_name='a'",
    "a choice that is missing": "DELETE FROM trial_params WHERE param_name='a'",
    "other options": (
        "UPDATE trial_params SET distribution_json="
        '\'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2, 3, 4]}}\' WHERE param_name=\'a\''
    ),
    "an unknown distribution": 'UPDATE trial_params SET distribution_json=\'{"name": "os.system"}\'',
    "a state that there is not": "UPDATE trials SET state='DONE'",
    "numbers": "UPDATE trials SET number=number+1",
    "values are missing": "DELETE FROM trial_values",
    "no table": "DROP TABLE trial_params",
    "no trials": "DROP TABLE trials",
    "a time that is none": "UPDATE trials SET datetime_start='yesterday'",
    "a view": "CREATE VIEW v AS SELECT 1",
    "a trigger": "CREATE TRIGGER t AFTER UPDATE ON trials BEGIN DELETE FROM trials; END",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_content_is_a_study_error_wherever_it_is_read(tmp_path, name):
    searched(tmp_path)
    change(tmp_path, DAMAGE[name])
    with pytest.raises(StudyError) as caught:
        small(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'study.db'}: ")
    assert len(str(caught.value)) < 700
    with pytest.raises(StudyError, match="cannot read the study") as caught:
        read_study(tmp_path / "study.db")
    assert len(str(caught.value)) < 700


def test_damage_leaves_the_lock_free(tmp_path):
    searched(tmp_path)
    change(tmp_path, DAMAGE["metrics are no JSON"])
    for _ in range(2):
        with pytest.raises(StudyError, match="cannot open the study"):
            small(tmp_path)


def test_a_space_or_an_objective_of_a_study_that_cannot_be_is_named(tmp_path):
    searched(tmp_path)
    for key, value in (("search.space.a", {"int": [3, 1]}), ("search.objectives", "upwards accuracy")):
        with closing(sqlite3.connect(tmp_path / "study.db")) as connection, connection:
            (text,) = connection.execute("SELECT value_json FROM study_user_attributes").fetchone()
            changed = json.dumps({**json.loads(text), key: value})
            connection.execute("UPDATE study_user_attributes SET value_json=?", (changed,))
        with pytest.raises(StudyError, match=r"study\.db: "):
            read_study(tmp_path / "study.db")


def test_a_view_in_place_of_a_table_is_not_run(tmp_path):
    searched(tmp_path)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS trial_id FROM n"
    change(tmp_path, "ALTER TABLE trials RENAME TO others", f"CREATE VIEW trials AS {endless}")
    for read in (lambda: small(tmp_path), lambda: read_study(tmp_path / "study.db")):
        with pytest.raises(StudyError, match="it holds the view 'trials', which is not part of a study"):
            read()


def test_reading_that_does_not_end_is_ended(tmp_path, monkeypatch):
    searched(tmp_path)
    monkeypatch.setattr(faults, "LONGEST_READING_S", -1.0)
    monkeypatch.setattr(faults, "STEPS", 1)
    with pytest.raises(StudyError, match="reading it took longer than"):
        read_study(tmp_path / "study.db")


def test_what_is_sound_is_read_as_it_was_written(tmp_path):
    records = searched(tmp_path)
    stored = read_study(tmp_path / "study.db")
    assert stored.records() == records
    with small(tmp_path) as study:
        assert study.records() == records
    with pytest.raises(AutoMLError, match="Differences"):
        open_study(tmp_path, space=SMALL, objectives=TWO)
    assert set(os.listdir(tmp_path)) <= {"study.db", "study.db.lock"}
