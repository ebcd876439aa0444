"""From the YAML form of `search.space` to the tree of nodes; every mistake is reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

from paddle_automl.core.errors import did_you_mean
from paddle_automl.space.domains import Choice, Domain, is_number
from paddle_automl.space.numeric import Integer, Real
from paddle_automl.space.tree import Constant, Leaf, Node, Options, Repeat

KEYS = {
    "choice": {"choice", "likely"},
    "int": {"int", "step", "log", "likely"},
    "float": {"float", "step", "likely"},
    "log": {"log", "likely"},
    "repeat": {"repeat", "times"},
}
"""The keys that make a mapping a domain, in the order in which they are looked for, and the keys allowed with
each."""
MOST_TIMES = 1000
"""Most items of a repeated list."""

FORMS = (
    "{choice: [a, b]}, {int: [1, 9]}, {float: [0, 1]}, {log: [1e-4, 1e-1]}, "
    "{repeat: DOMAIN, times: DOMAIN}, or names of options, each with its own domains"
)


class _MistakeError(Exception):
    """A mistake: its place and the message."""


class Parser:
    """Builds nodes and collects the mistakes in `issues`."""

    def __init__(self) -> None:
        self.issues: list[str] = []

    def node(self, spec: Any, where: str) -> Node | None:
        """Return the node of one domain or one mapping of option names; None after a mistake."""
        try:
            return self._node(spec, where)
        except _MistakeError as mistake:
            self._wrong(*mistake.args)
            return None

    def _node(self, spec: Any, where: str) -> Node | None:
        if not isinstance(spec, Mapping):
            hint = ""
            if isinstance(spec, list):
                hint = f"; did you mean {{choice: {json.dumps(spec, ensure_ascii=False, default=str)}}}?"
            raise _MistakeError(where, f"must be a domain, got {spec!r}{hint}; valid: {FORMS}")
        word = next((word for word in KEYS if word in spec), None)
        if word is None:
            return self._options(spec, where)
        strange = [key for key in spec if key not in KEYS[word]]
        if strange:
            hint = did_you_mean(strange[0], KEYS[word]) or ";"
            valid = ", ".join(sorted(KEYS[word]))
            raise _MistakeError(where, f"unknown key '{strange[0]}' next to '{word}'{hint} valid: {valid}")
        if word == "repeat":
            return self._repeat(spec, where)
        build: Callable[[Mapping[str, Any], str], Domain] = getattr(self, f"_{word}")
        domain = build(spec, where)
        if spec.get("likely") is not None:
            try:
                domain = replace(domain, likely=domain.encode(spec["likely"]))  # type: ignore[type-var]
            except ValueError as error:
                raise _MistakeError(where, f"likely: {error}; give one of the domain's values") from None
        return Leaf(domain)

    def _wrong(self, where: str, message: str) -> None:
        self.issues.append(f"{where}: {message}")

    def _options(self, spec: Mapping[Any, Any], where: str) -> Node | None:
        if not spec:
            raise _MistakeError(where, f"is empty; valid: {FORMS}")
        options: dict[str, dict[str, Node]] = {}
        for option, children in spec.items():
            inner = f"{where}.{option}"
            if not isinstance(option, str) or not option:
                self._wrong(where, f"an option's name must be a word, got {option!r}")
                continue
            if children is not None and not isinstance(children, Mapping):
                self._wrong(
                    inner,
                    f"'{option}' is taken as an option's name, so a mapping of its options to domains is "
                    f"needed (or {{}}), got {children!r}; a domain has one of the keys {', '.join(KEYS)}",
                )
                continue
            word = next((word for word in KEYS if word in (children or {})), None)
            if word is not None:
                self._wrong(
                    inner,
                    f"is a domain ('{word}'), but '{option}' is taken as an option's name, which needs a "
                    f"mapping of options to domains; for a key write '{where.split('.', 2)[-1]}.{option}'",
                )
                continue
            options[option] = self._children(children or {}, inner)
        return Options(options)

    def _children(self, children: Mapping[Any, Any], where: str) -> dict[str, Node]:
        nodes: dict[str, Node] = {}
        for child, spec in children.items():
            inner = f"{where}.{child}"
            if not is_key(child) or child == "name":
                self._wrong(inner, "is not a key of an option, such as width")
            elif isinstance(spec, Mapping):
                node = self.node(spec, inner)
                if node is not None:
                    nodes[child] = node
            elif _is_plain(spec):
                nodes[child] = Constant(spec)
            else:
                self._wrong(inner, f"must be a domain or a plain value, got {spec!r}")
        self.issues.extend(overlaps(nodes, where))
        return nodes

    def _choice(self, spec: Mapping[str, Any], where: str) -> Domain:
        options = spec["choice"]
        if not isinstance(options, list | tuple) or not options:
            raise _MistakeError(where, f"choice must be a list of options, got {options!r}")
        for option in options:
            if not _is_plain(option):
                raise _MistakeError(
                    where, f"an option must be a number, a text, null, a list or a mapping, got {option!r}"
                )
        choice = Choice(tuple(options))
        for one, other in combinations(range(len(options)), 2):
            if choice.stored[one] == choice.stored[other]:
                raise _MistakeError(
                    where, f"the options {options[one]!r} and {options[other]!r} are the same; keep one"
                )
        return choice

    def _int(self, spec: Mapping[str, Any], where: str) -> Domain:
        low, high = bounds = self._bounds(spec, "int", where)
        step, log = spec.get("step"), spec.get("log", False)
        if not all(isinstance(bound, int) for bound in bounds):
            raise _MistakeError(where, f"int needs two whole numbers, got [{low}, {high}]; or use float")
        if not isinstance(log, bool):
            raise _MistakeError(where, f"log must be true or false for an int domain, got {log!r}")
        if step is not None and (not isinstance(step, int) or isinstance(step, bool) or step < 1):
            raise _MistakeError(where, f"step must be a whole number of at least 1, got {step!r}")
        if log and step is not None:
            raise _MistakeError(where, "step and log cannot be combined; use a choice of the values you mean")
        if log and low < 1:
            raise _MistakeError(where, f"a log domain must begin at 1 or above, got {low}")
        return Integer(int(low), int(high), step, log)

    def _float(self, spec: Mapping[str, Any], where: str) -> Domain:
        bounds = self._bounds(spec, "float", where)
        step = spec.get("step")
        if step is not None and (not is_number(step) or step <= 0):
            raise _MistakeError(where, f"step must be a number above 0, got {step!r}")
        return Real(float(bounds[0]), float(bounds[1]), None if step is None else float(step))

    def _log(self, spec: Mapping[str, Any], where: str) -> Domain:
        bounds = self._bounds(spec, "log", where)
        if bounds[0] <= 0:
            raise _MistakeError(where, f"a log domain must begin above 0, got {bounds[0]}")
        return Real(float(bounds[0]), float(bounds[1]), log=True)

    def _bounds(self, spec: Mapping[str, Any], word: str, where: str) -> tuple[float, float]:
        bounds = spec[word]
        if not isinstance(bounds, list | tuple) or len(bounds) != 2 or not all(map(is_number, bounds)):
            raise _MistakeError(where, f"{word} needs [lowest, highest], two numbers, got {bounds!r}")
        if bounds[0] > bounds[1]:
            raise _MistakeError(where, f"the lowest value {bounds[0]} is above the highest {bounds[1]}")
        return bounds[0], bounds[1]

    def _repeat(self, spec: Mapping[str, Any], where: str) -> Node | None:
        item = self.node(spec["repeat"], f"{where}.repeat")
        if "times" not in spec:
            raise _MistakeError(where, "repeat needs times: how many items the list has, a number or a domain")
        times = self._times(spec["times"], f"{where}.times")
        return None if item is None or times is None else Repeat(item, times)

    def _times(self, times: Any, where: str) -> Domain | int | None:
        if isinstance(times, int) and not isinstance(times, bool) and 0 <= times <= MOST_TIMES:
            return times
        node = self.node(times, where) if isinstance(times, Mapping) else None
        if isinstance(times, Mapping) and node is None:
            return None
        if isinstance(node, Leaf) and _counts(node.domain):
            return node.domain
        raise _MistakeError(
            where, f"must be a whole number from 0 to {MOST_TIMES}, or int or choice of such, got {times!r}"
        )


def is_key(key: Any) -> bool:
    """Return whether `key` is a dotted configuration key."""
    return isinstance(key, str) and all(part.strip() for part in key.split("."))


def overlaps(nodes: Mapping[str, Node], where: str) -> list[str]:
    """Return a sentence for each key that is varied twice: itself, and as part of another key's value."""
    issues = []
    for above in nodes:
        for below in nodes:
            rest = below.removeprefix(f"{above}.")
            if rest == below:
                continue
            node = nodes[above]
            if isinstance(node, Repeat):
                issues.append(f"{where}.{below}: '{above}' is a repeated list, which is replaced as a whole")
            elif isinstance(node, Options) and any(_clash(rest, c) for o in node.options.values() for c in o):
                issues.append(f"{where}.{below}: is varied twice: here and below '{where}.{above}'; keep one")
    return issues


def _clash(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _counts(domain: Domain) -> bool:
    if isinstance(domain, Integer):
        return domain.low >= 0 and domain.high <= MOST_TIMES
    return isinstance(domain, Choice) and all(
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TIMES
        for value in domain.options
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool) or is_number(value)
