"""The contract of rejection scores."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import paddle
import pytest

from paddle_automl.deployment.rejection.base import RejectionScore
from paddle_automl.testing.options import check_options, config_of

CLASSES, ITEMS = 4, 40


def values_for(score: RejectionScore) -> np.ndarray:
    """Return probabilities, raw outputs or features of some items, float32 [ITEMS, CLASSES], as the score needs."""
    values = np.random.default_rng(0).normal(0, 3, (ITEMS, CLASSES)).astype(np.float32)
    if score.needs != "outputs":
        return values
    powers = np.exp(values)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


class RejectionScoreContract:
    """Tests of a score: parametrize `plugin` with its class; `options` are its required options, if any."""

    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def score(self, plugin: type[RejectionScore]) -> RejectionScore:
        """Return the score with its options."""
        return plugin(config_of(plugin, self.options))

    @pytest.fixture
    def values(self, score: RejectionScore) -> np.ndarray:
        """Return what the score needs of some items."""
        return values_for(score)

    @pytest.fixture
    def state(self, score: RejectionScore, values: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the score learns from them."""
        return score.fit(values, np.arange(ITEMS) % CLASSES, CLASSES)

    def test_options_are_described(self, plugin: type[RejectionScore]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)

    def test_every_item_has_a_finite_number_of_its_own(
        self, score: RejectionScore, values: np.ndarray, state: dict[str, np.ndarray]
    ) -> None:
        """The other items of a batch have no say in it."""
        found = score(values, state)
        assert found.shape == (ITEMS,)
        assert found.dtype == np.float64
        assert np.isfinite(found).all()
        assert len(set(found)) > 1
        for number in (0, ITEMS - 1):
            alone = score(values[number : number + 1], state)
            np.testing.assert_allclose(alone, found[number : number + 1], rtol=1e-6)

    def test_a_sure_answer_looks_more_like_a_class_than_an_open_one(
        self, score: RejectionScore, state: dict[str, np.ndarray]
    ) -> None:
        """Larger is more familiar; of features only the score knows which ones are."""
        if score.needs == "features":
            return
        sure = np.eye(CLASSES, dtype=np.float32)[:1]
        even = np.full((1, CLASSES), 1 / CLASSES, dtype=np.float32)
        if score.needs == "raw":
            sure, even = 10 * sure, 0 * even
        assert score(sure, state)[0] > score(even, state)[0]

    def test_what_it_learns_can_be_stored_in_a_bundle(
        self, score: RejectionScore, values: np.ndarray, state: dict[str, np.ndarray]
    ) -> None:
        """Arrays of float32 without a hole, the same each time."""
        again = score.fit(values, np.arange(ITEMS) % CLASSES, CLASSES)
        assert again.keys() == state.keys()
        for name, array in state.items():
            assert array.dtype == np.float32, name
            assert np.isfinite(array).all(), name
            np.testing.assert_array_equal(again[name], array)

    def test_the_network_computes_the_same(
        self, score: RejectionScore, values: np.ndarray, state: dict[str, np.ndarray]
    ) -> None:
        """A score of raw outputs or features is exported with the network; one of the outputs is not."""
        tensors = {name: paddle.to_tensor(array) for name, array in state.items()}
        if score.needs == "outputs":
            with pytest.raises(NotImplementedError):
                score.in_graph(paddle, paddle.to_tensor(values), tensors)
            return
        graph = score.in_graph(paddle, paddle.to_tensor(values), tensors).numpy()
        assert graph.shape == (ITEMS, 1)
        np.testing.assert_allclose(graph[:, 0], score(values, state), rtol=1e-5, atol=1e-5)
