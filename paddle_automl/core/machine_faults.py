"""Which errors are faults of the machine: no property of a configuration, so that nothing is learned from them."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from paddle_automl.core.errors import MachineError, OutputError

_NUMBERS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENODEV}
)
"""No space, an I/O error, read-only, too many open files, a network drive or a device that is gone."""


def is_machine_fault(error: BaseException) -> bool:
    """Tell whether an error, or one that it was raised for, is a fault of the machine.

    What cannot be written is one, for whatever reason. Too little memory is none: the configuration may ask for it.
    """
    return any(
        isinstance(item, MachineError | OutputError) or (isinstance(item, OSError) and item.errno in _NUMBERS)
        for item in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
