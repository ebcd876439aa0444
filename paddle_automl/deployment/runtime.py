"""Using Paddle in deployment: a silent import, devices, and paths that Paddle's C++ code can open."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
import tempfile
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from paddle_automl.core.errors import ConfigError, UnsupportedError
from paddle_automl.core.runtime import silence_known_warnings

A = TypeVar("A")
T = TypeVar("T")
_THREAD_NAME = "paddle-inference"
MOST_THREADS, THREADS_PER_CORE = 16, 4
"""Largest accepted number of threads: per core of the machine, and in total on a small one."""


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """Suppress warnings of Paddle that appear on every machine and need no action."""
    with warnings.catch_warnings():
        silence_known_warnings()
        yield


def import_paddle() -> Any:
    """Return the ``paddle`` module; its first import prints nothing."""
    if "paddle" not in sys.modules:
        # glog reads its level once, while the library is loaded.
        os.environ.setdefault("GLOG_minloglevel", "2")
    with quiet_warnings():
        import paddle
    return paddle


def gpu_index(device: str) -> int | None:
    """Return the GPU's number for ``gpu`` or ``gpu:N``, and None for ``cpu``.

    Raises ConfigError for another word, UnsupportedError if Paddle cannot use a GPU.
    """
    match = re.fullmatch(r"cpu|gpu(?::(\d+))?", device)
    if match is None:
        raise ConfigError(f"device: unknown device '{device}'; valid: cpu, gpu, gpu:N")
    if device == "cpu":
        return None
    paddle = import_paddle()
    if not paddle.is_compiled_with_cuda():
        raise UnsupportedError(f"device: '{device}' needs a GPU build of Paddle (paddlepaddle-gpu); use cpu")
    index, count = int(match.group(1) or 0), paddle.device.cuda.device_count()
    if index >= count:
        raise UnsupportedError(f"device: there is no '{device}'; Paddle sees {count} GPUs, counted from 0")
    return index


def check_threads(threads: int) -> None:
    """Raise ConfigError for a number of threads below 1, or so large that OpenMP would end the process."""
    most = max(MOST_THREADS, THREADS_PER_CORE * (os.cpu_count() or 1))
    if not 1 <= threads <= most:
        need = "at least 1" if threads < 1 else f"at most {most} on this machine"
        raise ConfigError(f"threads: must be {need}, got {threads}")


_kept: weakref.WeakSet[Any] = weakref.WeakSet()
_lock = threading.Lock()
"""Held while the thread of `in_lasting_thread` is looked up or made."""


def keep_in_children(session: object) -> None:
    """Ensure that a forked child never destroys a loaded network of its parent.

    Destroying it joins threads that only the parent has: the child would crash or hang.
    """
    _kept.add(session)


def _keep_for_ever() -> None:
    for session in _kept:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603, RUF100  the thread that held it does not exist in a forked child
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_for_ever)
    os.register_at_fork(after_in_child=_renew_lock)


def in_lasting_thread(function: Callable[[], T]) -> T:
    """Return the result of `function`, called in the one thread in which this process runs loaded networks.

    Paddle Inference sets the number of math threads of the calling thread, at loading and at every run, and never
    resets it, so the caller's thread is not used: a training in it would continue with too few. A new thread each
    time does not work either: oneDNN keeps memory by thread, and with several networks loaded a run in a new thread
    may fail ("std::exception") because of memory of an ended thread.
    """
    if threading.current_thread().name.startswith(_THREAD_NAME):
        return function()
    return _pool(os.getpid()).submit(function).result()


def lasting(function: Callable[[A], T]) -> Callable[[A], T]:
    """Return `function`, such as a loaded network, as one that runs in the thread of `in_lasting_thread`."""
    return lambda argument: in_lasting_thread(lambda: function(argument))


def _pool(process: int) -> ThreadPoolExecutor:
    # Without the lock threads that come at once would make several, and all but one would end.
    with _lock:
        return _made(process)


@lru_cache(maxsize=1)
def _made(process: int) -> ThreadPoolExecutor:
    # By process: a forked process only has the thread that forked.
    del process
    return ThreadPoolExecutor(1, thread_name_prefix=_THREAD_NAME)


@contextmanager
def ascii_alias(folder: Path) -> Iterator[Path]:
    """Yield a path to `folder` that Paddle's C++ code can open, for any locale and name of the folder.

    Paddle passes names to the system as UTF-8, Python in the encoding of the locale. If the two differ, as in a GBK
    locale, a symbolic link with an ASCII name leads to the folder while the context lasts; a system without
    symbolic links gets a copy.
    """
    absolute = Path(os.path.abspath(folder))
    if _same_for_paddle(absolute):
        yield absolute
        return
    with tempfile.TemporaryDirectory(prefix="paddle_automl-") as scratch:
        alias = Path(scratch) / "bundle"
        try:
            alias.symlink_to(absolute, target_is_directory=True)
        except OSError:
            shutil.copytree(absolute, alias)
        yield alias


def _same_for_paddle(path: Path) -> bool:
    text = str(path)
    if os.name == "nt":
        return text.isascii()
    try:
        return os.fsencode(text) == text.encode("utf-8")
    except UnicodeEncodeError:
        return False
