"""A finished training learns new images and classes; its folder does not change."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import BundleError, ConfigError, DataError, OutputError
from paddle_automl.core.loading import validate
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.paddle_compat.weights import load_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.evaluation import evaluation_of
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.refitting import refit_config, refit_run
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.pipeline.runs.sources import open_run
from paddle_automl.pipeline.training import train_run

COLORS = {"red": (200, 30, 30), "sea": (30, 30, 200), "grass": (30, 200, 30)}
"""Classes by color, a network's first lesson; the new one comes first by name."""


def photos(root, classes, seed):
    rng = np.random.default_rng(seed)
    for name, count in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = np.clip(np.array(COLORS[name]) + rng.integers(-30, 30, (12, 12, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{seed}-{number:02d}.png")
    return root


def config_of(root, output, **sections):
    given = {
        "device": "cpu",
        "visualdl": False,
        "report": "none",
        "data": {"dataset": {"name": "image_folder", "root": str(root)}, "input": {"size": 12}},
        "model": {"backbone": {"name": "resnet", "width": 4, "blocks": [1]}},
        "training": {"epochs": 4, "batch_size": 8, "optimizer": {"name": "adamw", "learning_rate": 0.02}},
        "deployment": {"latency": {"runs": 2, "warmup": 1}},
    }
    return validate(RunConfig, {**given, **sections, "output": str(output)})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with photos in old and new, and a training on the old ones."""
    folder = tmp_path_factory.mktemp("refit")
    photos(folder / "old", {"red": 15, "sea": 15}, 0)
    new = photos(folder / "new", {"grass": 15, "sea": 5}, 1)
    shutil.copy(folder / "old" / "sea" / "0-00.png", new / "sea" / "copy.png")
    train_run(config_of(folder / "old", folder / "out"))
    return folder


class Heard(Observer):
    def __init__(self):
        self.texts = []

    def on_message(self, message):
        self.texts.append(message)


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_refit_is_compared_exported_and_refitted_again(run, tmp_path):
    before, heard = content(run / "out"), Heard()
    outcome = refit_run(run / "out", run / "new", tmp_path / "more", heard, epochs=4)
    assert content(run / "out") == before
    found = outcome.comparison
    assert found.new_classes == ("grass",)
    shares = (found.before, found.after, found.new_items, found.new_class_items)
    assert [share.items for share in shares] == [6, 6, 1, 3]
    assert found.total.items == 10
    assert found.remembered.items == 6
    assert found.remembered.accuracy >= found.after.accuracy
    assert found.before.accuracy == evaluation_of(run / "out", "test").result.metrics["accuracy"]
    assert found.total.accuracy == pytest.approx(outcome.bundle.metrics["test"]["accuracy"], abs=1e-4)
    assert found.total.accuracy > 0.8
    assert json.loads((tmp_path / "more" / "comparison.json").read_text())["total"]["items"] == 10
    assert outcome.bundle.verified
    assert Bundle.open(tmp_path / "more" / "model").task.names == ("red", "sea", "grass")
    assert any("1 image is in the old data already" in text for text in heard.texts)
    # Its results are data of a run as any: they are evaluated, and grow once more.
    assert evaluation_of(tmp_path / "more", "test").result.items == 10
    other = evaluation_of(tmp_path / "more", overrides={"data.dataset.root": str(run / "new")})
    assert (other.split, other.result.items) == ("all", 21)
    photos(tmp_path / "third", {"red": 5}, 2)
    again = refit_run(tmp_path / "more", tmp_path / "third", epochs=1)
    assert again.training.folder == tmp_path / "more_refit"
    assert (again.comparison.before.items, again.comparison.total.items) == (10, 11)
    assert again.comparison.before.accuracy == found.total.accuracy


def test_a_frozen_backbone_keeps_its_weights(run, tmp_path):
    model = {
        "backbone": {"name": "resnet", "width": 4, "blocks": [1]},
        "pretrained": str(run / "out"),
        "freeze": "backbone",
        "feature_norm": "standard",
    }
    train_run(config_of(run / "old", tmp_path / "head", model=model))
    features = tmp_path / "head" / "cache" / "features"
    (file,) = features.glob("*.npy")
    marked = np.load(file) + 1
    np.save(file, marked)
    outcome = refit_run(tmp_path / "head", run / "new")
    # Those of old images are taken from there, by content.
    (found,) = (tmp_path / "head_refit" / "cache" / "features").glob("*.npy")
    assert np.array_equal(np.load(found)[:30], marked)
    assert len(np.load(found)) == 51
    assert outcome.training.epochs_run == 4
    assert outcome.bundle.verified
    weights, theirs = (load_weights(path / "best.pdparams") for path in (tmp_path / "head_refit", run / "out"))
    assert all(np.array_equal(weights[name], theirs[name]) for name in theirs if name.startswith("backbone."))
    assert weights["fc.bias"].shape == (3,)


@pytest.mark.slow
def test_a_linear_head_keeps_its_old_outputs_where_only_classes_are_new(run, tmp_path):
    given = config_of(run / "old", tmp_path / "head").as_dict()
    given["model"] |= {"pretrained": str(run / "out"), "freeze": "backbone", "feature_norm": "standard"}
    train_run(validate(RunConfig, given), on="train+validation")
    photos(tmp_path / "new", {"grass": 15}, 3)
    outcome = refit_run(tmp_path / "head", tmp_path / "new")
    before, after = (load_weights(path / "best.pdparams") for path in (tmp_path / "head", tmp_path / "head_refit"))
    for name, array in before.items():
        assert np.array_equal(after[name][..., : array.shape[-1]] if name.startswith("fc.") else after[name], array)
    assert after["fc.bias"].shape == (3,)
    found = outcome.comparison
    assert found.remembered.accuracy == found.before.accuracy
    assert found.new_class_items.accuracy == 1
    assert not any("lowered by -0.00" in note for note in outcome.training.notes)
    assert outcome.bundle.verified


def test_the_configuration_is_short_and_reads_images_as_before(run, tmp_path):
    found = refit_config(open_run(run / "out"), str(run / "new"), tmp_path / "x", overrides={"seed": 5})
    assert found.training.epochs == 2
    assert found.seed == 5
    assert found.model.pretrained == str(run / "out")
    assert found.data.input.size == (12, 12)
    assert found.data.dataset.added == (str(run / "new"),)
    same = refit_config(open_run(run / "out"), str(run / "old"), tmp_path / "x")
    assert same.data.dataset.added == ()


def test_steps_that_the_time_of_a_search_cut_come_back(run, tmp_path):
    search = RunFolder(tmp_path)
    shutil.copytree(run / "out", search.trial(0).path)
    search.study.touch()
    trial = open_run(search.trial(0).path)
    search.write_search(trial.config)
    short = trial.config.training.model_copy(update={"epochs": 2, "steps_per_epoch": 1})
    trial.folder.write_config(trial.config.model_copy(update={"training": short}))
    found = refit_config(open_run(trial.folder.path), str(run / "new"), tmp_path / "x").training
    assert (found.epochs, found.steps_per_epoch) == (1, None)


def test_data_that_do_not_fit_are_named(run, tmp_path):
    def refused(error, match, data=run / "new", **overrides):
        with pytest.raises(error, match=match):
            refit_config(open_run(run / "out"), str(data), tmp_path / "x", overrides=overrides)

    refused(DataError, r"--data .*gone: is not a folder", run / "gone")
    refused(ConfigError, r"one of this folder and the old data's .* lies in the other", run / "old" / "sea")
    refused(ConfigError, r"one of this folder and the old data's .* lies in the other", run)
    moved = {"data.dataset.root": str(run / "moved")}
    refused(DataError, r"folder '.*moved' does not exist; say where.*-o data\.dataset\.root=PATH", **moved)
    digits = {"data.dataset": {"name": "digits"}, "data.input": "auto"}
    refused(ConfigError, r"adds a folder of images .* trained on 'digits'", **digits)


def test_moved_data_are_found_by_an_override(run, tmp_path):
    shutil.copytree(run / "old", tmp_path / "moved")
    outcome = refit_run(
        run / "out", run / "new", tmp_path / "x", epochs=1, overrides={"data.dataset.root": str(tmp_path / "moved")}
    )
    assert outcome.comparison.before.items == 6


def test_other_places_and_runs_are_refused(run, tmp_path):
    outside = r"--to .*: must be outside of '.*out', which a refit does not change"
    for target in (run / "out", run / "out" / "inside", run):
        with pytest.raises(OutputError, match=outside):
            refit_run(run / "out", run / "new", target)
    with pytest.raises(BundleError, match=r"new: holds no training .* name the output folder of a search or of"):
        refit_run(run / "new", run / "new")
    shutil.copytree(run / "out", tmp_path / "early")
    (tmp_path / "early" / "splits.json").unlink()
    with pytest.raises(BundleError, match=r"does not say which items were in which split .*train it again"):
        refit_run(tmp_path / "early", run / "new")
    assert not (tmp_path / "early_refit").exists()
    record = json.loads((run / "out" / "result.json").read_text())
    assert read_record(open_run(run / "out").folder).on == record["on"] == "train"
