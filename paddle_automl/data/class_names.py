"""Names and order of classes: one rule for all data sets."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable

from paddle_automl.core.errors import DataError

log = logging.getLogger(__name__)


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), so that equal names are equal texts."""
    return unicodedata.normalize("NFC", name)


def in_order(names: Iterable[str]) -> list[str]:
    """Return names sorted: as numbers if all are whole numbers, otherwise as texts."""
    listed = list(names)
    if all(name.isdecimal() for name in listed):
        return sorted(listed, key=lambda name: (int(name), name))
    return sorted(listed)


def check_distinct(names: Iterable[str], where: str) -> None:
    """Raise DataError if two names look the same; warn of names that differ only in capital letters.

    `names` are different texts, from the place `where`.
    """
    seen: dict[str, str] = {}
    folded: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(composed(name), name)
        if other != name:
            raise DataError(
                f"{where}: two classes look the same, '{name}': {other!a} and {name!a} are written with "
                "different characters (composed and decomposed Unicode); give both one name"
            )
        alike = folded.setdefault(composed(name).casefold(), name)
        if alike != name:
            log.warning("%s: the classes '%s' and '%s' differ only in capital letters", where, alike, name)
