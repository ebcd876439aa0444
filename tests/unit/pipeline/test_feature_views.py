"""Views of items behind a frozen backbone: what is computed, what a head sees, and when there are fewer."""

import numpy as np
import paddle
import pytest

from paddle_automl.data.augment.base import BatchPosition
from paddle_automl.pipeline import feature_views, frozen
from paddle_automl.pipeline.feature_views import ViewChoice, ViewStore
from paddle_automl.pipeline.frozen import forward
from paddle_automl.pipeline.jobs.base import load_data
from paddle_automl.pipeline.jobs.features import FeaturesRequest, run
from paddle_automl.pipeline.jobs.learning import learnable
from paddle_automl.pipeline.jobs.networks import make_model
from paddle_automl.search.executors.base import Worker
from tests.unit.pipeline.test_frozen import (  # noqa: F401  file is used by every test
    config_of,
    file,
    images,
    trained_weights,
    worker_of,
)

FLIPPED = [{"name": "horizontal_flip", "probability": 1.0}]


def views_of(tmp_path, count=2, augment=FLIPPED, **changes):
    images(tmp_path / "data.npz")
    config = config_of(tmp_path, data={"feature_views": {"count": count, "augment": augment}}, **changes)
    worker = worker_of(tmp_path)
    data = load_data(config, worker)
    return config, worker, data, ViewStore(worker.scratch, config, data)


def computed(config, worker, part=(0, 1), seconds=None):
    return run(FeaturesRequest(config, part, views_s=seconds), worker)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr("paddle_automl.pipeline.jobs.features.enter", lambda worker: None)


def test_a_view_has_the_features_of_changed_items_and_nothing_of_the_test(tmp_path):
    config, _worker, data, store = views_of(tmp_path, count=1)
    (view,) = store.get(lambda: make_model(config, data))
    split = data.joined()
    model = make_model(config, data)
    model.eval()
    (batch,) = split.batches(100)
    with paddle.no_grad():
        expected = model.features(paddle.to_tensor(batch.inputs["image"][..., ::-1].copy())).numpy()
    np.testing.assert_allclose(view[split.indices], expected, rtol=1e-4, atol=1e-5)
    assert not view[data.test.indices].any()


def test_parts_of_several_workers_are_the_views_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_views, "CHUNK", 5)
    random = [{"name": "translate", "pixels": 2}, {"name": "horizontal_flip"}]
    config, worker, data, store = views_of(tmp_path, augment=random)
    alone = ViewStore(None, config, data).get(lambda: make_model(config, data))
    for part in ((0, 2), (1, 2)):
        assert computed(config, worker, part).views == 2
    found = store.get(lambda: pytest.fail("nothing is missing"))
    assert len(found) == len(alone) == 2
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert not np.allclose(*found)


def test_parts_of_another_number_of_workers_are_left_out(tmp_path):
    """Those of a search that was killed; it goes on with fewer workers."""
    config, worker, data, store = views_of(tmp_path, count=1)
    computed(config, worker, (2, 3))
    for part in ((0, 2), (1, 2)):
        computed(config, worker, part)
    (found,) = store.get(lambda: pytest.fail("nothing is missing"))
    (alone,) = ViewStore(None, config, data).get(lambda: make_model(config, data))
    np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-6)
    assert not list(store.folder.glob("*.view-*.part-*"))


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_the_items_of_all_views_are_reported(tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(feature_views, "CHUNK", 20)
    config, worker, data, store = views_of(tmp_path, count=2)
    reports = []
    told = Worker("cpu", 1, worker.scratch, lambda done, metrics: reports.append((done, metrics)) or True)
    computed(config, told, seconds=seconds)
    of_views = [(done, metrics) for done, metrics in reports if "views" in metrics]
    assert [done for done, _ in of_views] == sorted(done for done, _ in of_views)
    assert of_views[-1][0] == of_views[-1][1]["items"] == 2 * len(store.rows)
    assert all(("most_s" in metrics) == (seconds is not None) for _, metrics in of_views)
    assert len(data.train) < len(store.rows)


def test_without_time_there_are_fewer_and_no_trial_computes_the_rest(tmp_path):
    config, worker, data, store = views_of(tmp_path)
    assert computed(config, worker, seconds=0.0).views == 0
    assert store.get(lambda: pytest.fail("a trial computes no views")) == []
    assert learnable(config, data, worker).augment is None


def test_settings_share_what_is_equal(tmp_path, monkeypatch):
    """A search over the views computes the features of the items once, and each view once."""
    passes = []

    def counted(*arguments):
        passes.append(1 if len(arguments) > 4 else 0)
        return forward(*arguments)

    monkeypatch.setattr(frozen, "forward", counted)
    monkeypatch.setattr(feature_views, "forward", counted)
    for count, new in ((0, [0]), (1, [1]), (3, [1, 1]), (2, [])):
        config, worker, *_ = views_of(tmp_path, count=count)
        passes.clear()
        assert computed(config, worker).views == count
        assert passes == new


def test_a_training_without_a_search_computes_all(tmp_path):
    config, worker, data, _ = views_of(tmp_path)
    (choice,) = learnable(config, data, worker).augment.augmentations
    assert len(choice.views) == 2
    assert (trained_weights(config, tmp_path / "a", worker)).keys()


def test_other_augmentations_have_other_views(tmp_path):
    *_, store = views_of(tmp_path)
    *_, other = views_of(tmp_path, augment=[{"name": "translate", "pixels": 1}])
    *_, same = views_of(tmp_path, count=5)
    assert store.key == same.key != other.key


def test_a_head_sees_views_of_the_same_items_and_the_items_themselves():
    values = np.arange(6, dtype=np.float32)[:, None]
    views = [values + 10, values + 20]
    chosen = ViewChoice(views)
    place = BatchPosition(np.array([5, 0, 3]), 1)
    seen = set()
    for seed in range(40):
        found, targets = chosen.placed(values[place.items], np.eye(3), np.random.default_rng(seed), place)
        assert (found[:, 0] % 10 == place.items).all()
        assert (targets == np.eye(3)).all()
        seen |= set((found[:, 0] // 10).tolist())
    assert seen == {0.0, 1.0, 2.0}


def test_a_damaged_view_is_left_out(tmp_path):
    config, worker, _data, store = views_of(tmp_path)
    computed(config, worker)
    store.get(lambda: None)
    store._file(2).write_bytes(b"nothing")
    assert len(store.get(lambda: None)) == 1


def test_views_are_limited_by_the_memory_that_they_need(tmp_path, monkeypatch):
    config, worker, _, _ = views_of(tmp_path, count=4)
    monkeypatch.setattr(feature_views, "MOST", 60)
    assert computed(config, worker).views == 2
