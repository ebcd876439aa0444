"""Log records: names of strangers' files do not control the terminal."""

import logging

import pytest

from paddle_automl.core.log import escape_names


@pytest.fixture
def factory():
    before = logging.getLogRecordFactory()
    escape_names()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("factory")
def test_names_are_escaped_whatever_the_handler(caplog):
    log = logging.getLogger("paddle_automl.inputs.image.files")
    for name in ("a\x1b[31mb", "\x1b]0;title\x07", "\u202egnp.exe", "a\rb"):
        log.warning("%s: left out: %d%%", name, 5)
    assert [record.getMessage() for record in caplog.records] == [
        "a\\x1b[31mb: left out: 5%",
        "\\x1b]0;title\\x07: left out: 5%",
        "\\u202egnp.exe: left out: 5%",
        "a\\rb: left out: 5%",
    ]


@pytest.mark.usefixtures("factory")
def test_records_of_others_are_unchanged(caplog):
    escape_names()
    logging.getLogger("paddle_automl_like").warning("%s", "\x1b[1m")
    logging.getLogger("paddle_automl").warning("plain 100% text")
    assert [record.getMessage() for record in caplog.records] == ["\x1b[1m", "plain 100% text"]
