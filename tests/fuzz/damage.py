"""What all fuzz tests share: damage to real files, and the two ends that reading one may have."""

import resource
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from paddle_automl.core.errors import AutoMLError

SAMPLE, MANY = 60, 3000
"""Cases per file in the default suite, and with ``-m slow``."""
LONGEST_S = 20.0
"""How long one case may take on a busy machine; a bomb takes minutes."""
MOST_GROWTH = 1 << 30
"""Bytes that the process may grow by over all cases of a test."""
EXTREMES = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    bytes(4),
    b"\x80\x00\x00\x00",
    bytes(8),
    b"\xff" * 8,
)


def damaged(raw: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` copies of a content with bytes flipped, cut off, put in, doubled, or set to extreme numbers."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        content = bytearray(raw)
        for _ in range(int(rng.integers(1, 4))):
            _damage(content, rng)
        yield bytes(content)


def _damage(content: bytearray, rng: np.random.Generator) -> None:
    if not content:
        return
    # Half of the damage goes where headers stand.
    end = len(content) if rng.random() < 0.5 else min(len(content), 200)
    place, kind = int(rng.integers(end)), int(rng.integers(7))
    length = int(rng.integers(1, 40))
    if kind == 0:
        content[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        content[place] = int(rng.integers(256))
    elif kind == 2:
        del content[place:]
    elif kind == 3:
        del content[place : place + length]
    elif kind == 4:
        content[place:place] = rng.bytes(length)
    elif kind == 5:
        content[place:place] = content[place : place + length] * int(rng.integers(1, 5))
    else:
        extreme = EXTREMES[int(rng.integers(len(EXTREMES)))]
        content[place : place + len(extreme)] = extreme


def only_two_ends(read: Callable[[], object], *errors: type[AutoMLError]) -> bool:
    """Read; return whether it was read, False where one of the errors was raised. All else fails the test."""
    begin = time.monotonic()
    try:
        read()
        return True
    except errors as error:
        message = str(error)
        assert message, "an error without a message"
        assert max(map(len, message.split("\n"))) < 2000, message
        return False
    finally:
        assert time.monotonic() - begin < LONGEST_S


class Growth:
    """Checks that a block does not make the process grow without bound."""

    def __enter__(self) -> "Growth":
        self.before = _largest()
        return self

    def __exit__(self, *exception: object) -> None:
        assert _largest() - self.before < MOST_GROWTH


def _largest() -> int:
    # Linux counts in kilobytes, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
