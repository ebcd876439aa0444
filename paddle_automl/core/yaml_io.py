"""Safe YAML: duplicate keys are refused, ``1e-3`` is a number, every value keeps its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from paddle_automl.core.errors import ConfigError

Path_ = tuple[Any, ...]
Positions = dict[Path_, str]
_PLAIN_TAGS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads numbers such as 1e-3 as YAML 1.2 does."""


class _Dumper(yaml.SafeDumper):
    """SafeDumper that indents lists below their key and writes short lists on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


# The dumper knows them too: a text that looks like such a number must be written in quotes.
for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


def _represent_list(dumper: yaml.SafeDumper, data: Any) -> yaml.Node:
    short = len(data) <= 12 and all(isinstance(item, (int, float, str, bool, type(None))) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=short)


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(tuple, _represent_list)


def parse_value(text: str) -> Any:
    """Return the value of one YAML text, as for ``-o key=value``; raises ConfigError on a syntax error."""
    try:
        return _build(yaml.compose(text, Loader=_Loader), (), {}, text)
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot read the value {text!r}: {error}") from None


def read_yaml(path: Path) -> tuple[dict[str, Any], Positions]:
    """Return the mapping in a YAML file and, for each path in it, ``file:line``.

    Raises ConfigError for a missing file, a syntax error, a duplicate key, or a file that is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; save the file as UTF-8") from None
    positions: Positions = {}
    try:
        data = _build(yaml.compose(text, Loader=_Loader), (), positions, str(path))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must hold a mapping of keys to values, got a {type(data).__name__}")
    return data, positions


def dump_yaml(data: Any) -> str:
    """Return `data` (mappings, lists, scalars) as YAML text in the order given."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _build(node: yaml.Node | None, path: Path_, positions: Positions, file: str) -> Any:
    if node is None:
        return None
    positions.setdefault(path, f"{file}:{node.start_mark.line + 1}")
    loader = _Loader("")
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
        raise ConfigError(f"{positions[path]}: is not valid YAML here: the tag '{node.tag}' is refused")
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            line = f"{file}:{key_node.start_mark.line + 1}"
            if not isinstance(key, str):
                # `on:` and `1:` are not strings in YAML; a configuration key always is.
                key = str(key_node.value)
            if key in result:
                raise ConfigError(f"{line}: the key '{key}' stands twice; keep one of them")
            inner = (*path, key)
            positions[inner] = line
            result[key] = _build(value_node, inner, positions, file)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), positions, file) for index, item in enumerate(node.value)]
    return loader.construct_object(node, deep=True)
