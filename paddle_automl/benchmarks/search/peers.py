"""Optimizers of other projects by their names in the comparison."""

from __future__ import annotations

from paddle_automl.benchmarks.search.foreign import Foreign, Hebo, Smac, SmacAsInstalled, SmacBlackBox
from paddle_automl.benchmarks.search.hub import HubAuto, HubConfOpt, HubHierarchicalTpe, OrderedTpe

PEERS: dict[str, type[Foreign]] = {
    "tpe_ordered": OrderedTpe,
    "hub_auto": HubAuto,
    "hub_hierarchical_tpe": HubHierarchicalTpe,
    "confopt": HubConfOpt,
    "smac": Smac,
    "smac_as_installed": SmacAsInstalled,
    "smac_blackbox": SmacBlackBox,
    "hebo": Hebo,
}
PLANNED = ("smac", "smac_as_installed", "smac_blackbox")
"""Those whose start depends on the number of trials: each budget gets a run of its own."""
