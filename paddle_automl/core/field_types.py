"""The types of fields, looked up in raw data, for text that YAML would read as something else.

A text option keeps the text that was written, even if it looks like another type: ``007``, ``no``, ``1e3``,
``2024-01-01``. YAML cannot know which one is meant; the field's type decides here, before validation.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import Plugin, Section
from paddle_automl.core.yaml_nodes import Positions, SourceLocation, short

_SIMPLE: dict[Any, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}


@dataclass(frozen=True)
class FieldType:
    """The alternatives of a field's annotation: types, Literals, sections, plugins; unions are taken apart."""

    branches: tuple[Any, ...]

    @classmethod
    def of(cls, annotation: Any, metadata: typing.Iterable[Any] = ()) -> FieldType:
        """Return the type of an annotation and of pydantic's metadata for it."""
        plugin = next((item for item in metadata if isinstance(item, Plugin)), None)
        if plugin is not None:
            return cls((plugin,))
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return cls.of(args[0], args[1:])
        if origin in (Union, types.UnionType):
            return cls(tuple(branch for item in args for branch in cls.of(item).branches))
        return cls((annotation,))

    def fits(self, value: Any) -> bool:
        """Return whether `value` has one of the types without conversion; types that are not known here fit."""
        return any(_fits(branch, value) for branch in self.branches)

    def takes_text(self, text: str) -> bool:
        """Return whether the field may hold `text`."""
        return any(_takes_text(branch, text) for branch in self.branches)

    def inside(self, value: Any, part: Any) -> FieldType | None:
        """Return the type of ``value[part]``, or None where there is nothing."""
        found = (_inside(branch, value, part) for branch in self.branches)
        return next((inner for inner in found if inner is not None), None)


def field_type(model: type[Section], data: Any, path: tuple[Any, ...]) -> FieldType | None:
    """Return the type of the field at `path`, or None if there is none; `data` names the plugins above it."""
    found: FieldType | None = FieldType((model,))
    for part in path:
        if found is None:
            return None
        found, data = found.inside(data, part), _item(data, part)
    return found


def with_texts(
    model: type[Section], data: Mapping[str, Any], positions: Positions
) -> tuple[dict[str, Any], dict[tuple[Any, ...], str]]:
    """Return `data` with the text that was written in every text option, not the value that YAML made of it.

    The second mapping holds a sentence for each path whose text, from the command line, is not YAML and not the
    value of a text option.
    """
    result = dict(data)
    issues = {}
    for path, place in positions.items():
        if not isinstance(place, SourceLocation) or not place.text:
            continue
        field = field_type(model, result, path)
        value = _at(result, path)
        if field is None or value is _MISSING:
            continue
        if place.error and not field.takes_text(place.text):
            key = ".".join(map(str, path))
            issues[path] = f"{place}: {key}: cannot read the value {short(place.text)!r}: {place.error}"
        elif not field.fits(value) and field.takes_text(place.text) and (place.whole or _same(value, place.value)):
            result = _replaced(result, path, place.text)
    return result, issues


_MISSING = object()


def _fits(branch: Any, value: Any) -> bool:
    if branch is None or branch is type(None):
        return value is None
    if branch in _SIMPLE:
        return isinstance(value, _SIMPLE[branch]) and (branch is bool or not isinstance(value, bool))
    origin = typing.get_origin(branch)
    if origin is Literal:
        return any(_same(value, item) for item in typing.get_args(branch))
    if isinstance(branch, Plugin):
        return isinstance(value, str | Mapping) or (value is None and branch.optional)
    if isinstance(branch, type) and issubclass(branch, Section):
        return isinstance(value, Mapping)
    if origin in (list, tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, Mapping) if origin is dict else True


def _takes_text(branch: Any, text: str) -> bool:
    if isinstance(branch, Plugin):
        return text in branch.registry.names()
    return branch is str or (typing.get_origin(branch) is Literal and text in typing.get_args(branch))


def _inside(branch: Any, value: Any, part: Any) -> FieldType | None:
    if isinstance(branch, Plugin):
        section = _chosen(branch, value)
    elif isinstance(branch, type) and issubclass(branch, Section):
        section = branch
    else:
        origin, args = typing.get_origin(branch), typing.get_args(branch)
        if origin in (list, tuple) and args and _index(part) is not None:
            whole = origin is list or (len(args) == 2 and args[1] is Ellipsis)
            position = 0 if whole else min(_index(part) or 0, len(args) - 1)
            return FieldType.of(args[position])
        return FieldType.of(args[1]) if origin is dict and len(args) == 2 else None
    field = None if section is None or not isinstance(part, str) else section.model_fields.get(part)
    return None if field is None else FieldType.of(field.annotation, field.metadata)


def _chosen(plugin: Plugin, value: Any) -> type[Section] | None:
    """Return the options of the plugin that a raw value chooses."""
    name = value.get("name", plugin.default) if isinstance(value, Mapping) else value
    try:
        chosen: type[Section] | None = plugin.registry[name].Config if isinstance(name, str) else None
        return chosen
    except ConfigError:
        # Validation reports which names there are.
        return None


def _index(part: Any) -> int | None:
    return int(part) if isinstance(part, int) or (isinstance(part, str) and part.isdecimal()) else None


def _item(data: Any, part: Any) -> Any:
    if isinstance(data, Mapping):
        return data.get(part, _MISSING)
    index = _index(part)
    if isinstance(data, list | tuple) and index is not None and index < len(data):
        return data[index]
    return _MISSING


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        data = _item(data, part)
    return data


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _replaced(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(data, Mapping):
        return {**data, head: _replaced(data[head], rest, value)}
    items, index = list(data), int(head)
    items[index] = _replaced(items[index], rest, value)
    return items
