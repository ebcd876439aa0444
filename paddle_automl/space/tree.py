"""The search space as a tree: domains, option names with sub-spaces, and repeated lists.

Each node knows three translations: to decisions, from a trial's choices to configuration values, and from a
configuration back to choices.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from paddle_automl.core.errors import did_you_mean
from paddle_automl.core.merging import index_in, lookup, with_override
from paddle_automl.space.domains import Domain, OptionNames, Stored, accepts

Params = dict[str, Stored]
"""A trial's choices: the stored value of each active decision, by the decision's name."""


_ADVICE = "; change the value or the domain"


@dataclass(frozen=True)
class Condition:
    """A decision is active only if `decision` is active and has one of `values`."""

    decision: str
    values: tuple[Stored, ...]

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Return whether `params`, which hold active decisions only, satisfy the condition."""
        return self.decision in params and params[self.decision] in self.values


@dataclass(frozen=True)
class Decision:
    """One thing to decide.

    `name` is unique, `key` is the configuration key of the value (for an item of a repeated list, the list's key),
    `repeated` is true inside a repeated list.
    """

    name: str
    key: str
    domain: Domain
    condition: Condition | None = None
    repeated: bool = False


@dataclass(frozen=True)
class NodePosition:
    """The place of a node: its decision's name, its configuration key, and the conditions that make it active."""

    name: str
    key: str
    condition: Condition | None = None
    repeated: bool = False


class Node(ABC):
    """A part of the search space that yields one configuration value."""

    @abstractmethod
    def decisions(self, place: NodePosition) -> Iterator[Decision]:
        """Yield the decisions below, parents first."""

    @abstractmethod
    def value(self, params: Mapping[str, Any], name: str) -> Any:
        """Return this node's configuration value under `params`."""

    @abstractmethod
    def encode(self, value: Any, name: str, key: str, issues: list[str]) -> Params:
        """Return the choices that lead to a configuration's `value`; mistakes are added to `issues`."""

    def overrides(self, params: Mapping[str, Any], name: str, key: str) -> Iterator[tuple[str, Any]]:
        """Yield dotted configuration keys and values, to be applied in this order."""
        yield key, self.value(params, name)


@dataclass(frozen=True)
class Constant(Node):
    """A fixed value that comes with an option."""

    fixed: Any

    def decisions(self, place: NodePosition) -> Iterator[Decision]:
        """Yield nothing."""
        return iter(())

    def value(self, params: Mapping[str, Any], name: str) -> Any:
        """Return the fixed value."""
        return self.fixed

    def encode(self, value: Any, name: str, key: str, issues: list[str]) -> Params:
        """Check that the configuration has the fixed value."""
        if not accepts(self.fixed, value):
            issues.append(f"{key}: {value!r} is not {self.fixed!r}, the only value in the search space{_ADVICE}")
        return {}


@dataclass(frozen=True)
class Leaf(Node):
    """One decision."""

    domain: Domain

    def decisions(self, place: NodePosition) -> Iterator[Decision]:
        """Yield the decision."""
        yield Decision(place.name, place.key, self.domain, place.condition, place.repeated)

    def value(self, params: Mapping[str, Any], name: str) -> Any:
        """Return the chosen value."""
        return self.domain.decode(params[name])

    def encode(self, value: Any, name: str, key: str, issues: list[str]) -> Params:
        """Return the choice of `value`."""
        try:
            return {name: self.domain.encode(value)}
        except ValueError as error:
            issues.append(f"{key}: {error}, its domain in the search space{_ADVICE}")
            return {}


@dataclass(frozen=True)
class Options(Node):
    """A choice of names, each with the domains of its own options."""

    options: Mapping[str, Mapping[str, Node]]

    @property
    def names(self) -> OptionNames:
        """The domain of the name."""
        return OptionNames(tuple(self.options))

    def decisions(self, place: NodePosition) -> Iterator[Decision]:
        """Yield the choice of the name, then every option's decisions."""
        yield Decision(place.name, place.key, self.names, place.condition, place.repeated)
        for option, children in self.options.items():
            condition = Condition(place.name, (option,))
            for child, node in children.items():
                inner = _child(place.name, option, child)
                yield from node.decisions(NodePosition(inner, f"{place.key}.{child}", condition, place.repeated))

    def value(self, params: Mapping[str, Any], name: str) -> Any:
        """Return the mapping of the chosen name and its options."""
        option = str(params[name])
        built: dict[str, Any] = {"name": option}
        for child, node in self.options[option].items():
            built = with_override(built, child, node.value(params, _child(name, option, child)))
        return built

    def overrides(self, params: Mapping[str, Any], name: str, key: str) -> Iterator[tuple[str, Any]]:
        """Yield the chosen name first, then its options."""
        option = str(params[name])
        yield key, option
        for child, node in self.options[option].items():
            yield from node.overrides(params, _child(name, option, child), f"{key}.{child}")

    def encode(self, value: Any, name: str, key: str, issues: list[str]) -> Params:
        """Return the choice of the name and of its options."""
        section = {"name": value} if isinstance(value, str) else value
        option = section.get("name") if isinstance(section, Mapping) else None
        if option not in self.options:
            got = value if option is None else option
            valid = ", ".join(self.options)
            issues.append(f"{key}: {got!r} is not among the search space's options {valid}{_ADVICE}")
            return {}
        params: Params = {name: option}
        for child, node in self.options[str(option)].items():
            inner = _child(name, str(option), child)
            params |= encode_at(section, child, node, inner, f"{key}.{child}", issues)
        return params


@dataclass(frozen=True)
class Repeat(Node):
    """A list of up to as many items as `times` allows, each with its own decisions."""

    item: Node
    times: Domain | int

    @property
    def lengths(self) -> list[int]:
        """The possible lengths, in ascending order."""
        if isinstance(self.times, int):
            return [self.times]
        return sorted(int(value) for value in self.times.values(self.times.size or 1))  # type: ignore[arg-type]

    def decisions(self, place: NodePosition) -> Iterator[Decision]:
        """Yield the length, then each item's decisions."""
        lengths = self.lengths
        if not isinstance(self.times, int):
            yield Decision(f"{place.name}.times", place.key, self.times, place.condition, place.repeated)
        for position in range(lengths[-1]):
            condition = place.condition
            if not isinstance(self.times, int):
                long_enough = tuple(length for length in lengths if length > position)
                condition = Condition(f"{place.name}.times", long_enough)
            yield from self.item.decisions(NodePosition(f"{place.name}.{position}", place.key, condition, True))

    def value(self, params: Mapping[str, Any], name: str) -> Any:
        """Return the list."""
        times = self.times if isinstance(self.times, int) else int(params[f"{name}.times"])
        return [self.item.value(params, f"{name}.{position}") for position in range(times)]

    def encode(self, value: Any, name: str, key: str, issues: list[str]) -> Params:
        """Return the length and each item's choices."""
        if not isinstance(value, list | tuple):
            issues.append(
                f"{key}: must be a list, because the search space repeats a domain, got {value!r}{_ADVICE}"
            )
            return {}
        if len(value) not in self.lengths:
            allowed = ", ".join(map(str, self.lengths))
            issues.append(f"{key}: has {len(value)} items, the search space allows {allowed}{_ADVICE}")
            return {}
        params: Params = {} if isinstance(self.times, int) else {f"{name}.times": len(value)}
        for position, item in enumerate(value):
            params |= self.item.encode(item, f"{name}.{position}", f"{key}.{position}", issues)
        return params


def encode_at(data: Any, path: str, node: Node, name: str, key: str, issues: list[str]) -> Params:
    """Return the choices for the value at the dotted `path` of `data`; a missing value is a mistake."""
    try:
        value = lookup(data, path)
    except KeyError:
        issues.append(f"search.space: varies {key}, but the configuration has no such key{_nearest(data, path)}")
        return {}
    return node.encode(value, name, key, issues)


def _nearest(data: Any, path: str) -> str:
    """Return the valid keys at the point where the dotted `path` fails, the most similar one first."""
    part = path
    for part in path.split("."):
        if isinstance(data, Mapping) and part in data:
            data = data[part]
        elif (index := index_in(data, part)) is not None:
            data = data[index]
        else:
            break
    if isinstance(data, list | tuple):
        return f"; the list there has {len(data)} items"
    valid = [str(word) for word in data if word != "name"] if isinstance(data, Mapping) else []
    return f"{did_you_mean(part, valid) or ';'} valid: {', '.join(valid) or 'no keys below this value'}"


def _child(name: str, option: str, child: str) -> str:
    return f"{name}[{option}].{child}"
