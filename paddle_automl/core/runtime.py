"""The cores that this process may use, and the settings that make Paddle fast on a CPU.

`tune_process` must run before Paddle is imported: in the fork server, and in a command that trains by
itself. Variables that the user has set are left alone; ``PADDLE_AUTOML_CPU_TUNING=0`` turns it off.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import warnings
from collections.abc import Collection
from pathlib import Path

SWITCH = "PADDLE_AUTOML_CPU_TUNING"
MKL_VARIABLE, MALLOC = "MKL_DEBUG_CPU_TYPE", "mallopt"
_VARIABLES = {"GLOG_minloglevel": "2", "OMP_NUM_THREADS": "1", "KMP_BLOCKTIME": "1"}
SETTINGS = (*_VARIABLES, MKL_VARIABLE, MALLOC)
"""Settings of `tune_process`: environment variables, and thresholds of glibc's malloc."""
_done: dict[str, str] = {}
_AVX512 = {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"}
_AVX2 = {"avx2", "fma"}
# Parameter numbers of mallopt(3) in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


NOISE = (
    "No ccache found",
    "Setuptools is replacing distutils",
    "pkg_resources is deprecated",
    "Skip loading for",
    r"Image size \(\d+ pixels\) exceeds limit",
)
"""Beginnings of warnings that need no action: of Paddle's import, on every machine, and of Pillow about large
images, for which the reading of images has a limit of its own."""


def silence_known_warnings() -> None:
    """Suppress those warnings for the rest of the process; called by commands and workers, not on import."""
    for message in NOISE:
        warnings.filterwarnings("ignore", message=f".*{message}")


def usable_cores() -> int:
    """Return how many cores this process may use by its CPU affinity and the container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    quota = _quota_v2(Path("/sys/fs/cgroup/cpu.max")) or _quota_v1(Path("/sys/fs/cgroup/cpu"))
    return max(1, min(cores, int(quota)) if quota else cores)


def threads_per_trial(workers: int) -> int:
    """Return how many threads each of `workers` trials running side by side gets, at least one."""
    return max(1, usable_cores() // max(1, workers))


def tune_process(settings: Collection[str] | None = None) -> dict[str, str]:
    """Apply the CPU settings to this process and return the values that were set, by name.

    - Intel MKL takes its slow code path on AMD and Hygon processors unless the instruction set is given.
    - glibc returns freed activations to the kernel at every step unless its thresholds are raised.
    - Intel OpenMP threads spin for 200 ms after each parallel region, which starves other workers.

    With `settings` (names from `SETTINGS`) only those are applied, even if the variable turns tuning off.
    """
    if settings is None and os.environ.get(SWITCH, "1") == "0":
        return {}
    wanted = SETTINGS if settings is None else settings
    done = {}
    kind = _mkl_cpu_type(*_processor())
    variables = {**_VARIABLES, **({MKL_VARIABLE: kind} if kind else {})}
    for name, value in variables.items():
        if name in wanted and name not in os.environ:
            os.environ[name] = done[name] = value
    if MALLOC in wanted and _raise_malloc_thresholds():
        done[MALLOC] = "M_MMAP_THRESHOLD=1GiB M_TRIM_THRESHOLD=2GiB"
    _done.update(done)
    return done


def settings_in_words() -> str:
    """Return the settings in effect, made here or by the user, as one line for the log."""
    # A fork server inherits the variables that its command has set.
    found = {name: os.environ[name] for name in SETTINGS if name in os.environ} | _done
    listed = ", ".join(f"{name}={value}" for name, value in found.items()) or "none"
    return f"CPU settings: {listed} (left alone with {SWITCH}=0)"


def _mkl_cpu_type(vendor: str, flags: set[str]) -> str | None:
    if vendor not in {"AuthenticAMD", "HygonGenuine"}:
        return None
    if flags >= _AVX512:
        return "7"
    return "5" if flags >= _AVX2 else None


def _processor() -> tuple[str, set[str]]:
    if not (sys.platform.startswith("linux") and platform.machine() == "x86_64"):
        return "", set()
    vendor, flags = "", set[str]()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "vendor_id":
                vendor = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
            if vendor and flags:
                break
    except OSError:
        return "", set()
    return vendor, flags


def processor_name() -> str:
    """Return the processor's name as the operating system gives it, for reports of measured times."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _raise_malloc_thresholds() -> bool:
    chosen = any(name.startswith("MALLOC_") for name in os.environ)
    if chosen or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "gnu_get_libc_version"):
            return False
        raised = libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) and libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    except (OSError, AttributeError):
        return False
    return bool(raised)


def _quota_v2(file: Path) -> float | None:
    try:
        quota, period = file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 else None
