"""What a command shows never ends its work; what was asked for and cannot be written is one error."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from paddle_automl.core import streams
from paddle_automl.core.errors import OutputError

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


class Gone(io.StringIO):
    """A pipe whose reader went away."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


@needs_full
def test_a_display_that_cannot_be_written_is_told_once_and_ends_nothing(capsys):
    with open(FULL, "w") as stream:
        screen = Console(file=streams.display(stream), highlight=False)
        for _ in range(3):
            screen.print("one line")
        assert not screen.file.isatty()
    told = capsys.readouterr().err
    assert told.count("No space left on device") == 1
    assert "the work goes on" in told


def test_a_reader_that_goes_away_is_no_failure(capsys):
    shown = streams.display(Gone())
    assert shown.write("text") == 4
    shown.flush()
    assert capsys.readouterr().err == ""


def test_a_closed_display_is_no_error(capsys):
    stream = io.StringIO()
    stream.close()
    shown = streams.display(stream)
    shown.write("x")
    assert not shown.isatty()
    assert "closed file" in capsys.readouterr().err


def test_results_that_cannot_be_written_are_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(streams.ReaderGone), streams.results():
        sys.stdout.write("x")
    if FULL.exists():
        with open(FULL, "w") as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            full = pytest.raises(OutputError, match="standard output: cannot be written: No space left")
            with full, streams.results():
                sys.stdout.write("x")
            assert sys.stdout is stream


def test_names_in_complaints_do_not_control_the_terminal(capsys):
    streams.complain("error: 'a\x1b[31mb\x07.png':\n  \u202egnp.exe\r")
    assert capsys.readouterr().err == "error: 'a\\x1b[31mb\\x07.png':\n  \\u202egnp.exe\\r\n"


def test_complaints_need_no_stream(monkeypatch):
    for stream in (None, Gone()):
        monkeypatch.setattr(sys, "stderr", stream)
        streams.complain("text")


CODE = """
import os, sys
from paddle_automl.core.streams import prepare_streams
prepare_streams()
opened = os.open(os.devnull, os.O_RDONLY)
assert opened > 2, opened
print("shown"); sys.stderr.write("shown"); sys.stdin.read()
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_the_caller_closed_lead_nowhere(closed):
    run = subprocess.run(["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, CODE], check=False, timeout=60)
    assert run.returncode == 0
