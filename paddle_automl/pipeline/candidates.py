"""Candidates that cover a search space: every option once, and its smallest and largest corners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paddle_automl.core.errors import ConfigError
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.trials import trial_config
from paddle_automl.space.domains import Choice
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

    Each differs from `base` in one decision and in the decisions that it depends on. Raises one ConfigError that
    names every option that gives no valid configuration.
    """
    by_name = {decision.name: decision for decision in space.decisions}
    found: dict[str, CandidateConfig] = {}
    issues: dict[str, str] = {}
    for decision in space.decisions:
        domain = decision.domain
        values = list(domain.stored) if isinstance(domain, Choice) else list(domain.ends())
        for value in values:
            wanted = {**base, **_enabling(decision, by_name, base), decision.name: value}
            params = space.complete(wanted)
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
