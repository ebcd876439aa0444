"""Studies: the file of a search, opened to go on, and read as another's."""

import sqlite3
from contextlib import closing

import pytest

from paddle_automl.core.errors import OutputError, StudyError
from paddle_automl.search.reading import read_study
from tests.fuzz.damage import MANY, SAMPLE, Growth, damaged, only_two_ends
from tests.unit.search.helpers import SPACE, controller, open_study


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("study")
    with open_study(folder) as study:
        for value in (0.2, 0.4, 0.3):
            record = study.ask(controller())
            study.complete(record.number, {"accuracy": value}, {1: value / 2, 2: value})
        study.fail(study.ask(controller()).number, "diverged")
        study.ask(controller())
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("VACUUM")
    return (folder / "study.db").read_bytes()


@pytest.mark.parametrize("count", [SAMPLE // 2, pytest.param(MANY // 3, marks=pytest.mark.slow)])
def test_damaged_studies(tmp_path, content, count):
    path = tmp_path / "study.db"

    def go_on() -> None:
        with open_study(tmp_path) as study:
            study.ranking()
            record = study.ask(controller())
            study.complete(record.number, {"accuracy": 0.1}, {1: 0.1})
            assert SPACE.contains(record.params)

    read = 0
    with Growth():
        for changed in damaged(content, count, seed=7):
            for leftover in tmp_path.iterdir():
                leftover.unlink()
            path.write_bytes(changed)
            read += only_two_ends(lambda: read_study(path).records(), StudyError, OutputError)
            only_two_ends(go_on, StudyError, OutputError)
    assert 0 < read < count


@pytest.mark.parametrize("count", [SAMPLE, pytest.param(MANY, marks=pytest.mark.slow)])
def test_damaged_values_in_a_sound_file(tmp_path, content, count):
    """Values are changed by SQL, so that SQLite itself sees nothing wrong."""
    path = tmp_path / "study.db"
    texts = (
        "{",
        "[1]",
        '"x"',
        "null",
        "{}",
        "1e999",
        "-5",
        "[" * 3000,
        '{"accuracy": "x"}',
        "9" * 5000,
        "true",
        "\x00",
    )
    columns = [
        *(("trial_user_attributes", "value_json"), ("study_user_attributes", "value_json")),
        *(("trial_params", "distribution_json"), ("trial_params", "param_value"), ("trial_params", "param_name")),
        *(("trials", "state"), ("trials", "number"), ("trials", "datetime_start"), ("trial_values", "value")),
        *(
            ("trial_values", "value_type"),
            ("trial_intermediate_values", "intermediate_value"),
            ("studies", "study_name"),
        ),
        *(("study_directions", "direction"), ("trial_system_attributes", "value_json")),
    ]
    cases = [(table, column, text) for table, column in columns for text in texts]
    step = max(1, len(cases) // count)
    for table, column, text in cases[::step]:
        path.write_bytes(content)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE OR IGNORE {table} SET {column}=?", (text,))
        only_two_ends(lambda: read_study(path).records(), StudyError, OutputError)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA quick_check").fetchone() is not None
