"""What may vary in a search: domains, conditions, and a trial's choices as configuration overrides."""

from paddle_automl.space.domains import Choice, Domain, OptionNames, Stored
from paddle_automl.space.numeric import Integer, Real
from paddle_automl.space.space import SearchSpace
from paddle_automl.space.tree import Condition, Decision, Params

__all__ = [
    "Choice",
    "Condition",
    "Decision",
    "Domain",
    "Integer",
    "OptionNames",
    "Params",
    "Real",
    "SearchSpace",
    "Stored",
]
