"""What the user expects of the domains (`likely`), as a prior that fades while trials come."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.encoding import Encoding

SPREAD = 0.2
"""Standard deviation of a number around its likely value, as a fraction of the domain."""
FAVOR = 3.0
"""How many times as probable the likely option is as each of the others."""
STRENGTH = 10.0
"""The log density is weighted by this over the number of trials."""


class Prior:
    """Adds the fading log density of the likely values to the scores of rows.

    Hvarfner et al. 2022, "piBO", arXiv 2204.11051, eq. (6): the acquisition times ``density ** (beta / n)``, here
    with beta 10. A wrong expectation therefore costs trials, but not the result.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._likely = {
            int(j): encoding.columns[j].encode(encoding.columns[j].domain.likely)
            for j in encoding.free
            if encoding.columns[j].domain.likely is not None
        }

    @property
    def stated(self) -> bool:
        """Whether any domain has a likely value."""
        return bool(self._likely)

    def bonus(self, rows: Array, trials: int) -> Array:
        """Return what to add to logarithmic scores of rows [N, D] after this many trials."""
        total = np.zeros(len(rows))
        if not self.stated:
            return total
        active = self.encoding.active(rows)
        for j, likely in self._likely.items():
            if self.encoding.columns[j].category:
                density = np.where(rows[:, j] == likely, 0.0, -np.log(FAVOR))
            else:
                density = -0.5 * ((rows[:, j] - likely) / SPREAD) ** 2
            total += np.where(active[:, j], density, 0.0)
        return total * (STRENGTH / max(1, trials))

    def pulled(self, rows: Array, rng: np.random.Generator) -> Array:
        """Return an initial design [N, D] of which every second row is drawn around the likely values."""
        if not self.stated or not len(rows):
            return rows
        changed = rows.copy()
        every_second = np.arange(0, len(rows), 2)
        uniform = rng.random((len(rows), len(self._likely)))
        for place, (j, likely) in enumerate(self._likely.items()):
            drawn = uniform[every_second, place]
            if self.encoding.columns[j].category:
                share = FAVOR / (FAVOR + (self.encoding.columns[j].size or 1) - 1.0)
                changed[every_second, j] = np.where(drawn < share, likely, rows[every_second, j])
            else:
                normal = likely + SPREAD * ndtri(np.clip(drawn, 1e-6, 1.0 - 1e-6))
                changed[every_second, j] = np.clip(normal, 0.0, 1.0)
        return self.encoding.settle(changed, self.encoding.active(rows), rng)
