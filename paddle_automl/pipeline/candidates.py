"""Candidates that cover a search space: every option once, and its smallest and largest corners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paddle_automl.core.errors import ConfigError
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.trials import trial_config
from paddle_automl.space.domains import Choice, Stored
from paddle_automl.space.space import SearchSpace
from paddle_automl.space.tree import Decision, Params


@dataclass(frozen=True)
class CandidateConfig:
    """A configuration that tries one option of one decision."""

    label: str
    params: Params
    config: RunConfig


def covering(config: RunConfig, space: SearchSpace, base: Mapping[str, Any]) -> list[CandidateConfig]:
    """Return candidates that use every option of every choice, and both bounds of every number, at least once.

    Each differs from `base` in one decision and in the decisions that it depends on; of a repeated list all items
    differ at once, so that a long list needs no more candidates than a short one. Raises one ConfigError that names
    every option that gives no valid configuration.
    """
    by_name = {decision.name: decision for decision in space.decisions}
    used: set[tuple[str, Any]] = set()
    found: dict[str, CandidateConfig] = {}
    issues: dict[str, str] = {}
    for decision in space.decisions:
        for index, value in enumerate(_values(decision)):
            if decision.repeated and (decision.name, value) in used:
                continue
            others = _beside(decision, index, by_name, base)
            wanted = {**base, **_enabling(decision, by_name, base), **others, decision.name: value}
            params = space.complete(wanted)
            used |= set(params.items())
            key = space.canonical_key(params)
            if key in found:
                continue
            label = f"search.space.{decision.name}: option {value!r}"
            try:
                found[key] = CandidateConfig(label, params, trial_config(config, space, params, config.folder))
            except ConfigError as error:
                for issue in error.issues:
                    # An invalid option affects every decision below it; it is reported once.
                    issues.setdefault(issue, f"{label}: {issue}")
    if issues:
        raise ConfigError(list(issues.values()))
    return list(found.values())


def corners(config: RunConfig, space: SearchSpace) -> list[CandidateConfig]:
    """Return candidates with every number at its lowest and at its highest, for each set of option names."""
    return [
        CandidateConfig(f"corner {index}", params, trial_config(config, space, params, config.folder))
        for index, params in enumerate(space.corners())
    ]


def _values(decision: Decision) -> list[Stored]:
    """Return every option of a choice, or both bounds of a number."""
    domain = decision.domain
    return list(domain.stored) if isinstance(domain, Choice) else list(domain.ends())


def _beside(decision: Decision, index: int, by_name: Mapping[str, Decision], base: Mapping[str, Any]) -> Params:
    """Return choices for the other items of a repeated list whose item `decision` takes its value number `index`.

    Each takes another value, so that all positions have had all values after as many candidates as there are
    values. A list that `base` does not have is as long as possible.
    """
    prefix, _, place = decision.name.rpartition(".")
    if not decision.repeated or not place.isdecimal():
        return {}
    found: Params = {}
    length = by_name.get(f"{prefix}.times")
    if length is not None and length.name not in base:
        found[length.name] = length.domain.ends()[1]
    values, position = _values(decision), 0
    while (other := by_name.get(f"{prefix}.{position}")) is not None:
        if other.domain == decision.domain:
            found[other.name] = values[(index + position - int(place)) % len(values)]
        position += 1
    return found


def _enabling(decision: Decision, by_name: Mapping[str, Decision], base: Mapping[str, Any]) -> Params:
    """Return the choices that make `decision` active."""
    needed: Params = {}
    condition = decision.condition
    while condition is not None:
        current = base.get(condition.decision)
        if condition.decision not in base or current not in condition.values:
            needed[condition.decision] = condition.values[0]
        condition = by_name[condition.decision].condition
    return needed
