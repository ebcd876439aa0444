"""Keys of metrics: from the text in a configuration to a canonical key, and from a key to values.

A *key* is the canonical text of a metric (``accuracy``, ``recall[class=cat]``) or of a weighted sum of metrics
(``0.7 * macro_f1 - 0.3 * loss``), whose *terms* are single metrics. It is the name of the values everywhere, so all
spellings of a metric have the same key: options with their default value are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticCustomError, core_schema

from paddle_automl.core.errors import ConfigError, did_you_mean
from paddle_automl.core.schema import issues_of
from paddle_automl.tasks.answers import float_text
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics.base import (
    METRICS,
    BundleFacts,
    Goal,
    Metric,
    NetworkFacts,
    Predictions,
    When,
)
from paddle_automl.tasks.metrics.grammar import GrammarError, Part, read, write, write_sum


class Term(NamedTuple):
    """One metric of a weighted sum, by its key."""

    weight: float
    key: str


def parse_metric(value: Any) -> str:
    """Return the key of a metric that is given as a name, a sum, or a mapping ``{metric: recall, class: cat}``.

    Raises ConfigError with what is wrong and the nearest valid name.
    """
    if isinstance(value, Mapping):
        options = {str(key): item for key, item in value.items() if key != "metric"}
        name = value.get("metric")
        if not isinstance(name, str):
            raise ConfigError("needs the key 'metric', as in {metric: recall, class: cat}")
        if not options:
            return parse_metric(name)
        return _key_of(name.strip(), options, strict=None)
    if not isinstance(value, str):
        raise ConfigError(f"must be the name of a metric, a sum of metrics or a mapping, got {value!r}")
    parts = _read(value)
    terms: dict[str, float] = {}
    for part in parts:
        key = _key_of(part.name, part.options, strict=False)
        terms[key] = terms.get(key, 0.0) + part.weight
    if any(weight == 0 or not math.isfinite(weight) for weight in terms.values()):
        raise ConfigError(f"'{value}': each metric needs a weight other than 0")
    return write_sum([(weight, key) for key, weight in terms.items()])


def terms_of(key: str) -> tuple[Term, ...]:
    """Return the metrics of a sum with their weights; a single metric is its own only term, of weight 1."""
    return tuple(Term(part.weight, write(part.name, part.options)) for part in _read(key))


def options_of(name: str) -> tuple[str, ...]:
    """Return the names of the options of a metric; raises ConfigError for an unknown one."""
    fields = _class(name.strip()).Config.model_fields
    return tuple(field.alias or option for option, field in fields.items() if option != "name")


def is_sum(key: str) -> bool:
    """Return whether a key is a weighted sum rather than one metric."""
    terms = terms_of(key)
    return len(terms) > 1 or terms[0].weight != 1


def metric_of(key: str) -> Metric:
    """Return the metric of a key, ready to measure; raises ConfigError for a sum, which has no class of its own."""
    parts = _read(key)
    if len(parts) > 1 or parts[0].weight != 1:
        raise ConfigError(f"'{key}' is a sum of metrics; take its terms one by one")
    cls = METRICS[parts[0].name]
    return cls(_config(cls, parts[0].options, strict=False))


def goal_of(key: str) -> Goal:
    """Return whether a metric is maximized or minimized; raises ConfigError for a sum with contradictory terms."""
    wanted: dict[Goal, str] = {}
    for weight, term in terms_of(key):
        goal = metric_of(term).goal
        if weight < 0:
            goal = "minimize" if goal == "maximize" else "maximize"
        wanted.setdefault(goal, term)
    if len(wanted) > 1:
        raise ConfigError(
            f"'{key}' would have to be maximized for {wanted['maximize']} and minimized for {wanted['minimize']}; "
            "subtract what should be small (accuracy - 0.1 * loss), or set the goal of the objective"
        )
    return next(iter(wanted))


def drop_of(key: str, before: float, after: float) -> float:
    """Return by how much a metric's value is worse after than before; negative: it is better."""
    return before - after if goal_of(key) == "maximize" else after - before


def when_of(key: str) -> When:
    """Return when a metric can be measured first.

    A sum with a metric of each epoch is measured each epoch: the network's costs are known by then.
    """
    moments = {metric_of(term.key).when for term in terms_of(key)}
    return next(when for when in ("epoch", "bundle", "network") if when in moments)


def epoch_part(key: str) -> str:
    """Return a key that ranks the epochs of one training as `key` does: the sum without its constant terms.

    Raises ConfigError if no term changes with the epochs.
    """
    terms = [term for term in terms_of(key) if metric_of(term.key).when == "epoch"]
    if not terms:
        raise ConfigError(f"'{key}' does not change with the epochs")
    if len(terms) == 1 and terms[0].weight > 0:
        return terms[0].key
    return write_sum([(term.weight, term.key) for term in terms])


def text_of(key: str, value: float) -> str:
    """Return a value as printed in tables: by `float_text` with four digits, counts without any."""
    digits = 4 if is_sum(key) else metric_of(key).digits
    return f"{value:,.0f}" if digits == 0 else float_text(value, digits)


# -- measuring -----------------------------------------------------------------------------------------------------
def epoch_metrics(task: Task | type[Task], extra: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the keys to measure after each epoch: the loss, those of the task, and those of `extra`.

    The terms of sums in `extra` are measured as well; metrics that do not change with the epochs are left out.
    """
    keys = ["loss", *task.metrics]
    for key in extra:
        keys += [term.key for term in terms_of(key) if when_of(term.key) == "epoch"]
        if all(when_of(term.key) == "epoch" for term in terms_of(key)):
            keys.append(key)
    return tuple(dict.fromkeys(keys))


def measure(
    keys: Iterable[str], predictions: Predictions, known: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the values of `keys`, in their order, for a network's predictions on one split.

    `known` has earlier values that a sum may need, such as the network's costs. Raises ValueError for a key that
    cannot be computed from predictions and is not known.
    """
    values: dict[str, float] = {}
    seen = dict(known or {})

    def value(key: str) -> float:
        if key not in seen:
            if is_sum(key):
                seen[key] = sum(term.weight * value(term.key) for term in terms_of(key))
            else:
                metric = metric_of(key)
                if metric.when != "epoch":
                    raise ValueError(f"the metric '{key}' cannot be computed from predictions")
                seen[key] = metric.value(predictions)
        return seen[key]

    for key in keys:
        values[key] = value(key)
    return values


def measure_network(facts: NetworkFacts, keys: Iterable[str] = ()) -> dict[str, float]:
    """Return the metrics of every network, and those among `keys` and their terms that a network has."""
    always = [name for name in METRICS.names() if METRICS[name].always and METRICS[name].when == "network"]
    asked = [term.key for key in keys for term in terms_of(key) if when_of(term.key) == "network"]
    return {key: metric_of(key).value(facts) for key in dict.fromkeys([*always, *asked])}


def measure_bundle(facts: BundleFacts, keys: Iterable[str]) -> dict[str, float]:
    """Return those among `keys` and their terms that are measured on an exported network."""
    asked = [term.key for key in keys for term in terms_of(key) if when_of(term.key) == "bundle"]
    return {key: metric_of(key).value(facts) for key in dict.fromkeys(asked)}


def value_in(values: Mapping[str, float], key: str) -> float | None:
    """Return the value of a key from measured values, for a sum also from its terms; None if it is missing."""
    if key in values:
        return float(values[key])
    try:
        terms = terms_of(key)
    except ConfigError:
        return None
    if any(term.key not in values for term in terms):
        return None
    return float(sum(term.weight * values[term.key] for term in terms))


def tested_metrics(task: Task, keys: Iterable[str]) -> tuple[str, ...]:
    """Return the keys of a finished network's test: these, and what the task measures at the end alone."""
    return tuple(dict.fromkeys((*keys, *task.final_metrics)))


# -- checking ------------------------------------------------------------------------------------------------------
def check_metrics(keys: Iterable[str], task: Task, where: str = "search.objectives") -> None:
    """Raise ConfigError for metrics that a task does not have, or whose options do not fit it."""
    issues = []
    for term in dict.fromkeys(term.key for key in keys for term in terms_of(key)):
        metric = metric_of(term)
        if not metric.can_score(task):
            has = ", ".join(metrics_of(task))
            issues.append(f"{where}: the metric '{term}' cannot score the task {task.name}; it has: {has}")
            continue
        try:
            metric.check(task)
        except ConfigError as error:
            issues += [f"{where}: {term}: {issue}" for issue in error.issues]
    if issues:
        raise ConfigError(issues)


def metrics_of(task: Task | type[Task]) -> list[str]:
    """Return the names of the metrics that a task has: its usual ones first, then those of every network."""
    names = [name for name in METRICS.names() if METRICS[name].can_score(task)]
    names.sort(key=lambda name: (METRICS[name].when != "epoch", name not in task.metrics, name))
    return names


def unfit_to_optimize(key: str) -> str:
    """Return why a metric, or a term of a sum, must not be optimized (see `Metric.instead`); empty: it may be."""
    for term in terms_of(key):
        metric = metric_of(term.key)
        if metric.instead:
            return (
                f"'{metric.name}' cannot be optimized: a useless network can have its best value; optimize "
                f"'{metric.instead}'. {metric.name} can be a further objective with a limit: "
                f"[{{metric: {metric.instead}}}, {{metric: {metric.name}, limit: ...}}]"
            )
    return ""


class MetricKey:
    """Annotation of a configuration field that holds a metric's key; validated with `parse_metric`."""

    def type_text(self) -> str:
        """Return the field's type as printed in help."""
        return f"metric: {' | '.join(METRICS.names())}"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Return the schema that validates by `parse_metric`."""

        def validate(value: Any) -> str:
            try:
                return parse_metric(value)
            except ConfigError as error:
                raise PydanticCustomError("stated", "; ".join(error.issues)) from None

        return core_schema.no_info_plain_validator_function(validate)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """Return the JSON Schema: a registered name, a sum of metrics, or a mapping with options."""
        return {"anyOf": [{"enum": METRICS.names()}, {"type": "string"}, {"type": "object"}]}


def _read(text: str) -> list[Part]:
    try:
        return read(text)
    except GrammarError as error:
        raise ConfigError(f"not a metric: {error}") from None


def _key_of(name: str, options: Mapping[str, Any], *, strict: bool | None) -> str:
    cls = _class(name)
    config = _config(cls, options, strict=strict)
    changed = config.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"name"})
    return write(name, changed)


def _class(name: str) -> type[Metric]:
    if name in METRICS:
        return METRICS[name]
    plain = name.lower().replace("-", "_").replace(" ", "_")
    known = {other: metric for metric in METRICS.names() for other in (metric, *METRICS[metric].also)}
    if plain in known:
        hint = f"; did you mean '{known[plain]}'?"
    else:
        hint = did_you_mean(plain, METRICS.names()) or ";"
    raise ConfigError(f"unknown metric '{name}'{hint} valid: {', '.join(METRICS.names())}")


def _config(cls: type[Metric], options: Mapping[str, Any], *, strict: bool | None) -> Any:
    # Values in a key are texts, which pydantic converts to numbers if it is not strict; None: as the class says.
    try:
        return cls.Config.model_validate({**options, "name": cls.name}, strict=strict)
    except ValidationError as error:
        raise ConfigError([f"{cls.name}: {issue}" for issue in issues_of(error)]) from None
