"""The search space: decisions, their conditions, and a trial's choices as values of the configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice, product
from math import prod
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import Section
from paddle_automl.space.domains import OptionNames, Stored
from paddle_automl.space.parsing import Parser, is_key, overlaps
from paddle_automl.space.tree import Decision, Node, NodePosition, Params, encode_at
from paddle_automl.space.whole_numbers import fractions_of_whole_numbers

MOST_DECISIONS = 10_000
"""Most decisions of a space; those of repeated items count once per item."""


class SearchSpace:
    """What may vary: a mapping of dotted configuration keys to domains.

    A trial's choices (`Params`) map the name of each *active* decision to its stored value: a decision below an
    option is active only if that option is chosen, the third item of a list only if the list is that long.
    """

    def __init__(self, spec: Mapping[str, Any], nodes: Mapping[str, Node]) -> None:
        # A key comes before the keys below it, because a changed name replaces its whole section.
        order = sorted(nodes, key=lambda key: sum(key.startswith(f"{other}.") for other in nodes))
        self.spec = dict(spec)
        self._nodes = {key: nodes[key] for key in order}
        self.decisions: tuple[Decision, ...] = tuple(
            decision for key, node in self._nodes.items() for decision in node.decisions(NodePosition(key, key))
        )
        self._by_name = {decision.name: decision for decision in self.decisions}

    @classmethod
    def parse(
        cls, spec: Mapping[str, Any], where: str = "search.space", config: Section | None = None
    ) -> SearchSpace:
        """Return the space of its YAML form; raises one ConfigError that lists every mistake.

        With the configuration that it varies, domains of fractions for whole-number options are mistakes as well.
        """
        if not isinstance(spec, Mapping) or not spec:
            raise ConfigError(f"{where}: must be a mapping of dotted keys to domains, got {spec!r}")
        parser = Parser()
        nodes: dict[str, Node] = {}
        for key, domain in spec.items():
            if not is_key(key):
                parser.issues.append(f"{where}: {key!r} is not a dotted key such as training.epochs")
                continue
            node = parser.node(domain, f"{where}.{key}")
            if node is not None:
                nodes[key] = node
        issues = parser.issues + overlaps(nodes, where)
        if config is not None:
            issues += fractions_of_whole_numbers(nodes, where, config)
        if issues:
            raise ConfigError(issues)
        decisions = (decision for key, node in nodes.items() for decision in node.decisions(NodePosition(key, key)))
        if next(islice(decisions, MOST_DECISIONS, None), None) is not None:
            raise ConfigError(f"{where}: has more than {MOST_DECISIONS} decisions; repeat fewer items")
        space = cls(spec, nodes)
        if len(space._by_name) != len(space.decisions):
            names = [decision.name for decision in space.decisions]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ConfigError([f"{where}.{name}: is varied twice; keep one" for name in twice])
        return space

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The Optuna distribution of every decision, active or not."""
        return {decision.name: decision.domain.distribution for decision in self.decisions}

    def __getitem__(self, name: str) -> Decision:
        return self._by_name[name]

    def active(self, params: Mapping[str, Any]) -> list[Decision]:
        """Return the decisions that are active under `params`, parents first."""
        seen: dict[str, Any] = {}
        active = []
        for decision in self.decisions:
            if decision.condition is None or decision.condition.holds(seen):
                active.append(decision)
                if decision.name in params:
                    seen[decision.name] = params[decision.name]
        return active

    def complete(self, params: Mapping[str, Any], rng: np.random.Generator | None = None) -> Params:
        """Return `params` without inactive decisions; missing ones are drawn by `rng`, or lowest without it."""
        result: Params = {}
        for decision in self.decisions:
            if decision.condition is not None and not decision.condition.holds(result):
                continue
            if decision.name in params:
                result[decision.name] = decision.domain.clean(params[decision.name])
            elif rng is not None:
                result[decision.name] = decision.domain.sample(rng)
            else:
                result[decision.name] = decision.domain.ends()[0]
        return result

    def sample(self, rng: np.random.Generator) -> Params:
        """Return random choices, each decision drawn independently."""
        return self.complete({}, rng)

    def contains(self, params: Mapping[str, Any]) -> bool:
        """Return whether `params` hold exactly the active decisions, each with a value of its domain."""
        active = self.active(params)
        return {decision.name for decision in active} == set(params) and all(
            decision.domain.contains(params[decision.name]) for decision in active
        )

    def canonical_key(self, params: Mapping[str, Any]) -> str:
        """Return a text that is equal for equal choices only."""
        clean = {name: self._by_name[name].domain.clean(value) for name, value in params.items()}
        return json.dumps(clean, ensure_ascii=False, sort_keys=True)

    def overrides(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return configuration values by dotted key, to be merged in this order (`with_overrides`)."""
        return {key: value for top, node in self._nodes.items() for key, value in node.overrides(params, top, top)}

    def params_of(self, config: Mapping[str, Any]) -> Params:
        """Return the choices that lead to a resolved configuration.

        Raises one ConfigError that names each key whose value lies outside its domain.
        """
        issues: list[str] = []
        params: Params = {}
        for key, node in self._nodes.items():
            params |= encode_at(config, key, node, key, key, issues)
        if issues:
            raise ConfigError(issues)
        return params

    @cached_property
    def _children(self) -> dict[str | None, list[Decision]]:
        children: dict[str | None, list[Decision]] = {}
        for decision in self.decisions:
            parent = decision.condition.decision if decision.condition else None
            children.setdefault(parent, []).append(decision)
        return children

    def size(self) -> int | None:
        """Return the number of different choices, or None if there are infinitely many."""
        sizes = [self._size(decision) for decision in self._children[None]]
        return None if None in sizes else prod(size for size in sizes if size is not None)

    def _size(self, decision: Decision) -> int | None:
        own, children = decision.domain.size, self._children.get(decision.name, [])
        if own is None or not children:
            return own
        total = 0
        inner = [(child, self._size(child)) for child in children]
        for value in decision.domain.values(own):
            active = [size for child, size in inner if child.condition and value in child.condition.values]
            if None in active:
                return None
            total += prod(size for size in active if size is not None)
        return total

    def grid(self, steps: int) -> Iterator[Params]:
        """Yield every combination in order, the last decision changing fastest.

        Numbers without a step that have more than `steps` values are tried at `steps` evenly spaced ones.
        """
        values = {decision.name: decision.domain.values(steps) for decision in self.decisions}
        stack: list[tuple[int, Params]] = [(0, {})]
        while stack:
            position, params = stack.pop()
            while position < len(self.decisions):
                condition = self.decisions[position].condition
                if condition is None or condition.holds(params):
                    break
                position += 1
            if position == len(self.decisions):
                yield params
                continue
            name = self.decisions[position].name
            stack.extend((position + 1, {**params, name: value}) for value in reversed(values[name]))

    def corners(self) -> list[Params]:
        """Return, for each combination of option names, all numbers at their lowest and at their highest.

        Names inside repeated lists are not combined: the low corner takes the first, the high one the last.
        """
        named = [
            decision
            for decision in self.decisions
            if isinstance(decision.domain, OptionNames) and not decision.repeated
        ]
        corners: dict[str, Params] = {}
        for names in product(*(decision.domain.values(1) for decision in named)):
            for end in (0, 1):
                wanted: dict[str, Stored] = {d.name: d.domain.ends()[end] for d in self.decisions}
                wanted.update({decision.name: name for decision, name in zip(named, names, strict=True)})
                params = self.complete(wanted)
                corners.setdefault(self.canonical_key(params), params)
        return list(corners.values())
