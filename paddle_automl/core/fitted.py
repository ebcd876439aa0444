"""The field type for what a plugin has learned from data: its ``Fitted`` section, chosen by the plugin's name."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import Plugin, PluginConfig


class FittedPlugin(Plugin):
    """Annotation of a field whose value is an instance of the named class's ``Fitted``.

    It is used in records (``bundle.yaml``, a run's record), not in configurations: a mapping with ``name``.
    """

    def __init__(self, registry: Registry[Any]) -> None:
        super().__init__(registry)

    def validate(self, value: Any) -> PluginConfig:
        """Return the plugin's ``Fitted`` for a mapping with ``name``, or for a ready instance."""
        if isinstance(value, PluginConfig):
            value = value.model_dump()
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str):
            raise PydanticCustomError(
                "stated", f"must be a mapping with the name of a {self.registry.kind}, got {value!r}"
            )
        try:
            cls = self.registry[name]
        except ConfigError as error:
            raise PydanticCustomError("stated", str(error)) from None
        fitted: PluginConfig = cls.Fitted.model_validate(value)
        return fitted
