"""The worker processes of a comparison, which take turns in rounds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from paddle_automl.benchmarks.training.worker import MARK
from paddle_automl.core.errors import AutoMLError
from paddle_automl.core.runtime import SWITCH

PACKAGE_ROOT = Path(__file__).parents[3]
BLOCK_SECONDS = 1.0
"""CPU seconds of one turn of a variant; at least one step."""
MOST_STEPS = 50
_OWN = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "KMP_BLOCKTIME",
    "MKL_DEBUG_CPU_TYPE",
    SWITCH,
    "PADDLE_AUTOML_KERNELS",
)


@dataclass(frozen=True)
class Variant:
    """The framework and settings of one worker."""

    framework: str
    """project, paddle or torch."""
    dtype: str = "float32"
    settings: tuple[str, ...] = ()
    """Names from `core.runtime.SETTINGS`."""
    kernels: bool = True
    """Whether the project's fast layers are on."""
    python: str = sys.executable

    def environment(self) -> dict[str, str]:
        """Return the worker's environment: that of this process, without the compared settings."""
        # Malloc options of the user would apply to every variant and hide the setting.
        kept = {k: v for k, v in os.environ.items() if k not in _OWN and not k.startswith(("MALLOC_", "GLIBC_TUN"))}
        path = os.pathsep.join([str(PACKAGE_ROOT), *filter(None, [kept.get("PYTHONPATH")])])
        own = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        return {**kept, **own, "PADDLE_AUTOML_KERNELS": "1" if self.kernels else "0"}


class Member:
    """A running worker."""

    def __init__(self, name: str, variant: Variant) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  closed with the worker
        command = [
            variant.python,
            "-m",
            "paddle_automl.benchmarks.training.worker",
            variant.framework,
            variant.dtype,
        ]
        self._process = subprocess.Popen(
            [*command, *variant.settings], env=variant.environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip

    def ask(self, what: str, **details: Any) -> dict[str, Any]:
        """Return the worker's answer; raises AutoMLError if it failed."""
        pipes = self._process
        assert pipes.stdin is not None
        assert pipes.stdout is not None
        try:
            pipes.stdin.write(json.dumps({"what": what, **details}) + "\n")
            pipes.stdin.flush()
            answer = next((line for line in pipes.stdout if line.startswith(MARK)), "")
        except OSError:
            answer = ""
        found: dict[str, Any] = json.loads(answer.removeprefix(MARK)) if answer else {"error": "it ended"}
        if "error" in found:
            raise AutoMLError(f"the worker '{self.name}' failed: {found['error']}\n{self._last_words()}")
        return found

    def _last_words(self) -> str:
        self._log.seek(0)
        return "".join(self._log.readlines()[-15:])

    def close(self) -> None:
        """End the worker."""
        assert self._process.stdin is not None
        # A dead worker's pipe breaks again here; the reason was reported at the last request.
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._log.close()


@contextmanager
def crew(variants: Mapping[str, Variant]) -> Iterator[dict[str, Member]]:
    """Start a worker for each variant; end them all."""
    with ExitStack() as stack:
        members = {}
        for name, variant in variants.items():
            members[name] = Member(name, variant)
            stack.callback(members[name].close)
        yield members


@dataclass
class Figures:
    """Images per second of one network and variant, a value for each round."""

    per_cpu_second: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Median of the images per CPU-second."""
        return median(self.per_cpu_second)

    def as_dict(self) -> dict[str, Any]:
        """Return medians and rounds."""
        return {
            "images_per_cpu_second": self.speed,
            "images_per_second": median(self.per_second),
            "rounds_per_cpu_second": self.per_cpu_second,
            "rounds_per_second": self.per_second,
        }


def take_turns(
    members: Mapping[str, Member],
    networks: Sequence[str],
    rounds: int,
    *,
    each_round: Callable[[int], None],
    tell: Callable[[str], None],
) -> dict[str, dict[str, Figures]]:
    """Return the results by network and variant.

    In each round every variant trains every network for about `BLOCK_SECONDS`, one after the other, in an order
    that rotates from round to round, so that other load affects all variants alike.
    """
    steps: dict[tuple[str, str], int] = {}
    for network in networks:
        for name, member in members.items():
            tell(f"warming up: {network}, {name}")
            member.ask("train", network=network, steps=1)
            once = member.ask("train", network=network, steps=1)["cpu_s"]
            steps[network, name] = max(1, min(MOST_STEPS, round(BLOCK_SECONDS / once)))
    found = {network: {name: Figures() for name in members} for network in networks}
    names = list(members)
    for number in range(rounds):
        each_round(number)
        for network in networks:
            tell(f"round {number + 1} of {rounds}: {network}")
            start = number % len(names)
            for name in names[start:] + names[:start]:
                got = members[name].ask("train", network=network, steps=steps[network, name])
                found[network][name].per_cpu_second.append(got["images"] / got["cpu_s"])
                found[network][name].per_second.append(got["images"] / got["wall_s"])
    return found
