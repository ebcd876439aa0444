"""Surrogates, tables and policies against formulas and finite differences."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from paddle_automl.search.learning import gaussian_process as gp
from paddle_automl.search.learning.acquisition import Maximizer, log_expected_improvement
from paddle_automl.search.learning.bins import Bins
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.final_choice import next_repeat, repeats, winner
from paddle_automl.search.learning.metaqnn import Table, epsilon
from paddle_automl.search.learning.observations import Reader
from paddle_automl.search.learning.policies import Actions, FactoredPolicy, LstmPolicy, probabilities
from paddle_automl.search.learning.policy_training import Ppo, Reinforce
from paddle_automl.search.learning.q_table import metaqnn_table, q_table
from paddle_automl.search.learning.values import Features, draw_by_kernel, posterior, prior_variances
from paddle_automl.search.records import History, Observation
from paddle_automl.space import SearchSpace
from tests.unit.search.controllers.test_learners import SPACE, cost
from tests.unit.search.helpers import ACCURACY


def data(count=15, seed=0):
    encoding = Encoding(SPACE)
    rng = np.random.default_rng(seed)
    rows = encoding.sample(count, rng)
    return encoding, rows, np.array([cost(encoding.decode(row)) for row in rows]), rng


def test_ridge_is_the_formula_and_both_draws_agree():
    encoding, rows, costs, rng = data(60)
    features = Features(encoding)(rows)
    importance = rng.uniform(0.3, 1, 60)
    weights = posterior(features, -costs, importance, 2.0)
    precision = features.T @ np.diag(importance) @ features + np.diag(1 / prior_variances(features.shape[1], 2.0))
    mean = np.linalg.solve(precision, features.T @ (importance * -costs))
    assert weights.mean == pytest.approx(mean)
    residual = -costs - features @ mean
    variance = max(0.02, (importance * residual**2).sum() / importance.sum())
    assert weights.root @ weights.root.T == pytest.approx(variance * np.linalg.inv(precision))
    # With noise 0.3 / w the kernel form has the posterior mean of a ridge with 0.3 times the penalty.
    draws = np.mean([draw_by_kernel(features, -costs, importance, 2.0, rng) for _ in range(3000)], axis=0)
    same = np.linalg.solve(
        features.T @ np.diag(importance / 0.3) @ features + np.diag(1 / prior_variances(features.shape[1], 2.0)),
        features.T @ (importance / 0.3 * -costs),
    )
    assert features @ draws == pytest.approx(features @ same, abs=0.1)


def test_an_inactive_decision_has_no_features():
    encoding = Encoding(SPACE)
    features = Features(encoding)
    row = encoding.encode({"net": "plain", "rate": 0.01, "drop": 0.1, "smooth": 0.5, "flags": None, "fixed": 7})
    values = features(row[None])[0]
    active = encoding.active(row[None])[0]
    for j, part in features.slices.items():
        assert values[part].any() == active[j]


def test_the_gradient_of_the_gaussian_process():
    encoding, rows, costs, rng = data()
    free = encoding.free
    squares = gp._distances(rows[:, free], encoding.categories[free])
    costs = (costs - costs.mean()) / costs.std()
    effects = Features(encoding).effects(rows)
    centre = np.zeros(len(free) + 3)
    theta = rng.normal(-1, 1, len(free) + 3)
    given = (squares, effects @ effects.T, costs, centre)
    _, gradient = gp._negative_log_posterior(theta, *given)
    numeric = approx_fprime(theta, lambda t: gp._negative_log_posterior(t, *given)[0], 1e-6)
    assert gradient == pytest.approx(numeric, abs=1e-3)


@pytest.mark.parametrize("with_effects", [True, False])
def test_the_predictions_of_the_gaussian_process(with_effects):
    encoding, rows, costs, rng = data()
    free = encoding.free
    sampled = encoding.sample(7, rng)
    points = sampled[:, free]
    effects = Features(encoding).effects
    inner, outer = (effects(rows), effects(sampled)) if with_effects else (np.zeros((15, 0)), np.zeros((7, 0)))
    given = (inner, outer) if with_effects else (None, None)
    kernel = gp.fit(rows[:, free], costs, encoding.categories[free], 20, given[0])
    process = gp.GaussianProcess(encoding.categories[free], kernel, rows[:, free], costs, given[0])

    def covariance(a, b):
        squares = [
            [
                sum(
                    weight * (x != y if is_choice else (x - y) ** 2)
                    for weight, x, y, is_choice in zip(kernel.inverse, p, q, encoding.categories[free], strict=True)
                )
                for q in b
            ]
            for p in a
        ]
        return kernel.of_squares(np.array(squares, dtype=float))

    matrix = covariance(rows[:, free], rows[:, free]) + kernel.noise * np.eye(len(rows))
    matrix += kernel.effects * inner @ inner.T
    cross = covariance(points, rows[:, free]) + kernel.effects * outer @ inner.T
    mean, deviation = process.predict(points, given[1])
    assert mean == pytest.approx(cross @ np.linalg.solve(matrix, costs), abs=1e-6)
    prior = kernel.signal + kernel.effects * (outer**2).sum(axis=1)
    variance = prior - np.einsum("ij,ji->i", cross, np.linalg.solve(matrix, cross.T))
    assert deviation == pytest.approx(np.sqrt(variance), abs=1e-5)
    first = None if given[1] is None else given[1][:1]
    pending = process.with_pending(costs, points[:1], first)
    assert pending.predict(points[:1], first)[1] < deviation[0]
    assert pending.predict(points[:1], first)[0] == pytest.approx(mean[:1], abs=1e-2)


def test_log_expected_improvement():
    rng = np.random.default_rng(0)
    mean, deviation, best = 0.3, 0.7, 0.1
    sampled = np.maximum(0, best - rng.normal(mean, deviation, 1_000_000)).mean()
    value = log_expected_improvement(np.array([mean]), np.array([deviation]), best)
    assert np.exp(value) == pytest.approx(sampled, rel=0.01)
    far = log_expected_improvement(np.linspace(0, 60, 200), np.full(200, 1.0), 0.0)
    assert np.isfinite(far).all()
    assert (np.diff(far) < 0).all()


def test_the_highest_score_of_a_small_space_is_found():
    space = SearchSpace.parse({f"d{i}": {"choice": ["a", "b", "c"]} for i in range(6)})
    encoding = Encoding(space)
    seen = Reader(encoding, ACCURACY).read(History((Observation(0, encoding.decode(np.zeros(6)), (1.0,)),)), [1.0])
    score = lambda rows: -rows.sum(axis=1)  # noqa: E731
    assert Maximizer(encoding)(score, seen, np.random.default_rng(0)).sum() == 1


def test_epsilon_follows_the_published_schedule():
    assert [epsilon(n, 2700) for n in (0, 1499, 1500, 1600, 1700, 1800, 2699, 5000)] == [
        *(1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.1, 0.1)
    ]
    assert epsilon(54, 100) == 1.0
    assert epsilon(56, 100) == 0.9


def test_the_table_is_updated_in_reversed_order():
    encoding = Encoding(SearchSpace.parse({"a": {"choice": ["x", "y"]}, "b": {"choice": ["u", "v", "w"]}}))
    table = Table(Bins(encoding, 6), 0.5)
    table.replay([(0, 1), (1, 2)], 1.0, 0.5, 0.9)
    # Q(b | a=y, w) = 0.5 + 0.5 (1 - 0.5) = 0.75, then Q(a, y) = 0.5 + 0.5 (0.9 * 0.75 - 0.5) = 0.5875.
    assert table.of((1, 0, 1)) == [0.5, 0.5, 0.75]
    assert table.of((0, -1, -1)) == pytest.approx([0.5, 0.5875])
    assert table.of((1, 0, 0)) == [0.5, 0.5, 0.5]


def test_the_gradient_of_the_recurrent_policy():
    actions = Actions([2, 3, 4])
    policy = LstmPolicy(actions, np.random.default_rng(0))
    batch = actions.batch([[(0, 1), (1, 2), (2, 0)], [(0, 0), (2, 3)]])
    weights = np.random.default_rng(1).normal(size=batch.actions.shape) * batch.steps

    def value():
        chances = probabilities(policy.forward(batch)[0], batch.allowed)
        return float((weights * np.log(np.where(batch.steps, (chances * batch.taken).sum(-1), 1.0))).sum())

    logits, memory = policy.forward(batch)
    slopes = weights[..., None] * (batch.taken - probabilities(logits, batch.allowed))
    gradients = policy.backward(memory, slopes)
    rng = np.random.default_rng(2)
    for name, parameter in policy.parameters.items():
        for _ in range(4):
            place = tuple(rng.integers(n) for n in parameter.shape)
            before = parameter[place]
            ends = []
            for step in (1e-5, -1e-5):
                parameter[place] = before + step
                ends.append(value())
            parameter[place] = before
            assert gradients[name][place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-7)


@pytest.mark.parametrize("kind", [Ppo, Reinforce])
@pytest.mark.parametrize("recurrent", [False, True])
def test_rewarded_actions_become_likelier(kind, recurrent):
    actions = Actions([3, 3])
    rng = np.random.default_rng(0)
    policy = LstmPolicy(actions, rng) if recurrent else FactoredPolicy(actions)
    trainer = kind(policy, actions, 0.05, 0.01)
    costs = []
    for _ in range(60):
        played = []
        for _ in range(trainer.batch_size):
            steps = [(0, int(rng.integers(3))), (1, int(rng.integers(3)))]
            played.append(steps)
            costs.append(float(steps[0][1] != 2) + float(steps[1][1] != 1) + 0.1 * rng.normal())
        trainer.update(actions.batch(played), np.array(costs))
    batch = actions.batch([[(0, 2), (1, 1)]])
    chances = (probabilities(policy.forward(batch)[0], batch.allowed) * batch.taken).sum(-1)[0]
    assert (chances > 0.6).all()


def test_the_q_table_tells_good_choices_from_bad_ones():
    rng = np.random.default_rng(0)
    trials = [SPACE.sample(rng) for _ in range(80)]
    history = History(tuple(Observation(n, p, (cost(p),)) for n, p in enumerate(trials)))
    table = {(row.decision, row.choice): row for row in q_table(SPACE, history, ACCURACY)}
    assert (
        max((row for row in table.values() if row.decision == "flags"), key=lambda row: row.value).choice == "yes"
    )
    assert table["net", "wide"].value > table["net", "plain"].value + 0.5
    assert sum(row.count for key, row in table.items() if key[0] == "rate") == 80
    assert table["net", "wide"].count == sum(p["net"] == "wide" for p in trials)
    assert all(row.spread > 0 for row in table.values())
    assert q_table(SPACE, History(), ACCURACY) == []
    rows = metaqnn_table(SPACE, history, ACCURACY, 0)
    assert {row.choice: row.count for row in rows if row.decision == "net"}["wide"] == table["net", "wide"].count
    assert any(row.after.startswith("net=wide") for row in rows)


def test_the_final_choice():
    assert [repeats(trials) for trials in (5, 30, 50, 100, 300)] == [0, 0, 3, 20, 60]
    runs = [[3.0], [1.0], [2.0], [1.5], [9.0], [8.0]]
    for left in range(20, 0, -1):
        place = next_repeat(runs, left)
        runs[place].append(2.5 if place == 1 else runs[place][0])
    assert [len(costs) for costs in runs] == [5, 5, 5, 5, 1, 5]
    assert winner(runs) == 3
    assert winner([[2.0], [1.0]]) == 1
    assert next_repeat(runs, 0) is None
