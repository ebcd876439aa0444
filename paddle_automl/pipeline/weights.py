"""Published weights decide how items are read: as those that they were learned on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from paddle_automl.models.config import ModelConfig

FREE = ("auto", None)
"""Values of an option that leave it open."""


def with_input_of_weights(values: Any) -> Any:
    """Return the values of a whole configuration with the options of `data.input` that its weights bring.

    Values that are no mapping, and a section `model` with mistakes, are returned as they are. Raises ValueError
    for an option that states something else than the weights.
    """
    if not isinstance(values, Mapping) or not _names_published(values.get("model")):
        return values
    try:
        source, brought = ModelConfig.model_validate(values["model"]).brings()
    except (ValidationError, ValueError):
        # The section's own validation names the mistake.
        return values
    data = values.get("data")
    if not brought or not isinstance(data, Mapping | None):
        return values
    given = (data or {}).get("input")
    options = {} if given in FREE else {"name": given} if isinstance(given, str) else given
    if not isinstance(options, Mapping):
        return values
    for key, value in brought.items():
        stated = options.get(key, "auto")
        stated = tuple(stated) if isinstance(stated, list) else stated
        # An interpolation is always stated in a written configuration, as its default too.
        if stated not in FREE and not _agrees(stated, value) and key != "interpolation":
            raise PydanticCustomError(
                "stated",
                f"data.input.{key}: must be {_shown(value)} for {source}, "
                f"got {_shown(stated)}; leave it out: the weights bring it",
            )
    kept = {key: options[key] for key in brought if isinstance(options.get(key), Mapping)}
    return {**values, "data": {**(data or {}), "input": {**options, **brought, **kept}}}


def _agrees(stated: Any, value: Any) -> bool:
    """Return whether an option is as the weights need it; a mapping may state more."""
    if isinstance(stated, Mapping) and isinstance(value, Mapping):
        return all(stated.get(key) == wanted for key, wanted in value.items())
    return bool(stated == value)


def _names_published(model: Any) -> bool:
    if not isinstance(model, Mapping):
        return False
    embedding = model.get("embedding")
    package = embedding.get("package") if isinstance(embedding, Mapping) else None
    return isinstance(model.get("pretrained"), str) or isinstance(package, str)


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
