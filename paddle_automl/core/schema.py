"""Typed, strict, frozen configuration sections, and the field type that holds a plugin's options.

A section is a pydantic model; each option is documented by the string under it. A plugin's options are a
`PluginConfig` named ``Config`` inside the plugin's class, so the YAML, the help text and the JSON Schema
all come from the class itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from paddle_automl.core.errors import ConfigError, did_you_mean
from paddle_automl.core.registry import Registry

T = TypeVar("T")
S = TypeVar("S", bound="Section")


class Section(BaseModel):
    """A section of the configuration: unknown keys are refused, values are not converted between types."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    path_options: ClassVar[tuple[str, ...]] = ()
    """Names of the options that are paths or sequences of paths, relative to the working directory."""

    def given_paths(self) -> dict[str, tuple[str, ...]]:
        """Return the paths in each of the `path_options`, none for an option that is left out."""
        given = {name: getattr(self, name) for name in self.path_options}
        return {name: (value,) if isinstance(value, str) else tuple(value or ()) for name, value in given.items()}

    @model_validator(mode="wrap")
    @classmethod
    def _name_unknown_keys(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        try:
            return handler(data)
        except ValidationError as error:
            details = [cls._detail(item) for item in _without_branches(error.errors(include_url=False))]
            raise ValidationError.from_exception_data(cls.__name__, details) from None

    @classmethod
    def _detail(cls, item: Any) -> InitErrorDetails:
        loc, message, kind = item["loc"], item["msg"], item["type"]
        if kind == "extra_forbidden" and len(loc) == 1:
            valid = [
                field.alias or name
                for name, field in cls.model_fields.items()
                if not (name == "name" and issubclass(cls, PluginConfig))
            ]
            hint = did_you_mean(loc[0], valid)
            message = f"unknown key{hint if hint else ';'} valid: {', '.join(valid) or 'no options'}"
            kind = "unknown_key"
        elif kind == "value_error" and isinstance(item["input"], dict | list | tuple):
            # A rule about several keys states the values itself; printing the whole section would hide them.
            message, kind = _lower(message), "stated"
        elif kind not in {"missing", "unknown_key", "stated"}:
            message = f"{_lower(message)}, got {item['input']!r}"
            kind = "stated"
        return InitErrorDetails(type=PydanticCustomError(kind, message), loc=loc, input=item["input"])


class PluginConfig(Section):
    """Options of one plugin; `name` is the name it is registered under."""

    name: str = ""
    """Name of the plugin."""


class Plugin:
    """Annotation of a field that selects a plugin: a name, or a mapping of ``name`` and options.

    The field's value is an instance of the chosen class's ``Config``. A mapping without ``name`` means the
    `default` plugin; then ``name`` is not in the value's ``model_fields_set``. With `optional`, None and ``auto``
    are both read as None, and the code that uses the field chooses.
    """

    def __init__(self, registry: Registry[Any], default: str | None = None, optional: bool = False) -> None:
        self.registry = registry
        self.default = default
        self.optional = optional

    def validate(self, value: Any) -> PluginConfig | None:
        """Return the chosen plugin's ``Config`` for a name, a mapping or a ready instance."""
        if self.optional and (value is None or value == "auto"):
            return None
        if isinstance(value, PluginConfig):
            stated = "name" in value.model_fields_set or value.name != self.default
            value = value.model_dump(exclude=None if stated else {"name"})
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict):
            raise PydanticCustomError(
                "stated", f"must be a {self.registry.kind}'s name or a mapping, got {value!r}"
            )
        name = value.get("name", self.default)
        if not isinstance(name, str):
            names = ", ".join(self.registry.names())
            raise PydanticCustomError("stated", f"needs the key 'name' of a {self.registry.kind}; valid: {names}")
        try:
            cls = self.registry[name]
        except ConfigError as error:
            raise PydanticCustomError("stated", str(error)) from None
        config: PluginConfig = cls.Config.model_validate({**value, "name": name})
        if "name" not in value:
            # The code that uses the field may have to know that nobody chose this plugin.
            config.model_fields_set.discard("name")
        return config

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Return the schema that validates and serializes through the registry."""
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value, info: None if value is None else value.model_dump(mode=info.mode), info_arg=True
            ),
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the JSON Schema: any registered name, or a mapping with that plugin's options."""
        names = self.registry.names()
        options: list[dict[str, Any]] = [{"enum": names}]
        for name in names:
            branch = _inlined(self.registry[name].Config.model_json_schema())
            branch["properties"]["name"] = {"const": name}
            options.append(branch)
        return {"anyOf": [*options, {"const": "auto"}, {"type": "null"}] if self.optional else options}


_BRANCH = re.compile(
    r"(literal|dict|list|tuple)\[.*\]|(constrained|function|nullable|lax-or-strict)-.*|int|float|str|bool"
)
"""Suffixes that pydantic adds to a key to name a branch of a union."""


def _without_branches(items: Iterable[Any]) -> list[Any]:
    """Return one error per key for a value that fits no branch of a union; pydantic reports one per branch."""
    merged: dict[tuple[Any, ...], Any] = {}
    for item in items:
        loc = item["loc"]
        while len(loc) > 1 and isinstance(loc[-1], str) and _BRANCH.fullmatch(loc[-1]):
            loc = loc[:-1]
        if loc not in merged:
            merged[loc] = {**item, "loc": loc}
        elif loc != item["loc"]:
            merged[loc]["msg"] += f" or {_lower(item['msg'])}"
    return list(merged.values())


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with its definitions inlined, so that it can be part of another one."""
    definitions = schema.pop("$defs", {})

    def put(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                found = definitions[node["$ref"].removeprefix("#/$defs/")]
                rest = {key: value for key, value in node.items() if key != "$ref"}
                return {**put(found), **put(rest)}
            return {key: put(value) for key, value in node.items()}
        return [put(item) for item in node] if isinstance(node, list) else node

    result: dict[str, Any] = put(schema)
    return result


def default(value: Any) -> Any:
    """Return a field's default from its YAML form; it is validated when first used."""
    return Field(default=value)


_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(h|min|m|s)")
_SECONDS = {"h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0}


def parse_duration(value: Any) -> Any:
    """Return seconds for ``90``, ``"90s"``, ``"3min"`` or ``"1h30min"``; raises ValueError otherwise."""
    if not isinstance(value, str):
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    text = value.strip().lower()
    parts = _DURATION_PART.findall(text)
    if not parts or _DURATION_PART.sub("", text).strip():
        raise PydanticCustomError("stated", f"must be a duration such as 90s, 3min or 1h30min, got {value!r}")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


Duration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
"""Seconds; in YAML also ``90s``, ``3min``, ``1h30min``."""

Sequence = Annotated[tuple[T, ...], Strict(False)]
"""An immutable list: a YAML list becomes a tuple."""


def paths_in(value: Any) -> list[str]:
    """Return the paths that a section, or a tuple of sections, names, with those in its own and in its plugins."""
    if isinstance(value, tuple):
        return [path for item in value for path in paths_in(item)]
    if not isinstance(value, Section):
        return []
    own = [path for paths in value.given_paths().values() for path in paths]
    return [*own, *(path for name in type(value).model_fields for path in paths_in(getattr(value, name)))]


def with_paths(section: S, change: Callable[[str], str]) -> S:
    """Return a section with all its paths changed; see `paths_in`."""
    changed: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            changed[name] = with_paths(value, change)
        elif isinstance(value, tuple) and any(isinstance(item, Section) for item in value):
            changed[name] = tuple(with_paths(item, change) if isinstance(item, Section) else item for item in value)
    for name, paths in section.given_paths().items():
        if paths:
            changed[name] = (
                change(paths[0]) if isinstance(getattr(section, name), str) else tuple(map(change, paths))
            )
    return section.model_copy(update=changed)


def issues_of(error: ValidationError, where: Any = None, known: Container[tuple[Any, ...]] = ()) -> list[str]:
    """Return one sentence per mistake: dotted key and reason; `where(loc)` may put the file in front.

    Mistakes at `known` paths are left out.
    """
    issues = []
    for item in error.errors(include_url=False):
        loc = tuple(item["loc"])
        if loc in known:
            continue
        message = "is required" if item["type"] == "missing" else item["msg"]
        position = where(loc) if where else ""
        key = dotted(loc)
        issues.append(f"{position}{key}: {message}" if key else f"{position}{message}")
    return issues


def dotted(parts: Iterable[Any]) -> str:
    """Return the dotted key of a path of mapping keys and list indices."""
    return ".".join(str(part) for part in parts)


def _lower(sentence: str) -> str:
    sentence = sentence.removeprefix("Value error, ")
    return sentence[:1].lower() + sentence[1:]
