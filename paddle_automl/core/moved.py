"""Renamed keys of the configuration: one table, and the functions that apply it to raw mappings.

An old key still works and gives one warning per process, which names the new key. Giving an old key together with
its new one is a mistake. To move a key, add a line to `MOVED`; nothing else knows the old name.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.merging import lookup, with_override
from paddle_automl.core.yaml_io import Positions

LOGGER = logging.getLogger(__name__)

T = TypeVar("T")

MOVED: dict[str, str] = {
    "data.image_size": "data.input.size",
    "data.fit": "data.input.fit",
    "data.channels": "data.input.channels",
    "training.progressive.data_share": "training.progressive.data_fraction",
    "final": "refit",
    "training.init_from": "model.pretrained",
    "compression.max_accuracy_drop": "compression.max_drop",
    "compression.min_top1_agreement": "compression.min_agreement",
    "deployment.parity.min_top1_agreement": "deployment.parity.min_agreement",
    "deployment.parity.min_top1_agreement_int8": "deployment.parity.min_agreement_int8",
    "deployment.parity.max_accuracy_drop_int8": "deployment.parity.max_drop_int8",
    "search.controller.random_share": "search.controller.random_fraction",
    "compression.steps.*.rises": "compression.steps.*.increases",
}
"""Old dotted key -> new dotted key. A section moves with all that is in it; ``*`` is any index of a list."""

INDEX = "*"
"""Stands for every index of a list in the table."""

SPACE = "search.space"
"""The section whose keys are dotted keys themselves."""

_warned: set[str] = set()


def moved_key(key: str, table: Mapping[str, str] = MOVED) -> str:
    """Return the current name of a dotted key, also of one below a moved section or in `search.space`."""
    if key.startswith(f"{SPACE}."):
        return f"{SPACE}.{moved_key(key.removeprefix(f'{SPACE}.'), table)}"
    table = _indexed(table, key)
    old = _entry(key, table)
    return key if old is None else table[old] + key[len(old) :]


def with_moved_keys(
    data: Mapping[str, Any],
    positions: Positions | None = None,
    table: Mapping[str, str] = MOVED,
    warn: bool = True,
) -> dict[str, Any]:
    """Return the raw mapping of a configuration with every moved key under its new name, in `search.space` too.

    `positions` (the file and line of each key, for messages) gets entries for the new names. With `warn` false
    nothing is logged: the mapping comes from a file that nobody edits, such as a bundle's. Raises ConfigError for
    an old key given together with its new one.
    """
    places: Positions = {} if positions is None else positions
    given, table = table, _indexed(table, data)
    found = [old for old in table if _holds(data, old)]
    issues = [_beside(old, table[old], places) for old in found if _holds(data, table[old])]
    result = copy.deepcopy(dict(data))
    space = lookup(result, SPACE) if _holds(result, SPACE) else None
    if isinstance(space, dict):
        issues += _move_space(space, places, given, warn)
    if issues:
        raise ConfigError(issues)
    # Deeper keys are moved first: their section may move as a whole afterwards.
    for old in sorted(found, key=lambda key: -key.count(".")):
        value = lookup(result, old)
        _remove(result, old)
        result = with_override(result, table[old], value)
        _move_places(places, _path(old), _path(table[old]))
        if warn:
            _warn(old, table[old], places.get(_path(old), ""))
    return result


def moved_overrides(overrides: Mapping[str, Any], table: Mapping[str, str] = MOVED) -> dict[str, Any]:
    """Return ``{dotted key: value}`` with current names, also for keys inside values that are mappings.

    Raises ConfigError if an old key and its new one are both given.
    """
    result: dict[str, Any] = {}
    given: dict[str, str] = {}
    for key, value in overrides.items():
        for new, part in _moved_override(key, value, table):
            if new in result:
                old, other = sorted((key, given[new]), key=lambda name: name == new)
                raise ConfigError(f"-o {old}: is the old name of '{new}', which -o {other} gives too; keep one")
            result[new], given[new] = part, key
    return result


def moved_argument(old: str, new: str, old_value: T | None, value: T | None) -> T | None:
    """Return the value of an argument that is now called `new`, given by either name; None if it is not given.

    Raises ConfigError if both are given.
    """
    if old_value is None:
        return value
    if value is not None:
        raise ConfigError(f"{old}: is the old name of '{new}', which is given too; keep '{new}'")
    if old not in _warned:
        _warned.add(old)
        LOGGER.warning("the argument '%s' is now '%s'; the old name still works in this version", old, new)
    return old_value


def _moved_override(key: str, value: Any, table: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    new = moved_key(key, table)
    if new != key:
        _warn(key, new, f"-o {key}")
    if not isinstance(value, Mapping | list):
        yield new, value
        return
    nested = with_override({}, new, value)
    moved = with_moved_keys(nested, {}, table)
    if _holds(moved, new):
        yield new, lookup(moved, new)
    for old, target in _indexed(table, nested).items():
        # A key that was moved out of the given mapping becomes an override of its own.
        if _holds(nested, old) and not target.startswith(f"{new}."):
            yield target, lookup(moved, target)


def _move_space(space: dict[str, Any], places: Positions, table: Mapping[str, str], warn: bool) -> list[str]:
    """Rename the keys of a search space in place; return the mistakes."""
    issues = []
    items, top = list(space.items()), _path(SPACE)
    for key, _ in items:
        new = moved_key(key, table) if isinstance(key, str) else key
        if new != key and new in space:
            issues.append(_beside(f"{SPACE}.{key}", f"{SPACE}.{new}", places, ((*top, key), (*top, new))))
        elif new != key and warn:
            _warn(key, new, places.get((*top, key), SPACE))
    if issues:
        return issues
    space.clear()
    for key, domain in items:
        new = moved_key(key, table) if isinstance(key, str) else key
        space[new] = _moved_options(new, domain, table)
        if new != key:
            _move_places(places, (*top, key), (*top, new))
    return []


def _moved_options(key: Any, domain: Any, table: Mapping[str, str]) -> Any:
    """Return a domain with the current names of keys in its options, where these are mappings."""
    options = domain.get("choice") if isinstance(domain, Mapping) else None
    if not isinstance(options, list):
        return domain
    return {**domain, "choice": [_moved_within(key, option, table) for option in options]}


def _moved_within(key: str, option: Any, table: Mapping[str, str]) -> Any:
    if not isinstance(option, Mapping | list):
        return option
    nested, prefix = with_override({}, key, option), f"{key}."
    inner = {
        old: new
        for old, new in _indexed(table, nested).items()
        if old.startswith(prefix) and new.startswith(prefix)
    }
    return lookup(with_moved_keys(nested, {}, inner, warn=False), key)


def _indexed(table: Mapping[str, str], data: Mapping[str, Any] | str) -> dict[str, str]:
    """Return the table with an entry per index for `INDEX`: those of the list in `data`, or the one in a key."""
    result = {}
    for old, new in table.items():
        section, _, rest = old.partition(f".{INDEX}")
        for index in _indexes(section, data) if rest else [""]:
            result[old.replace(INDEX, index)] = new.replace(INDEX, index)
    return result


def _indexes(section: str, data: Mapping[str, Any] | str) -> list[str]:
    if isinstance(data, str):
        index = data.removeprefix(f"{section}.").partition(".")[0]
        return [index] if data.startswith(f"{section}.") and index.isdecimal() else []
    found = lookup(data, section) if _holds(data, section) else None
    if isinstance(found, list):
        return [str(index) for index in range(len(found))]
    # A single item of a list, named by an override or a domain, is in a mapping with its index as the key.
    return [key for key in found if isinstance(key, str) and key.isdecimal()] if isinstance(found, Mapping) else []


def _entry(key: str, table: Mapping[str, str]) -> str | None:
    """Return the longest entry of the table that is the key or one of the sections that contain it."""
    found = [old for old in table if f"{key}.".startswith(f"{old}.")]
    return max(found, key=len, default=None)


def _holds(data: Mapping[str, Any], key: str) -> bool:
    try:
        lookup(data, key)
    except KeyError:
        return False
    return True


def _remove(data: dict[str, Any], key: str) -> None:
    section, _, last = key.rpartition(".")
    holder = lookup(data, section) if section else data
    del holder[last]


def _path(key: str) -> tuple[Any, ...]:
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def _move_places(places: Positions, old: tuple[Any, ...], new: tuple[Any, ...]) -> None:
    for path in [path for path in places if path[: len(old)] == old]:
        moved = new + path[len(old) :]
        places[moved] = places[path]


def _beside(old: str, new: str, places: Positions, paths: tuple[Any, Any] | None = None) -> str:
    first, second = paths or (_path(old), _path(new))
    where = f"{places[first]}: " if first in places else ""
    other = f" ({places[second]})" if second in places else ""
    return f"{where}{old}: is the old name of '{new}', which is given too{other}; keep '{new}'"


def _warn(old: str, new: str, where: str) -> None:
    if old not in _warned:
        _warned.add(old)
        place = f"{where}: " if where else ""
        LOGGER.warning("%sthe key '%s' is now '%s'; the old name still works in this version", place, old, new)
