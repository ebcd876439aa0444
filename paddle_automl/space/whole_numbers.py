"""Domains of fractions for whole-number options: a message for each, with the domain to write instead."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from paddle_automl.core.field_types import field_type
from paddle_automl.core.merging import lookup, with_override
from paddle_automl.core.schema import Section
from paddle_automl.space.domains import Choice, Domain, OptionNames
from paddle_automl.space.numeric import Real
from paddle_automl.space.tree import Leaf, Node, Options, Repeat

_ITEM = ".0"
"""The end of the key of a list's item."""


def fractions_of_whole_numbers(nodes: Mapping[str, Node], where: str, config: Section) -> list[str]:
    """Return a sentence for each domain with fractions for an option that takes whole numbers only.

    `config` is the configuration that the space varies; its classes define the types of the fields.
    """
    data = config.model_dump(mode="json")
    return [issue for key, node in nodes.items() for issue in _issues(node, key, f"{where}.{key}", config, data)]


def _issues(node: Node, key: str, where: str, config: Section, data: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(node, Options):
        for option, children in node.options.items():
            chosen = _with(data, key, {"name": option})
            for child, inner in children.items():
                yield from _issues(inner, f"{key}.{child}", f"{where}.{option}.{child}", config, chosen)
    elif isinstance(node, Repeat):
        yield from _issues(node.item, f"{key}{_ITEM}", f"{where}.repeat", config, _with(data, key, [{}]))
    elif isinstance(node, Leaf):
        better = _in_whole_numbers(node.domain)
        field = field_type(type(config), data, tuple(key.split("."))) if better else None
        if field is not None and field.fits(8) and not field.fits(8.5):
            name = key.removesuffix(_ITEM).rpartition(".")[2]
            yield f"{where}: {'each item of ' if key.endswith(_ITEM) else ''}{name} is a whole number: {better}"


def _with(data: Mapping[str, Any], key: str, value: Any) -> Mapping[str, Any]:
    """Return `data` with another value; a missing key is ignored, because other checks report it."""
    try:
        lookup(data, key)
    except KeyError:
        return data
    return with_override(data, key, value)


def _in_whole_numbers(domain: Domain) -> str:
    """Return the nearest domain of whole numbers, or an empty text for one that has only whole numbers already."""
    if isinstance(domain, Real):
        low, high = math.ceil(domain.low), max(math.ceil(domain.low), math.floor(domain.high))
        step = f", step: {int(domain.step)}" if domain.step is not None and domain.step.is_integer() else ""
        # Log domains begin at 1.
        return f"{{int: [{max(low, 1) if domain.log else low}, {high}]{', log: true' if domain.log else step}}}"
    if isinstance(domain, Choice) and not isinstance(domain, OptionNames):
        whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in domain.options]
        if any(isinstance(value, float) for value in domain.options):
            kept = [value for value in whole if not isinstance(value, float)]
            return f"{{choice: {json.dumps(kept or [1, 2], ensure_ascii=False)}}}"
    return ""
