"""Warm starts: the best configurations of other studies are tried first, transferred by common decisions.

Their other trials are not used: as observations of this study, with costs by their ranks, they gave no improvement
on related tasks beyond that of the first proposals, and misled on others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import ConfigError, StudyError
from paddle_automl.search.configurations import Configuration, ranked_configurations
from paddle_automl.search.objective import Objective
from paddle_automl.search.reading import StoredStudy, read_study
from paddle_automl.space import Choice, Domain, Integer, Params, Real, SearchSpace, Stored
from paddle_automl.space.domains import is_number

WHERE = "search.warm_start"
MOST, SHARE = 5, 4


def first_proposals(
    files: Mapping[str, Path],
    space: SearchSpace,
    objectives: Sequence[Objective],
    trials: int,
    defaults: Mapping[str, Any],
) -> list[Params]:
    """Return the best different configurations of other studies as choices of this space, best first.

    They are tried before any proposal: five, but at most a quarter of the `trials`. `files` are the studies' files
    by their name in the configuration. Metrics on other data cannot be compared, so studies take turns in the order
    of their own ranks. A decision of the same name is copied: a number outside its domain becomes the nearest one,
    an option that does not exist here is dropped. Dropped and missing decisions come from `defaults`, else they are
    the middle of the domain.

    Objectives that the other study did not measure are ignored in its ranks.

    Raises ConfigError for a file that is not a study, for one without results in any objective, for one with the
    opposite goal of an objective, and for one without a common decision.
    """
    ranked = []
    for name, file in files.items():
        stored = _read(name, file)
        _check(name, stored, space, objectives)
        results = _results(name, stored, objectives)
        ranked.append([transferred(item.first.params, space, defaults) for item in results])
    turns = [params for row in zip_longest(*ranked) for params in row if params is not None]
    different: dict[str, Params] = {}
    for params in turns:
        different.setdefault(space.canonical_key(params), params)
    return list(different.values())[: max(1, min(MOST, trials // SHARE))]


def transferred(params: Mapping[str, Any], space: SearchSpace, defaults: Mapping[str, Any]) -> Params:
    """Return the choices of another space as choices of this one (see `first_proposals`)."""
    result: Params = {}
    for decision in space.decisions:
        if decision.condition is not None and not decision.condition.holds(result):
            continue
        domain, name = decision.domain, decision.name
        known = [nearest(domain, source[name]) for source in (params, defaults) if name in source]
        usable = [value for value, valid in known if valid]
        result[name] = usable[0] if usable else domain.at(0.5)
    return result


def nearest(domain: Domain, value: Any) -> tuple[Stored, bool]:
    """Return the nearest member of a domain to a value, and whether there is one."""
    if domain.contains(value):
        return domain.clean(value), True
    if not is_number(value):
        return None, False
    if isinstance(domain, Integer | Real):
        number = min(max(float(value), domain.low), domain.high)
        if domain.step is not None:
            steps = round((number - domain.low) / domain.step)
            number = min(domain.low + domain.step * steps, domain.high)
        return domain.clean(round(number) if isinstance(domain, Integer) else number), True
    if isinstance(domain, Choice):
        numbers = [option for option in domain.stored if is_number(option)]
        if len(numbers) == len(domain.stored):
            return min(numbers, key=lambda option: abs(float(str(option)) - float(value))), True
    return None, False


def _read(name: str, file: Path) -> StoredStudy:
    try:
        return read_study(file)
    except StudyError as error:
        raise ConfigError(f"{WHERE}: '{name}': {error}") from None


def _check(name: str, stored: StoredStudy, space: SearchSpace, objectives: Sequence[Objective]) -> None:
    theirs = {objective.metric: objective.goal for objective in stored.objectives}
    for objective in objectives:
        goal = theirs.get(objective.metric, objective.goal)
        if goal != objective.goal:
            raise ConfigError(
                f"{WHERE}: '{name}' was searched to {goal} {objective.metric}, but this search is to "
                f"{objective.goal} it; leave it out, or give both the same goal"
            )
    own = [decision.name for decision in space.decisions]
    if not set(own) & set(stored.names):
        raise ConfigError(
            f"{WHERE}: '{name}' has no decision in common with this search; it varies {', '.join(stored.names)}, "
            f"this one {', '.join(own)}"
        )


def _results(name: str, stored: StoredStudy, objectives: Sequence[Objective]) -> list[Configuration]:
    known = [o for o in objectives if any(record.values for record in stored.records((o,)))]
    results = ranked_configurations(stored.records(known), known) if known else []
    if results:
        return results
    wanted = ", ".join(objective.metric for objective in objectives)
    raise ConfigError(f"{WHERE}: '{name}' has no trial with {wanted}; leave it out, or let it finish first")
