"""The similarity of the features to the mean features of the classes as rejection score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.rejection.base import SCORES, Needs, RejectionScore, State

_SMALLEST = 1e-6
"""Smallest length of a feature vector that is divided by."""


@SCORES.register("class_similarity")
class ClassSimilarity(RejectionScore):
    """The largest cosine of the features, from their common mean, with the mean features of a class.

    The features are those before the head. It is a distance to class centres as in Lee et al. 2018, with the cosine
    in place of Mahalanobis' distance, so that it needs one vector per class instead of a covariance.
    """

    class Config(PluginConfig):
        """No options."""

    needs: ClassVar[Needs] = "features"

    def fit(self, values: np.ndarray, codes: np.ndarray, classes: int) -> dict[str, np.ndarray]:
        """Return the mean of the class means, ``[F]``, and the directions of the classes from it, ``[F, K]``."""
        present = [number for number in range(classes) if (codes == number).any()]
        means = np.stack([values[codes == number].mean(axis=0, dtype=np.float64) for number in present])
        centre = means.mean(axis=0)
        directions = means - centre
        lengths = np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), _SMALLEST)
        return {"centre": centre.astype(np.float32), "directions": (directions / lengths).T.astype(np.float32)}

    def __call__(self, values: np.ndarray, state: State) -> np.ndarray:
        """Return the largest cosine of the features ``[N, F]``."""
        moved = np.asarray(values, dtype=np.float64) - state["centre"]
        lengths = np.maximum(np.linalg.norm(moved, axis=1), _SMALLEST)
        return np.asarray((moved @ state["directions"]).max(axis=1) / lengths)

    def in_graph(self, paddle: Any, values: Any, state: Mapping[str, Any]) -> Any:
        """Return the same as a tensor ``[N, 1]``."""
        moved = values - state["centre"]
        lengths = paddle.linalg.norm(moved, 2.0, axis=1, keepdim=True).clip(min=_SMALLEST)
        return paddle.matmul(moved, state["directions"]).max(axis=-1, keepdim=True) / lengths
