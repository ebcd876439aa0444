"""The estimate of a dry run: what it trains, how often it reads the data, and what it keeps."""

from pathlib import Path

import numpy as np
import pytest

from paddle_automl.core.loading import validate
from paddle_automl.models.network import build_network
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs import timing
from paddle_automl.pipeline.jobs.base import Shared
from paddle_automl.pipeline.jobs.timing import PROCESS_S, TimeRequest, run
from paddle_automl.pipeline.runs.trials import standalone
from paddle_automl.search.executors.base import Worker
from paddle_automl.testing.backbones import image_input

BACKBONE = {"name": "resnet", "width": 4, "blocks": [1]}


@pytest.fixture(autouse=True)
def seen(tmp_path, monkeypatch):
    """What was loaded and trained, in this process; an epoch of the items that are timed takes 1 s."""
    found = {"loaded": 0, "trained": []}
    load = timing.load_data

    def loading(config, worker):
        found["loaded"] += 1
        return load(config, worker)

    def training(model, data, recipe, goal, start, **given):
        found["trained"].append((data.input.name, start, given["device"]))
        for epoch in (1, 2):
            given["report"](epoch, {"seconds": 1.0})

    monkeypatch.setattr(timing, "enter", lambda worker: None)
    monkeypatch.setattr(timing, "load_data", loading)
    monkeypatch.setattr(timing, "train", training)
    return found


def config_of(tmp_path, **sections):
    rng = np.random.default_rng(0)
    items = rng.integers(0, 256, (30, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x_train=items, y_train=np.arange(30) % 3)
    data = {"dataset": {"name": "npz", "path": str(tmp_path / "data.npz")}, **sections.pop("data", {})}
    model = {"backbone": BACKBONE, **sections.pop("model", {})}
    return validate(
        RunConfig, {"data": data, "model": model, "training": {"epochs": 3, "batch_size": 8}, **sections}
    )


def trial_of(config):
    return validate(RunConfig, standalone(config, Path("trials/0")))


def timed(config, *others):
    request = TimeRequest(config, tuple((str(n), item) for n, item in enumerate((config, *others))), Shared())
    return run(request, Worker("cpu", 1, None, lambda epoch, metrics: True))


@pytest.fixture
def weights(tmp_path):
    config = validate(RunConfig, {"model": {"backbone": BACKBONE}})
    path = tmp_path / "weights.pdparams"
    save_weights(path, build_network(config.model, image_input(1, 8, 8), 7, seed=5).state_dict())
    return str(path)


def test_only_the_head_of_a_frozen_backbone_is_timed(tmp_path, seen, weights):
    timed(config_of(tmp_path, model={"pretrained": weights, "freeze": "backbone"}))
    assert [name for name, _, _ in seen["trained"]] == ["features", "features"]


def test_a_network_is_trained_as_in_a_trial_after_its_frozen_epochs(tmp_path, seen, weights):
    timed(config_of(tmp_path, model={"pretrained": weights, "frozen_epochs": 2, "trained_stages": 1}))
    for name, start, device in seen["trained"]:
        assert (name, device, start.frozen_epochs, start.trained_stages) == ("image", "cpu", 0, 1)


def test_each_fold_has_a_network(tmp_path):
    one, two = (timed(config_of(tmp_path, data={"folds": folds})).smallest for folds in (None, 2))
    assert one.trial_s == pytest.approx(PROCESS_S + 3 * one.epoch_s, abs=0.3)
    assert two.trial_s == pytest.approx(PROCESS_S + 2 * 3 * two.epoch_s, abs=0.3)


def test_the_data_are_read_again_only_where_they_differ(tmp_path, seen, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = config_of(Path())
    # Trials name the paths in full.
    wide = trial_of(config_of(Path(), model={"backbone": {**BACKBONE, "width": 8}}))
    flipped = trial_of(config_of(Path(), data={"augment": ["horizontal_flip"]}))
    times = timed(config, wide, flipped)
    assert (times.smallest.label, times.largest.label) == ("0", "1")
    assert seen["loaded"] == 1
    larger = config_of(Path(), data={"input": {"size": 12}})
    assert timed(config, larger).largest.flops > times.smallest.flops
    # Once to measure its size, once to time it.
    assert seen["loaded"] == 1 + 1 + 2


@pytest.mark.parametrize(
    ("options", "steps"), [({}, 9), ({"steps_per_epoch": 2}, 2), ({"least_steps": 20}, 18), ({"least_steps": 9}, 9)]
)
def test_an_epoch_is_as_long_as_its_steps(tmp_path, monkeypatch, options, steps):
    """The items that are timed are one step here, of 1 s; there are 18 items for training."""
    monkeypatch.setattr(timing, "TIMED_BATCHES", 1)
    config = config_of(tmp_path, training={"epochs": 3, "batch_size": 2, **options})
    recipe = config.training
    assert recipe.for_items(18).epoch(18).steps == steps
    assert timed(config).smallest.epoch_s == steps
