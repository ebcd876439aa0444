"""The rule of merging configurations, used for ``_base_:``, ``-o key=value`` and a trial's choices.

Mappings merge; lists replace; a changed ``name`` replaces its whole section; a bare ``x`` for a plugin means
``{name: x}``; a list's items are addressed by index. In `search.space` a domain replaces a domain.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from paddle_automl.core.errors import ConfigError

FLAT_SECTIONS = (("search", "space"),)
"""Sections whose keys are dotted keys themselves: there the rest of a dotted path is one key."""
_MOST_DIGITS = 9
"""Most digits of an index of a list."""

DOMAIN_WORDS = ("choice", "int", "float", "log", "repeat")
"""Keys that make a mapping of the search space a domain (`space.parsing` knows which keys may accompany each)."""


def merge(base: Any, change: Any, path: tuple[str, ...] = ()) -> Any:
    """Return `base` with `change` merged into it; neither is modified. `path` is the place of both."""
    if any(path[: len(section)] == section and len(path) > len(section) for section in FLAT_SECTIONS):
        return _merge_domains(base, change)
    if isinstance(change, str) and isinstance(base, Mapping) and "name" in base:
        change = {"name": change}
    if isinstance(base, str) and isinstance(change, Mapping) and base != change.get("name", base):
        return copy.deepcopy(change)
    if isinstance(base, str) and isinstance(change, Mapping):
        base = {"name": base}
    if not (isinstance(base, Mapping) and isinstance(change, Mapping)):
        return copy.deepcopy(change)
    if "name" in change and change["name"] != base.get("name", change["name"]):
        return copy.deepcopy(dict(change))
    merged = copy.deepcopy(dict(base))
    for key, value in change.items():
        merged[key] = merge(merged[key], value, (*path, key)) if key in merged else copy.deepcopy(value)
    return merged


def _merge_domains(base: Any, change: Any) -> Any:
    """Return the search space at a key: mappings of option names merge, all else replaces.

    Two kinds of domain merged would be both at once. A mapping without a domain's keyword (``{log: true}``,
    ``{step: 2}``, ``{times: 3}``) is added to the domain in `base`.
    """
    if not (isinstance(base, Mapping) and isinstance(change, Mapping)):
        return copy.deepcopy(change)
    if _is_domain(base) and change and all(map(_stands_beside, change.items())):
        return copy.deepcopy({**base, **change})
    if _is_domain(base) or _is_domain(change):
        return copy.deepcopy(dict(change))
    merged = copy.deepcopy(dict(base))
    for key, value in change.items():
        merged[key] = _merge_domains(merged[key], value) if key in merged else copy.deepcopy(value)
    return merged


def _is_domain(spec: Mapping[str, Any]) -> bool:
    return any(word in spec for word in DOMAIN_WORDS)


def _stands_beside(item: tuple[str, Any]) -> bool:
    return item[0] in ("step", "times") or (item[0] == "log" and isinstance(item[1], bool))


def with_override(data: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return `data` with the value at the dotted `key` merged in; raises ConfigError for a bad list index."""
    if not key or any(part == "" for part in key.split(".")):
        raise ConfigError(f"'{key}' is not a dotted key such as training.epochs")
    result: dict[str, Any] = _set(dict(data), (), key.split("."), value)
    return result


def with_overrides(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `data` with every override merged in, in the order given."""
    result = dict(data)
    for key, value in overrides.items():
        result = with_override(result, key, value)
    return result


def split_key(key: str) -> tuple[str, ...]:
    """Return the path of a dotted key; in sections whose keys are dotted the rest is one key."""
    parts = tuple(key.split("."))
    for section in FLAT_SECTIONS:
        if parts[: len(section)] == section and len(parts) > len(section):
            return (*section, ".".join(parts[len(section) :]))
    return parts


def path_in(data: Any, key: str) -> tuple[Any, ...]:
    """Return the path of a dotted key in `data`, where items of lists have numbers."""
    path: list[Any] = []
    for part in split_key(key):
        index = index_in(data, part)
        path.append(part if index is None else index)
        if index is not None:
            data = data[index]
        else:
            data = data.get(part) if isinstance(data, Mapping) else None
    return tuple(path)


def index_in(data: Any, part: str) -> int | None:
    """Return the index in the list `data` that `part` of a dotted key is; None where it is none."""
    # Not `isdigit`: `int` refuses "²", as it does thousands of digits.
    if not isinstance(data, list | tuple) or not part.isdecimal() or len(part) > _MOST_DIGITS:
        return None
    return int(part) if int(part) < len(data) else None


def lookup(data: Any, key: str) -> Any:
    """Return the value at a dotted key; raises KeyError where the path ends early."""
    for part in split_key(key):
        index = index_in(data, part)
        if index is not None:
            data = data[index]
        elif isinstance(data, Mapping) and part in data:
            data = data[part]
        else:
            raise KeyError(key)
    return data


def _set(data: Any, path: tuple[str, ...], rest: list[str], value: Any) -> Any:
    if not rest:
        return merge(data, value, path)
    if path in FLAT_SECTIONS:
        rest = [".".join(rest)]
    head, tail, here = rest[0], rest[1:], (*path, rest[0])
    if isinstance(data, list | tuple):
        index = index_in(data, head)
        if index is None:
            raise ConfigError(f"{'.'.join(here)}: must be an index below {len(data)}, the length of the list")
        items = list(data)
        items[index] = _set(items[index], here, tail, value)
        return items
    if isinstance(data, str):
        data = {"name": data}
    elif data is None:
        data = {}
    elif not isinstance(data, Mapping):
        raise ConfigError(f"{'.'.join(here)}: '{'.'.join(path)}' is the value {data!r} and has no keys below it")
    result = dict(data)
    result[head] = _set(result.get(head), here, tail, value) if tail or head in result else copy.deepcopy(value)
    return result
