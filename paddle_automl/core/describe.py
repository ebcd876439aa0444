"""Help text of configuration classes, taken from the classes themselves."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union

import annotated_types
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from paddle_automl.core.schema import Plugin, PluginConfig, Section


@dataclass(frozen=True)
class Option:
    """One configuration key as a reader needs it; `section` is the class of a sub-section."""

    key: str
    type: str
    default: str
    doc: str
    section: Any = None


def options(model: type[Section], prefix: str = "") -> Iterator[Option]:
    """Yield the options of a section in the order of the class; sub-sections are not entered."""
    for name, field in model.model_fields.items():
        if name == "name" and issubclass(model, PluginConfig):
            continue
        section = _section(field.annotation)
        text = "section" if section else _type_text(field.annotation, field.metadata)
        yield Option(
            prefix + (field.alias or name),
            text,
            "" if section else _default(field),
            field.description or "",
            section,
        )


def all_options(model: type[Section], prefix: str = "") -> Iterator[Option]:
    """Yield the options of a section and of every section inside it, with dotted keys."""
    for option in options(model, prefix):
        yield option
        if option.section:
            yield from all_options(option.section, f"{option.key}.")


def _section(annotation: Any) -> type[Section] | None:
    candidates = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    for item in candidates:
        if isinstance(item, type) and issubclass(item, Section) and not issubclass(item, PluginConfig):
            return item
    return None


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required" if field.default_factory is None else ""
    value = field.default
    if isinstance(value, Section):
        value = value.model_dump(mode="json")
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return str([item.model_dump(mode="json") if isinstance(item, Section) else item for item in value])
    return str(value)


def _type_text(annotation: Any, metadata: Any = ()) -> str:
    for item in metadata:
        if isinstance(item, Plugin):
            return f"{item.registry.kind}: {' | '.join(item.registry.names())}"
        if hasattr(item, "type_text"):
            return str(item.type_text())
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type_text(args[0], args[1:])
    if origin is Literal:
        return " | ".join(str(item) for item in args)
    if _is_union(annotation):
        return " | ".join("none" if item is type(None) else _type_text(item) for item in args)
    if origin in (tuple, list):
        return f"list of ({_type_text(args[0])})"
    name = getattr(annotation, "__name__", str(annotation))
    bounds = [text for item in metadata for text in _bounds(item)]
    return f"{name} {' '.join(bounds)}".strip()


def _bounds(item: Any) -> Iterator[str]:
    signs = {
        annotated_types.Ge: ">=",
        annotated_types.Gt: ">",
        annotated_types.Le: "<=",
        annotated_types.Lt: "<",
    }
    for kind, sign in signs.items():
        if isinstance(item, kind):
            yield f"{sign} {getattr(item, kind.__name__.lower())}"


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (Union, types.UnionType)
