"""Frozen backbones: features by content, one computation for all trials, and whole networks in the end."""

import logging

import numpy as np
import paddle
import pytest
import yaml

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.data.remembering import Remembered
from paddle_automl.models.network import build_network
from paddle_automl.paddle_compat.weights import load_weights, save_weights
from paddle_automl.pipeline import frozen
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.frozen import FeatureStore, features_key
from paddle_automl.pipeline.jobs.base import Shared, load_data
from paddle_automl.pipeline.jobs.learning import judged_on, learnable, split_augmentations, tried_out
from paddle_automl.pipeline.jobs.networks import make_model, trained_network
from paddle_automl.pipeline.jobs.train import TrainRequest, run
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.search.executors.base import Worker
from paddle_automl.testing.backbones import image_input
from paddle_automl.training.evaluation import predict

BACKBONE = {"name": "resnet", "width": 4, "blocks": [1]}


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """Weights of a tiny network, in the place of those that somebody learned; jobs run in this process."""
    monkeypatch.setattr("paddle_automl.pipeline.jobs.train.enter", lambda worker: None)
    config = validate(RunConfig, {"model": {"backbone": BACKBONE}})
    path = tmp_path / "weights.pdparams"
    save_weights(path, build_network(config.model, image_input(1, 8, 8), 7, seed=5).state_dict())
    return path


def images(path, seed=0, count=30):
    rng = np.random.default_rng(seed)
    np.savez(path, x_train=rng.integers(0, 256, (count, 8, 8), dtype=np.uint8), y_train=np.arange(count) % 3)
    return path


def moved(path, change, data):
    """Write the archive anew: in another order, with new images in front, or without an image of the test."""
    with np.load(path) as known:
        pixels, classes = known["x_train"], known["y_train"]
    rows = np.arange(len(pixels))
    if change == "order":
        rows = np.random.default_rng(3).permutation(rows)
    elif change == "removed":
        rows = np.delete(rows, data.test.indices[0])
    pixels, classes = pixels[rows], classes[rows]
    if change == "added":
        new = np.random.default_rng(4).integers(0, 256, (9, 8, 8), dtype=np.uint8)
        pixels, classes = np.concatenate([new, pixels]), np.concatenate([np.arange(9) % 3, classes])
    np.savez(path, x_train=pixels, y_train=classes)


def config_of(tmp_path, **changes):
    model = {"backbone": BACKBONE, "pretrained": str(tmp_path / "weights.pdparams"), "freeze": "backbone"}
    given = {
        "output": str(tmp_path / "output"),
        "data": {"dataset": {"name": "npz", "path": str(tmp_path / "data.npz")}, **changes.pop("data", {})},
        "model": {**model, **changes.pop("model", {})},
        "training": {"epochs": 3, "batch_size": 8, "optimizer": {"name": "adamw", "learning_rate": 0.02}},
        **changes,
    }
    return validate(RunConfig, given)


def worker_of(tmp_path):
    return Worker("cpu", 1, tmp_path / "cache", lambda epoch, metrics: True)


def trained_weights(config, folder, worker):
    run(TrainRequest(config, folder, Shared()), worker)
    return load_weights(folder / "best.pdparams")


class TestFeatures:
    def test_they_are_those_of_the_whole_network(self, tmp_path):
        images(tmp_path / "data.npz")
        config, worker = config_of(tmp_path), worker_of(tmp_path)
        data = load_data(config, worker)
        work, model = learnable(config, data, worker), make_model(config, data)
        model.eval()
        (batch,) = data.test.batches(100)
        with paddle.no_grad():
            expected = model.features(paddle.to_tensor(batch.inputs["image"])).numpy()
        (found,) = work.data.test.batches(100)
        np.testing.assert_allclose(found.inputs["features"], expected, rtol=1e-4, atol=1e-5)
        assert (found.codes == batch.codes).all()
        assert work.profile.parameters == tried_out(config.model_copy(update={}), data).profile.parameters
        whole = tried_out(config_of(tmp_path, model={"freeze": None}), data).profile
        assert (work.profile.parameters, work.profile.flops) == (whole.parameters, whole.flops)

    @pytest.mark.parametrize("views", ["mirror", "mirror_and_shifts"])
    def test_the_cost_of_the_backbone_is_that_of_all_views(self, tmp_path, views):
        images(tmp_path / "data.npz")
        model = {"test_time_augmentation": views}
        config, worker = config_of(tmp_path, model=model), worker_of(tmp_path)
        data = load_data(config, worker)
        whole = tried_out(config_of(tmp_path, model={**model, "freeze": None}), data).profile
        assert learnable(config, data, worker).profile == tried_out(config, data).profile
        assert learnable(config, data, worker).profile.flops == whole.flops

    def test_they_are_computed_once(self, tmp_path):
        images(tmp_path / "data.npz")
        config, worker = config_of(tmp_path), worker_of(tmp_path)
        data, calls = load_data(config, worker), []

        def make():
            calls.append(1)
            return make_model(config, data)

        store = FeatureStore(worker.scratch)
        assert not store.holds(config.model, data)
        first = store.get(config.model, data, make)
        # Another head and another class of recipe use the same features.
        other = config_of(tmp_path, model={"head": "cosine", "dropout": 0.1})
        second = FeatureStore(worker.scratch).get(other.model, data, make)
        assert calls == [1]
        assert np.array_equal(first.values, second.values)
        assert isinstance(second.values, np.memmap)
        assert first.backbone == second.backbone

    def test_parts_make_the_whole(self, tmp_path):
        images(tmp_path / "data.npz")
        config, worker = config_of(tmp_path), worker_of(tmp_path)
        data, reports = load_data(config, worker), []
        store = FeatureStore(worker.scratch)
        for number in range(3):
            store.compute(
                config.model,
                data,
                lambda: make_model(config, data),
                (number, 3),
                lambda done, items: not reports.append((done, items)),
            )
        assert reports == [(10, 10)] * 3
        joined = store.get(config.model, data, lambda: make_model(config, data))
        alone = FeatureStore(None).get(config.model, data, lambda: make_model(config, data))
        np.testing.assert_allclose(joined.values, alone.values, rtol=1e-5, atol=1e-6)
        assert not list((tmp_path / "cache" / "features").glob("*.part-*"))

    def test_a_lost_or_damaged_part_is_computed_again(self, tmp_path):
        images(tmp_path / "data.npz")
        config, worker = config_of(tmp_path), worker_of(tmp_path)
        data, store = load_data(config, worker), FeatureStore(worker.scratch)
        alone = FeatureStore(None).get(config.model, data, lambda: make_model(config, data))
        store.compute(config.model, data, lambda: make_model(config, data), (0, 2))
        np.testing.assert_allclose(
            store.get(config.model, data, lambda: make_model(config, data)).values,
            alone.values,
            rtol=1e-5,
            atol=1e-6,
        )

    @pytest.mark.parametrize(("ended", "count"), [((0, 3), 2), ((0, 2), 3), ((1, 2), 10)])
    def test_parts_of_another_number_of_workers_are_left_out(self, tmp_path, monkeypatch, ended, count):
        """Those of a search that was killed; it goes on with another number of workers."""
        images(tmp_path / "data.npz")
        config, worker = config_of(tmp_path), worker_of(tmp_path)
        data, store = load_data(config, worker), FeatureStore(worker.scratch)
        alone = FeatureStore(None).get(config.model, data, lambda: make_model(config, data))
        for part in (ended, *((number, count) for number in range(count))):
            store.compute(config.model, data, lambda: make_model(config, data), part)
        monkeypatch.setattr(frozen, "forward", lambda *_: pytest.fail("nothing is missing"))
        found = store.get(config.model, data, lambda: make_model(config, data))
        np.testing.assert_allclose(found.values, alone.values, rtol=1e-5, atol=1e-6)
        assert not list(store.folder.glob("*.part-*"))

    @pytest.mark.parametrize("change", ["images", "weights", "mean", "backbone"])
    def test_those_of_something_else_are_never_used(self, tmp_path, change):
        images(tmp_path / "data.npz")
        config, worker = config_of(tmp_path), worker_of(tmp_path)
        before = load_data(config, worker)
        key = features_key(config.model, before)
        learnable(config, before, worker)
        if change == "images":
            # The same names, classes and number of items.
            images(tmp_path / "data.npz", seed=1)
        elif change == "weights":
            state = load_weights(tmp_path / "weights.pdparams")
            paddle.save({name: array + 1 for name, array in state.items()}, str(tmp_path / "weights.pdparams"))
        elif change == "mean":
            config = config_of(tmp_path, data={"input": {"mean": [0.25]}})
        else:
            config = config_of(tmp_path, model={"backbone": {**BACKBONE, "stem_stride": 2}})
        after = load_data(config, worker)
        assert features_key(config.model, after) != key
        work = learnable(config, after, worker)
        model = make_model(config, after)
        model.eval()
        (batch,) = after.train.batches(100)
        with paddle.no_grad():
            expected = model.features(paddle.to_tensor(batch.inputs["image"])).numpy()
        (found,) = work.data.train.batches(100)
        np.testing.assert_allclose(found.inputs["features"], expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("change", ["order", "added", "removed"])
    def test_a_search_goes_on_with_the_features_of_its_items_wherever_they_are_now(self, tmp_path, change):
        file = images(tmp_path / "data.npz")
        views = {"feature_views": {"count": 1, "augment": [{"name": "horizontal_flip", "probability": 1.0}]}}
        config, worker = config_of(tmp_path, data=views), worker_of(tmp_path)
        before = load_data(config, worker)
        learnable(config, before, worker)
        moved(file, change, before)
        after = load_data(config, worker, remembered=Remembered(before.items))
        work, model = learnable(config, after, worker), make_model(config, after)
        model.eval()
        for split, found in ((after.train, work.data.train), (after.test, work.data.test)):
            (batch,) = split.batches(100)
            with paddle.no_grad():
                expected = model.features(paddle.to_tensor(batch.inputs["image"])).numpy()
                flipped = model.features(paddle.to_tensor(batch.inputs["image"][..., ::-1].copy())).numpy()
            np.testing.assert_allclose(next(found.batches(100)).inputs["features"], expected, rtol=1e-4, atol=1e-5)
            if split is after.train:
                (view,) = work.augment.augmentations[0].views
                np.testing.assert_allclose(view[split.indices], flipped, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("damage", ["cut", "other", "empty", "facts"])
    def test_a_damaged_file_is_computed_again(self, tmp_path, caplog, damage):
        images(tmp_path / "data.npz")
        config, worker = config_of(tmp_path), worker_of(tmp_path)
        data, store = load_data(config, worker), FeatureStore(worker.scratch)
        first = np.array(store.get(config.model, data, lambda: make_model(config, data)).values)
        file = tmp_path / "cache" / "features" / f"{features_key(config.model, data)}.npy"
        if damage == "facts":
            file.with_suffix(".json").write_text("{}")
        elif damage == "other":
            np.save(file, first[:7])
        else:
            file.write_bytes(b"" if damage == "empty" else file.read_bytes()[:200])
        with caplog.at_level(logging.WARNING, logger="paddle_automl"):
            again = store.get(config.model, data, lambda: make_model(config, data))
        assert "computed again" in caplog.text
        np.testing.assert_array_equal(again.values, first)

    def test_a_folder_that_cannot_be_written_costs_time_only(self, tmp_path, caplog):
        images(tmp_path / "data.npz")
        config = config_of(tmp_path)
        data = load_data(config, worker_of(tmp_path))
        (tmp_path / "blocked").write_text("")
        with caplog.at_level(logging.WARNING, logger="paddle_automl"):
            found = FeatureStore(tmp_path / "blocked").get(config.model, data, lambda: make_model(config, data))
        assert found.values.shape == (30, 4)
        assert "features cannot be stored" in caplog.text


class TestTraining:
    @pytest.mark.parametrize("head", ["linear", "cosine", {"name": "mlp", "hidden": 5}])
    def test_the_head_is_trained_and_the_whole_network_comes_back(self, tmp_path, head):
        images(tmp_path / "data.npz")
        config = config_of(tmp_path, model={"head": head, "feature_norm": "standard"})
        worker = worker_of(tmp_path)
        for folder, whole in ((tmp_path / "trial", False), (tmp_path / "alone", True)):
            result = run(TrainRequest(config, folder, Shared(), whole=whole), worker)
            names = load_weights(RunFolder(folder).weights)
            assert any(name.startswith("backbone.") for name in names) == whole
            data = load_data(config, worker)
            found = trained_network(config, RunFolder(folder))
            pretrained = load_weights(tmp_path / "weights.pdparams")
            for name, tensor in found.network.state_dict().items():
                if name.startswith("backbone."):
                    assert np.array_equal(tensor.numpy(), pretrained[name]), name
            split = data.validation.with_task(found.task)
            outputs = predict(found.network, split)
            assert (outputs.argmax(1) == split.codes).mean() == pytest.approx(result.metrics["accuracy"])
            head_alone, features = judged_on(found.network, data, config, worker)
            calibrated = features.validation.with_task(found.task)
            np.testing.assert_allclose(predict(head_alone, calibrated), outputs, rtol=1e-3, atol=1e-5)

    def test_equal_seeds_give_equal_heads(self, tmp_path):
        images(tmp_path / "data.npz")
        config, worker = config_of(tmp_path, data={"augment": ["mixup"]}), worker_of(tmp_path)
        first, second = (trained_weights(config, tmp_path / name, worker) for name in "ab")
        assert all(np.array_equal(first[name], second[name]) for name in first)

    def test_a_head_whose_weights_were_replaced_is_refused(self, tmp_path):
        images(tmp_path / "data.npz")
        config, worker = config_of(tmp_path), worker_of(tmp_path)
        run(TrainRequest(config, tmp_path / "trial", Shared()), worker)
        state = load_weights(tmp_path / "weights.pdparams")
        paddle.save({name: array + 1 for name, array in state.items()}, str(tmp_path / "weights.pdparams"))
        with pytest.raises(ConfigError, match=r"no longer holds the weights that it was trained on"):
            trained_network(config, RunFolder(tmp_path / "trial"))

    def test_augmentations_of_images_are_left_out_and_named(self, tmp_path, caplog):
        images(tmp_path / "data.npz")
        augment = [
            {"name": "random_crop", "padding": 1},
            "horizontal_flip",
            "cutmix",
            {"name": "mixup", "alpha": 0.2},
        ]
        config, worker = config_of(tmp_path, data={"augment": augment}), worker_of(tmp_path)
        kept, left_out = split_augmentations(config.data.augment)
        assert [item.name for item in kept] == ["mixup"]
        assert left_out == ["random_crop", "horizontal_flip", "cutmix"]
        data = load_data(config, worker)
        with caplog.at_level(logging.WARNING, logger="paddle_automl"):
            work = tried_out(config, data)
        assert (
            "data.augment leaves out random_crop, horizontal_flip, cutmix; data.feature_views.augment takes "
            "random_crop, horizontal_flip; mixup mixes features in place of cutmix" in caplog.text
        )
        batch = next(work.data.train.batches(6, rng=np.random.default_rng(0), augment=work.augment))
        assert not np.isin(batch.targets, [0.0, 1.0]).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"distillation": {"teacher": ["x"]}}, "freeze: cannot be used with distillation"),
        (
            {"training": {"progressive": {"epochs": 2, "resolution": 0.5}}},
            r"with training\.progressive",
        ),
    ],
)
def test_what_needs_the_images_is_refused(tmp_path, changes, reason):
    with pytest.raises(ConfigError, match=reason):
        config_of(tmp_path, **changes)


def test_weights_of_another_backbone_are_refused(tmp_path):
    images(tmp_path / "data.npz")
    config = config_of(tmp_path, model={"backbone": {**BACKBONE, "blocks": [2]}})
    with pytest.raises(ConfigError, match=r"freeze: .*lacks \d+ tensors of the backbone.*stages\.0\.1"):
        tried_out(config, load_data(config, worker_of(tmp_path)))


def test_a_trial_can_be_read_again(tmp_path):
    config = config_of(tmp_path, model={"head": {"name": "cosine", "scale": 3.0}})
    assert validate(RunConfig, yaml.safe_load(yaml.safe_dump(config.as_dict()))) == config
