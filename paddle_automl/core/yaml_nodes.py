"""From YAML text to plain values and their places, within limits: numbers as in YAML 1.2, no tags, no cycles."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

Path_ = tuple[Any, ...]
MOST_VALUES = 100_000
"""Most values of a file; values that aliases repeat are counted each time."""
DEEPEST = 64
"""Deepest nesting of mappings and lists."""
MOST_DIGITS = 300
"""Most digits of a number, few enough that every whole number is a float as well."""

TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{TAG}map", f"{TAG}seq"}
_MERGE = f"{TAG}merge"


class SourceLocation(str):
    """The place of a value, as ``file:line`` or ``-o key``, and the text that it was read from.

    `text` is empty if `value` is that text itself. `error` says why a text of the command line is not YAML; it can
    only be the value of a text option. `whole` is set if the text is everything after ``key=``.
    """

    text: str
    value: Any
    error: str
    whole: bool

    def __new__(
        cls, where: str, text: str = "", value: Any = None, error: str = "", whole: bool = False
    ) -> SourceLocation:
        """Return the place: the text `where`, with the rest as attributes."""
        place = super().__new__(cls, where)
        place.text, place.value, place.error, place.whole = text, value, error, whole
        return place


Positions = dict[Path_, str]
"""The place of each path of a mapping; an instance of `SourceLocation` if it was read from text."""


class Loader(yaml.SafeLoader):
    """SafeLoader that reads numbers as YAML 1.2 does and keeps to the limits."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node of the tree; raises a YAML error beyond the limits."""
        self.nodes += 1
        self.depth += 1
        if self.depth > DEEPEST or self.nodes > MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=_beyond(self.depth), problem_mark=self.peek_event().start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class WordLoader(Loader):
    """Loader of a word of the command line, where ``#`` begins no comment."""

    def scan_to_next_token(self) -> None:
        """Skip blanks and line breaks only."""
        while True:
            while self.peek() == " ":
                self.forward()
            if not self.scan_line_break():
                return
            if not self.flow_level:
                self.allow_simple_key = True


NUMBERS = {
    "int": re.compile(r"^[-+]?(0b[01][01_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|[0-9][0-9_]*)$"),
    "float": re.compile(
        r"^([-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|\.(inf|Inf|INF))|\.(nan|NaN|NAN))$"
    ),
}
FIRST_OF_NUMBERS = "-+.0123456789"
_REPLACED = {f"{TAG}{name}" for name in (*NUMBERS, "timestamp")}
Loader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] not in _REPLACED]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _rule in NUMBERS.items():
    Loader.add_implicit_resolver(f"{TAG}{_name}", _rule, list(FIRST_OF_NUMBERS))


class UnreadableError(Exception):
    """What is wrong, and in which line (0 if unknown)."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


def compose(text: str, kind: type[Loader]) -> yaml.Node | None:
    """Return the tree of nodes; raises UnreadableError for every text that the parser refuses."""
    loader: Loader | None = None
    try:
        loader = kind(text)
        node: yaml.Node | None = loader.get_single_node()
        return node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ": ".join(part for part in (error.context, error.problem) if part)
        raise UnreadableError(f"is not valid YAML: {what}", mark.line + 1 if mark else 0) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableError(
            f"is not valid YAML: the character {error.character!r} is not allowed", line
        ) from None
    except (ValueError, OverflowError) as error:
        # Numbers in escapes and directives, which the parser converts without checking their size.
        line = loader.line + 1 if loader else 0
        raise UnreadableError(f"is not valid YAML: a number that cannot be: {error}", line) from None


class Builder:
    """Builds values from nodes and records their places; `where` gives the name of a line."""

    def __init__(self, where: Callable[[int], str]) -> None:
        self.positions: Positions = {}
        self._where = where
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node | None, path: Path_ = ()) -> Any:
        """Return the value of a node; raises UnreadableError."""
        if node is None:
            return None
        line = node.start_mark.line + 1
        self._count += 1
        if self._count > MOST_VALUES:
            raise UnreadableError(f"is not valid YAML here: {_beyond(0)}, with all that its aliases repeat", line)
        place = self.positions.setdefault(path, SourceLocation(self._where(line)))
        if isinstance(node, yaml.ScalarNode):
            value = _scalar(node, line)
            if not isinstance(value, str):
                self.positions[path] = SourceLocation(place, node.value, value)
            return value
        if node.tag not in _PLAIN_TAGS:
            raise UnreadableError(f"is not valid YAML here: the tag '{short(node.tag)}' is refused", line)
        if id(node) in self._open:
            raise UnreadableError("is not valid YAML here: an alias repeats a value that contains the alias", line)
        if len(self._open) >= DEEPEST:
            raise UnreadableError(f"is not valid YAML here: {_beyond(DEEPEST + 1)}", line)
        self._open.add(id(node))
        built = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._list(node, path)
        self._open.discard(id(node))
        return built

    def _list(self, node: Any, path: Path_) -> list[Any]:
        return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: Any, path: Path_) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                merged = {**self._merged(value, path), **merged}
        result: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                continue
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise UnreadableError("is not valid YAML here: a key must be a word, not a list or a mapping", line)
            _scalar(key, line)
            # `on:` and `1:` are not texts in YAML; a configuration's key always is.
            name = str(key.value)
            if name in result:
                raise UnreadableError(f"duplicate key '{name}'; keep one of them", line)
            inner = (*path, name)
            self.positions[inner] = SourceLocation(self._where(line))
            result[name] = self.build(value, inner)
        return {**merged, **result}

    def _merged(self, node: yaml.Node, path: Path_) -> dict[str, Any]:
        """Return the mapping that ``<<: *base`` or ``<<: [*one, *two]`` adds; of equal keys the first counts."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                line = source.start_mark.line + 1
                raise UnreadableError("is not valid YAML here: << needs a mapping or a list of mappings", line)
            merged = {**self.build(source, path), **merged}
        return merged


_IMPOSSIBLE = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")
"""NUL and lone surrogates, except those that stand for bytes of file names that are not UTF-8."""
_BOOLS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}


def _scalar(node: yaml.ScalarNode, line: int) -> Any:
    """Return a scalar's value by its tag, given or resolved; raises UnreadableError for any other text."""
    kind, text = node.tag.removeprefix(TAG), node.value
    plain = text.replace("_", "").lower()
    if kind in ("str", "value", "merge"):
        if _IMPOSSIBLE.search(text):
            raise UnreadableError("is not valid YAML here: a text has a character that no file can hold", line)
        return text
    if kind == "null" and plain in ("", "~", "null"):
        return None
    if kind == "bool" and plain in _BOOLS:
        return _BOOLS[plain]
    if kind == "int" and NUMBERS["int"].match(text) and len(text) <= MOST_DIGITS:
        digits = plain.lstrip("+-")
        base = {"0x": 16, "0b": 2}.get(digits[:2], 10)
        number = int(digits if base == 10 else digits[2:], base)
        return -number if plain.startswith("-") else number
    if kind == "float" and any(rule.match(text) for rule in NUMBERS.values()) and len(text) <= MOST_DIGITS:
        return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
    kinds = {"null": "null", "bool": "true or false", "int": "a whole number", "float": "a number"}
    if kind not in kinds:
        raise UnreadableError(f"is not valid YAML here: the tag '{short(node.tag)}' is refused", line)
    long = f" of at most {MOST_DIGITS} digits" if len(text) > MOST_DIGITS else ""
    raise UnreadableError(f"is not valid YAML here: '{short(text)}' is not {kinds[kind]}{long}", line)


def _beyond(depth: int) -> str:
    if depth > DEEPEST:
        return f"more than {DEEPEST} nested mappings and lists"
    return f"it has more than {MOST_VALUES} values"


def short(text: str) -> str:
    """Return a text that fits into a message."""
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} characters)"
