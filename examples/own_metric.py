"""A metric of one's own: the recall of the class that is recognized worst.

It can be an objective of a search, alone or in a weighted sum, and stands in curves and tables from then on.
"""

import numpy as np

from paddle_automl.tasks.metrics.base import METRICS, Metric


@METRICS.register("worst_recall")
class WorstRecall(Metric):
    """Recall of the class that is recognized worst."""

    goal = "maximize"
    tasks = frozenset({"single_label"})

    def value(self, facts):
        """Return the lowest recall of the classes that occur; `facts` holds outputs [N, K] and class ids [N]."""
        right = facts.outputs.argmax(axis=1) == facts.codes
        return min((float(right[facts.codes == k].mean()) for k in np.unique(facts.codes)), default=0.0)
