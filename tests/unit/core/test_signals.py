"""SIGTERM and SIGHUP are answered as Ctrl-C is."""

import argparse
import os
import signal
import subprocess
import sys
import threading

import pytest

from paddle_automl.cli import common
from paddle_automl.core import signals
from paddle_automl.search.interrupt import CtrlC


@pytest.fixture(autouse=True)
def _as_before():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *signals.ASKING)}
    # Tests that run in the background have them ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in signals.ASKING:
        signal.signal(number, signal.SIG_DFL)
    signals.forget()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signals.forget()


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_interrupts_and_makes_the_exit_code(name, code):
    with pytest.raises(KeyboardInterrupt), signals.as_ctrl_c():
        os.kill(os.getpid(), getattr(signal, name))
    assert signals.exit_code() == code
    assert signals.how() == ("interrupted" if name == "SIGINT" else f"ended by {name}")


def test_only_the_first_signal_interrupts_what_is_being_cleared_up():
    cleared = []
    with signals.as_ctrl_c():
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            cleared.append(True)
    assert cleared
    assert signals.exit_code() == 129


def test_what_the_caller_ignores_or_handles_stays_so():
    heard = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    with signals.as_ctrl_c(), CtrlC() as ctrl_c:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert not ctrl_c.pressed


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_search_notes_a_signal_and_a_second_ctrl_c_ends_at_once(name):
    with CtrlC() as ctrl_c:
        os.kill(os.getpid(), getattr(signal, name))
        os.kill(os.getpid(), signal.SIGTERM)
        assert ctrl_c.pressed
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_nothing_changes():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def look():
        with signals.as_ctrl_c(), CtrlC():
            seen.append(signal.getsignal(signal.SIGTERM) is before)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [True]


CODE = """
import os, signal
from paddle_automl.cli import common
from paddle_automl.core import signals
from paddle_automl.paddle_compat.signals import keep_own_handlers
if {early}:
    keep_own_handlers()
with signals.as_ctrl_c():
    try:
        import paddle
        if not {early}:
            keep_own_handlers()
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        raise SystemExit(signals.exit_code())
"""


@pytest.mark.parametrize("early", [True, False], ids=["asked before", "asked after"])
def test_paddle_does_not_answer_in_place_of_the_program(early):
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE.format(early=early)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 143, run.stderr
    assert "C++" not in run.stdout + run.stderr


def test_an_interrupt_that_a_library_turned_into_an_import_error_is_one(monkeypatch, capsys):
    """Paddle's library does so while it is being loaded, in the first seconds of a command."""

    def load(args):
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    assert common.run_command(load, argparse.Namespace()) == 129
    assert capsys.readouterr().err == "ended by SIGHUP\n"

    def other(args):
        raise ImportError("no module")

    with pytest.raises(ImportError, match="no module"):
        common.run_command(other, argparse.Namespace())
