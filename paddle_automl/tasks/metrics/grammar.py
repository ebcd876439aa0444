"""Reading and writing the text of a metric: ``recall[class=cat]``, ``0.7 * macro_f1 - 0.3 * loss``.

Only the form is known here, no metrics. A value between the brackets is a bare text (``cat``, ``0.5``), a text in
quotes (``"red, dotted"``, as in JSON), or a list or mapping in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
NAME = re.compile(r"[^\W\d]\w*")
BARE = re.compile(r"[^\s\"'\[\]{},=]+( +[^\s\"'\[\]{},=]+)*")
PLAIN = re.compile(r"[\w.-]+")
"""Texts that need no quotes when they are written."""


class Part(NamedTuple):
    """One metric of a sum: weight, name, options; a bare value is always a text."""

    weight: float
    name: str
    options: dict[str, Any]


class GrammarError(ValueError):
    """A text that is not a metric; says what was expected and where."""


def read(text: str) -> list[Part]:
    """Return the parts of a metric's text, one for a single metric; raises GrammarError."""
    reader = _Reader(text)
    parts = [reader.part(first=True)]
    while not reader.at_end():
        parts.append(reader.part(first=False))
    return parts


def write(name: str, options: Mapping[str, Any]) -> str:
    """Return the text of one metric."""
    if not options:
        return name
    return f"{name}[{', '.join(f'{key}={_value(value)}' for key, value in options.items())}]"


def write_sum(terms: list[tuple[float, str]]) -> str:
    """Return the text of a sum of metrics, given by weight and text."""
    text = ""
    for weight, key in terms:
        sign = ("-" if weight < 0 else "") if not text else (" - " if weight < 0 else " + ")
        size = "" if abs(weight) == 1 else f"{_number(abs(weight))} * "
        text += f"{sign}{size}{key}"
    return text


def split_list(text: str) -> list[str]:
    """Return the items of a list joined by ``, ``; commas inside brackets and quotes do not separate."""
    items, start, depth, quote, place = [], 0, 0, "", 0
    while place < len(text):
        letter = text[place]
        if quote:
            if letter == "\\" and quote == '"':
                place += 1
            elif letter == quote:
                quote = ""
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and not depth:
            items.append(text[start:place].strip())
            start = place + 1
        place += 1
    return [*items, text[start:].strip()]


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return _number(value) if isinstance(value, float) else str(value)


class _Reader:
    """Reads a text from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def at_end(self) -> bool:
        self._skip_spaces()
        return self.place == len(self.text)

    def part(self, first: bool) -> Part:
        sign = self._take("+") or self._take("-")
        if not first and not sign:
            raise self._error("'+', '-' or the end")
        weight = -1.0 if sign == "-" else 1.0
        number = self._match(NUMBER)
        if number:
            weight *= float(number)
            if not self._take("*"):
                raise self._error("'*' after the weight")
        name = self._match(NAME)
        if not name:
            raise self._error("the name of a metric")
        return Part(weight, name, self._options() if self._take("[") else {})

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        while True:
            key = self._match(NAME)
            if not key or not self._take("="):
                raise self._error("option=value")
            if key in options:
                raise GrammarError(f"the option '{key}' is given twice in {self.text!r}")
            options[key] = self._read_value()
            if self._take("]"):
                return options
            if not self._take(","):
                raise self._error("',' or ']'")

    def _read_value(self) -> Any:
        self._skip_spaces()
        letter = self.text[self.place : self.place + 1]
        if letter and letter in '"[{':
            try:
                value, self.place = json.JSONDecoder().raw_decode(self.text, self.place)
            except json.JSONDecodeError as error:
                raise GrammarError(f"cannot read the value at character {error.pos + 1} of {self.text!r}") from None
            return value
        if letter == "'":
            end = self.text.find("'", self.place + 1)
            if end < 0:
                raise self._error("a closing quote")
            value, self.place = self.text[self.place + 1 : end], end + 1
            return value
        bare = self._match(BARE)
        if not bare:
            raise self._error("a value; put a text with brackets, commas or quotes into double quotes")
        return bare

    def _skip_spaces(self) -> None:
        while self.place < len(self.text) and self.text[self.place].isspace():
            self.place += 1

    def _take(self, letter: str) -> str:
        self._skip_spaces()
        if self.text.startswith(letter, self.place):
            self.place += 1
            return letter
        return ""

    def _match(self, pattern: re.Pattern[str]) -> str:
        self._skip_spaces()
        found = pattern.match(self.text, self.place)
        if found is None:
            return ""
        self.place = found.end()
        return found.group()

    def _error(self, expected: str) -> GrammarError:
        return GrammarError(f"expected {expected} at character {self.place + 1} of {self.text!r}")
