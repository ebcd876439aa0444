"""Jobs that the tests run in processes of their own."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from paddle_automl.core.errors import ConfigError, DataError, TrialError
from paddle_automl.core.schema import Section


def curve(payload, worker):
    """Report `epochs` accuracies that approach `final`, after telling how many they are if `planned` says so."""
    if "planned" in payload:
        worker.plan(payload["planned"])
    for epoch in range(1, payload.get("epochs", 3) + 1):
        time.sleep(payload.get("sleep", 0.0))
        value = payload["final"] * (1 - 0.5**epoch)
        if not worker.report(epoch, {"accuracy": value, "loss": 1 - value}):
            break
    return {"metrics": {"accuracy": value, "loss": 1 - value}}


def misbehave(payload, worker):
    """End in the way that `payload["how"]` names."""
    how = payload["how"]
    sys.stdout.write(f"about to {how}\n")
    return WAYS[how](payload)


class Reply(Section):
    """A typed result."""

    number: int
    file: Path


@dataclass(frozen=True)
class Question:
    """A typed request."""

    number: int
    file: Path


def answer(request, worker):
    """Answer a typed request."""
    return Reply(number=request.number + 1, file=request.file)


def place(payload, worker):
    """Tell where the job runs."""
    return {"pid": os.getpid(), "device": worker.device, "threads": worker.threads, "scratch": worker.scratch}


def fine(payload):
    return {"metrics": {"accuracy": 0.5}}


def unsendable(payload):
    return {"metrics": {"accuracy": object()}}


def raise_two_lines(payload):
    raise ValueError("the first line\nthe second line")


def diverge(payload):
    raise TrialError("diverged: loss is nan in epoch 2")


def two_mistakes(payload):
    raise ConfigError(["a: is wrong", "b: is wrong too"])


class OwnError(DataError):
    """An error of a plugin."""


def own_error(payload):
    raise OwnError("row 7: not a number")


def no_mapping(payload):
    return [1, 2]


def memory_error(payload):
    raise MemoryError


def eat(payload):
    hoard = []
    while True:
        hoard.append(bytearray(os.urandom(1024) * 20_000))
        time.sleep(0.05)


WAYS = {
    "not": fine,
    "unsendable": unsendable,
    "raise": raise_two_lines,
    "diverge": diverge,
    "two mistakes": two_mistakes,
    "own error": own_error,
    "no mapping": no_mapping,
    "memory error": memory_error,
    "kill": lambda payload: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda payload: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda payload: os._exit(3),
    "hang": lambda payload: time.sleep(60),
    "eat": eat,
}


def report_pid(payload, worker):
    """Write the process id to a file, then report slowly until told to stop."""
    with open(payload["pids"], "a") as file:
        file.write(f"{os.getpid()}\n")
    if payload.get("stuck"):
        # Backtracks for years without ever letting another thread of the process run.
        re.match("(a+)+$", "a" * 60 + "b")
    return curve(payload, worker)


def with_child(payload, worker):
    """Start a process of our own, then wait."""
    child = subprocess.Popen(["sleep", "60"])
    with open(payload["pids"], "w") as file:
        file.write(f"{child.pid}\n")
    child.wait()
    return {}


def gone(pid, within_s):
    """Tell whether a process ends within some seconds."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def tell_preloaded(payload, worker):
    """Tell whether the module came with the process or was imported by it."""
    from tests.unit.search import preloaded

    return {"inherited": os.getpid() != preloaded.IMPORTED_BY}
