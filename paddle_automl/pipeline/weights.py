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
        weights = ModelConfig.model_validate(values["model"]).published()
    except (ValidationError, ValueError):
        # The section's own validation names the mistake.
        return values
    data = values.get("data")
    if weights is None or not isinstance(data, Mapping | None):
        return values
    given = (data or {}).get("input")
    options = {} if given in FREE else {"name": given} if isinstance(given, str) else given
    if not isinstance(options, Mapping):
        return values
    for key, value in weights.input.items():
        stated = options.get(key, "auto")
        stated = tuple(stated) if isinstance(stated, list) else stated
        # An interpolation is always stated in a written configuration, as its default too.
        if stated not in (*FREE, value) and key != "interpolation":
            raise PydanticCustomError(
                "stated",
                f"data.input.{key}: must be {_shown(value)} for model.pretrained: {values['model']['pretrained']}, "
                f"got {_shown(stated)}; leave it out: the weights bring it",
            )
    return {**values, "data": {**(data or {}), "input": {**options, **weights.input}}}


def _names_published(model: Any) -> bool:
    return isinstance(model, Mapping) and isinstance(model.get("pretrained"), str)


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
