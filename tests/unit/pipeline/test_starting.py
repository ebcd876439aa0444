"""Trainings that start from the network of another run."""

import csv
import json
import logging
import shutil

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.loading import load_config, validate
from paddle_automl.data.items import CONTENT, ItemList, packed
from paddle_automl.paddle_compat.weights import load_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.frozen import weights_key
from paddle_automl.pipeline.jobs import check
from paddle_automl.pipeline.jobs.base import load_data, shared_of, start_executor
from paddle_automl.pipeline.jobs.check import CheckRequest
from paddle_automl.pipeline.jobs.networks import make_model
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.remembered import learned_before
from paddle_automl.pipeline.runs.starting import with_input_of_run
from paddle_automl.pipeline.settling import settled
from paddle_automl.pipeline.training import train_run
from paddle_automl.search.executors.base import Worker

SMALL = {
    "device": "cpu",
    "visualdl": False,
    "report": "none",
    "training": {"epochs": 2, "batch_size": 64, "optimizer": {"name": "adamw", "learning_rate": 0.02}},
}
BACKBONE = {"name": "resnet", "width": 4, "blocks": [1]}


def config_of(output, *, target="digit", start=None, model=None, **data):
    chosen = {"backbone": BACKBONE, "pretrained": None if start is None else str(start), **(model or {})}
    section = {"dataset": {"name": "digits", "target": target}, **data}
    return validate(RunConfig, {**SMALL, "output": str(output), "model": chosen, "data": section})


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A trained run."""
    folder = tmp_path_factory.mktemp("other") / "run"
    train_run(config_of(folder))
    return folder


def made(config, tmp_path):
    data = load_data(config, Worker("cpu", 1, None, lambda epoch, metrics: True))
    return make_model(config, data)


def test_the_same_classes_give_the_same_network(other, tmp_path, caplog):
    config = config_of(tmp_path, start=other)
    with caplog.at_level(logging.WARNING, logger="paddle_automl"):
        model = made(config, tmp_path)
    weights = load_weights(other / "best.pdparams")
    assert all(np.array_equal(tensor.numpy(), weights[name]) for name, tensor in model.state_dict().items())
    assert "the head is new" not in caplog.text


def test_other_classes_give_a_new_head_and_say_so(other, tmp_path, caplog):
    config = config_of(tmp_path, start=other, target="digit_and_parity")
    with caplog.at_level(logging.WARNING, logger="paddle_automl"):
        model = made(config, tmp_path)
    weights = load_weights(other / "best.pdparams")
    for name, tensor in model.state_dict().items():
        if name.startswith("backbone."):
            assert np.array_equal(tensor.numpy(), weights[name]), name
    assert model.outputs == 12
    assert "the head is new, because the classes or the head are others than there" in caplog.text
    assert model.loaded_names == {name for name in weights if name.startswith("backbone.")}


def test_a_training_and_a_frozen_one_from_there(other, tmp_path):
    frozen = {"freeze": "backbone", "feature_norm": "standard"}
    result = train_run(config_of(tmp_path / "new", start=other, target="digit_and_parity", model=frozen))
    assert result.input.mean == load_input(other).mean
    weights, theirs = load_weights(tmp_path / "new" / "best.pdparams"), load_weights(other / "best.pdparams")
    assert all(np.array_equal(weights[name], theirs[name]) for name in theirs if name.startswith("backbone."))


def load_input(folder):
    from paddle_automl.pipeline.runs.folder import RunFolder
    from paddle_automl.pipeline.runs.record import read_record

    return read_record(RunFolder(folder)).input


def test_its_preprocessing_comes_too(other, tmp_path):
    config = config_of(tmp_path, start=other, split={"validation": 0.4, "test": 0.1})
    with start_executor(config, 1, caching=False) as executor:
        found = settled(config, executor)
    assert found.data.input.mean == load_input(other).mean
    assert found.data.input.channels == 1
    assert with_input_of_run(found) == found
    with pytest.raises(ConfigError, match=r"input\.mean: must be .* where the weights come from, got \(0\.9,\)"):
        with_input_of_run(config_of(tmp_path, start=other, input={"mean": [0.9]}))


def listed_of(folder):
    found = ItemList.read(RunFolder(folder).splits)
    return [set(found.content[found.splits == number].tolist()) for number in range(3)]


def test_items_that_its_network_has_learned_are_for_training(other, tmp_path):
    """With another seed, other splits are drawn."""
    config = config_of(tmp_path / "new", start=other, split={"seed": 7})
    result = train_run(config)
    assert any("its network has learned" in note and "of the test split already" in note for note in result.notes)
    learned = listed_of(other)[0]
    train, validation, test = listed_of(tmp_path / "new")
    assert learned <= train
    assert validation
    assert test
    # Further trainings from there know it too, even where its own data were others.
    record = RunFolder(tmp_path / "new").splits
    record.write_text(json.dumps(ItemList.read(record).as_dict() | {"content": packed(np.arange(1797), CONTENT)}))
    assert set(learned_before([config_of(tmp_path, start=tmp_path / "new")]).tolist()) > learned


def test_the_splits_of_its_training_stay(other, tmp_path):
    result = train_run(config_of(tmp_path / "new", start=other))
    assert not any("its network has learned" in note for note in result.notes)
    assert listed_of(tmp_path / "new") == listed_of(other)


def test_a_start_from_what_has_learned_validation_is_refused(other, tmp_path):
    """As from the refit of a search on train+validation; a search has the same splits for all of its candidates."""
    whole = shutil.copytree(other, tmp_path / "whole")
    result = json.loads((whole / "result.json").read_text(encoding="utf-8"))
    (whole / "result.json").write_text(json.dumps({**result, "on": "train+validation"}), encoding="utf-8")
    config, worker = config_of(tmp_path / "new", start=whole), Worker("cpu", 1, None, lambda epoch, metrics: True)
    with pytest.raises(
        DataError, match=r"model\.pretrained: its network has learned all \d+ images of the validation"
    ):
        load_data(config, worker)
    plain = config_of(tmp_path / "new")
    load_data(plain, worker)
    with pytest.raises(DataError, match=r"model\.pretrained: its network has learned all"):
        check.run(CheckRequest(plain, (("a", config),), shared_of(plain)), worker)


def test_the_trainings_of_a_search_have_its_splits(other, tmp_path):
    """Such as a fine-tuning on all data, from the refit."""
    search = RunFolder(tmp_path / "search")
    shutil.copytree(other, search.refit.path)
    config = config_of(search.fine_tuned("all_data").path, start=search.refit.path)
    assert learned_before([config]) is not None
    search.study.touch()
    assert learned_before([config]) is None


def test_a_start_from_other_data_changes_nothing(other, tmp_path, caplog):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", x_train=rng.integers(0, 16, (90, 8, 8), dtype=np.uint8), y_train=np.arange(90) % 3)
    dataset, worker = {"name": "npz", "path": str(tmp_path / "a.npz")}, Worker("cpu", 1, None, lambda *_: True)
    with caplog.at_level(logging.WARNING, logger="paddle_automl"):
        found = [
            load_data(config_of(tmp_path, start=start, target="digit", dataset=dataset), worker)
            for start in (None, other)
        ]
    assert "learned" not in caplog.text
    for name in ("train", "validation", "test"):
        assert np.array_equal(*(getattr(data, name).indices for data in found))


def test_weights_of_another_architecture_are_refused(other, tmp_path):
    wide = {"backbone": {**BACKBONE, "width": 8}}
    with pytest.raises(ConfigError, match=r"was trained with model\.backbone: .*'width': 4.*got .*'width': 8"):
        made(config_of(tmp_path, start=other, model=wide), tmp_path)
    with pytest.raises(ConfigError, match=r"was trained with model\.activation: relu, got gelu; use the same"):
        made(config_of(tmp_path, start=other, model={"activation": "gelu"}), tmp_path)


def test_a_folder_without_a_network(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"model\.pretrained: .*empty.*: holds neither"):
        made(config_of(tmp_path / "new", start=tmp_path / "empty"), tmp_path)


def test_its_weights_are_part_of_the_features_key(other, tmp_path):
    config = config_of(tmp_path, start=other, model={"freeze": "backbone"})
    first = weights_key(config.model)
    content = (other / "best.pdparams").read_bytes()
    (other / "best.pdparams").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert weights_key(config.model) != first
    (other / "best.pdparams").write_bytes(content)
    assert weights_key(config.model) == first


def test_the_other_name_of_the_option(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("training: {init_from: output/other}\n", encoding="utf-8")
    assert load_config(RunConfig, file).model.pretrained == "output/other"
    file.write_text("training: {init_from: a}\nmodel: {pretrained: b}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"training\.init_from"):
        load_config(RunConfig, file)


def texts_of(folder, words, backbone, start=None):
    """The configuration of a training on texts of these words."""
    rng, folder = np.random.default_rng(0), folder / words[0]
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(" ".join(rng.choice(words, 6)), "ab"[number % 2]) for number in range(60)]
    with open(folder / "texts.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    dataset = {"name": "text_table", "file": str(folder / "texts.csv"), "text": "text", "label": "label"}
    model = {"backbone": backbone, "pretrained": None if start is None else str(start)}
    training = {"epochs": 1, "batch_size": 16}
    section = {"dataset": dataset, "input": {"name": "text", "ngrams": "words 1"}}
    run = {**SMALL, "output": str(folder / "run"), "training": training, "model": model, "data": section}
    return validate(RunConfig, run)


def test_the_vectors_of_other_words_are_refused(tmp_path):
    """Both vocabularies have the same size, so that the shapes of all tensors are equal."""
    hotel, sport = ("hotel", "room", "clean", "quiet"), ("goal", "match", "league", "player")
    network = {"name": "text_cnn", "filters": 4}
    first = texts_of(tmp_path, hotel, network)
    train_run(first)
    with pytest.raises(ConfigError, match=r"hotel.run: its tables belong to another vocabulary .* \(tokens\.txt\)"):
        made(texts_of(tmp_path, sport, network, start=first.folder), tmp_path)
    weights = load_weights(first.folder / "best.pdparams")
    model = made(texts_of(tmp_path, hotel, network, start=first.folder), tmp_path)
    assert all(np.array_equal(tensor.numpy(), weights[name]) for name, tensor in model.state_dict().items())


def test_a_linear_model_is_computed_from_the_texts_at_hand(tmp_path, caplog):
    first = texts_of(tmp_path, ("hotel", "room", "clean"), "linear_ngrams")
    train_run(first)
    with caplog.at_level(logging.INFO, logger="paddle_automl"):
        model = made(texts_of(tmp_path, ("goal", "match"), "linear_ngrams", start=first.folder), tmp_path)
    assert model.needs_solution
    assert "nothing is taken from it" in caplog.text
