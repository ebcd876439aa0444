"""The energy of the raw outputs as rejection score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.rejection.base import SCORES, Needs, RejectionScore, State


@SCORES.register("energy")
class Energy(RejectionScore):
    """The negative energy: the logarithm of the sum of exponentials of the raw outputs (Liu et al. 2020, eq. 4)."""

    class Config(PluginConfig):
        """No options."""

    needs: ClassVar[Needs] = "raw"

    def __call__(self, values: np.ndarray, state: State) -> np.ndarray:
        """Return the log-sum-exp of the raw outputs ``[N, K]``."""
        raw = np.asarray(values, dtype=np.float64)
        top = raw.max(axis=1)
        return np.asarray(top + np.log(np.exp(raw - top[:, None]).sum(axis=1)))

    def in_graph(self, paddle: Any, values: Any, state: Mapping[str, Any]) -> Any:
        """Return the same as a tensor ``[N, 1]``."""
        # Not paddle.logsumexp: converted to ONNX, OpenVINO sums it over the batch too.
        top = values.max(axis=-1, keepdim=True)
        return top + paddle.log(paddle.exp(values - top).sum(axis=-1, keepdim=True))
