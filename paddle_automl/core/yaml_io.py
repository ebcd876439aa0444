"""Safe YAML within limits: duplicate keys are refused, ``1e-3`` is a number, each value keeps its line and text.

Scalars are read as YAML 1.2 does: ``2024-01-01`` and ``1:30`` are text, ``010`` is ten. ``yes`` and ``no`` are true
and false where a field is not text (`core.field_types`). A text that cannot be read raises one ConfigError with
file and line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import open_regular
from paddle_automl.core.yaml_nodes import (
    FIRST_OF_NUMBERS,
    NUMBERS,
    TAG,
    Builder,
    Loader,
    Positions,
    SourceLocation,
    UnreadableError,
    WordLoader,
    compose,
    short,
)

__all__ = ["LARGEST_FILE", "Positions", "SourceLocation", "dump_yaml", "parse_value", "read_word", "read_yaml"]

LARGEST_FILE = 4 << 20
"""Most bytes of a file; configurations and bundle descriptions are far smaller."""
_STREAMS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


class _Dumper(yaml.SafeDumper):
    """SafeDumper that indents lists below their key and writes short lists on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


# The dumper knows the rules of YAML 1.1 too: a text that any reader may take for a number is quoted.
for _name, _rule in NUMBERS.items():
    _Dumper.add_implicit_resolver(f"{TAG}{_name}", _rule, list(FIRST_OF_NUMBERS))


def _represent_list(dumper: yaml.SafeDumper, data: Any) -> yaml.Node:
    short = len(data) <= 12 and all(isinstance(item, (int, float, str, bool, type(None))) for item in data)
    return dumper.represent_sequence(f"{TAG}seq", data, flow_style=short)


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(tuple, _represent_list)


def parse_value(text: str) -> Any:
    """Return the value of one YAML text; raises ConfigError if it cannot be read."""
    try:
        return Builder(lambda line: f"line {line}").build(compose(text, Loader))
    except UnreadableError as error:
        raise ConfigError(f"cannot read the value {short(text)!r}: {error.reason}") from None


def read_word(text: str, where: str) -> tuple[Any, Positions]:
    """Return the value of the text after ``key=`` on the command line, and the places of its parts.

    It is read as YAML, without comments. A text that is not YAML is its own value, and its place holds the error:
    only a text option accepts it.
    """
    whole = text.strip()
    builder = Builder(lambda line: where)
    try:
        node = compose(whole, WordLoader)
        value = builder.build(node)
    except UnreadableError as error:
        return whole, {(): SourceLocation(where, whole, error=error.reason, whole=True)}
    if isinstance(value, str) and not whole.startswith(("'", '"', "!")):
        # Its lines were folded into one, or taken for a block indicator.
        value = whole
    return value, {**builder.positions, (): SourceLocation(where, whole, whole=True)}


def read_yaml(path: Path) -> tuple[dict[str, Any], Positions]:
    """Return the mapping in a YAML file and, for each path in it, its `SourceLocation`.

    Raises ConfigError for a missing file, a syntax error, a value that cannot be built, a duplicate key, a file
    beyond the limits, or one that is not a mapping.
    """
    text = _text_of(path)
    builder = Builder(lambda line: f"{path}:{line}")
    try:
        data = builder.build(compose(text, Loader))
    except UnreadableError as error:
        where = f"{path}:{error.line}" if error.line else str(path)
        raise ConfigError(f"{where}: {error.reason}") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must hold a mapping of keys to values, got a {type(data).__name__}")
    return data, builder.positions


def dump_yaml(data: Any) -> str:
    """Return `data` (mappings, lists, scalars) as YAML text in the order given."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _text_of(path: Path) -> str:
    try:
        # A pipe is only read as an open stream, as in <(command) of a shell: it has a writer.
        stream = str(path).startswith(_STREAMS)
        with open(path, "rb") if stream else open_regular(path) as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}") from None
    if len(raw) > LARGEST_FILE:
        raise ConfigError(f"{path}: is larger than {LARGEST_FILE >> 20} MB, so it is not a configuration")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from None
