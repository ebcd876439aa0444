"""Trials as configurations: merging, identity, covering candidates, the metric of an epoch."""

from pathlib import Path

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config, validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.pipeline.candidates import corners, covering
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.trials import identity, needed_paths, standalone, trial_config
from paddle_automl.pipeline.space import auto_spec, baseline_of, first_given, make_space

SPACE = {
    "model.backbone": {
        "resnet": {"width": {"choice": [8, 16]}, "blocks": {"repeat": {"int": [1, 2]}, "times": {"int": [1, 2]}}},
        "vgg": {"width": {"choice": [8, 16]}},
    },
    "training.optimizer.learning_rate": {"log": [0.001, 0.5]},
}
BASE = {
    "output": "output/here",
    "model": {"backbone": {"name": "resnet", "width": 8, "blocks": [1, 1]}},
    "search": {"space": SPACE},
}


def config_of(**changes) -> RunConfig:
    return validate(RunConfig, {**BASE, **changes})


def test_a_trial_is_the_configuration_with_its_choices_and_without_a_search(tmp_path):
    config = config_of()
    space = make_space(config)
    params = {"model.backbone": "vgg", "model.backbone[vgg].width": 16, "training.optimizer.learning_rate": 0.1}
    trial = trial_config(config, space, params, tmp_path)
    assert trial.model.backbone.name == "vgg"
    assert trial.model.backbone.model_dump()["width"] == 16
    assert trial.search.space is None
    assert trial.training.optimizer.model_dump()["learning_rate"] == 0.1
    assert trial.data.split.seed == config.seed
    RunFolder(tmp_path).write_config(trial)
    text = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    assert "search:" not in text
    assert load_config(RunConfig, tmp_path / "config.yaml") == trial


def test_data_paths_of_a_trial_are_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = config_of(data={"dataset": {"name": "image_folder", "root": "my photos/花"}})
    root = standalone(config, Path("x"))["data"]["dataset"]["root"]
    assert root == str(tmp_path / "my photos" / "花")


def test_all_paths_of_a_trial_are_absolute_and_known_by_content(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    data = {
        "dataset": {"name": "text_list", "train": "a.txt"},
        "input": {"tokens": {"kind": "wordpiece", "file": "v.txt"}},
        "augment": [{"name": "text_replace", "unit": "words", "synonyms": "s.txt"}],
    }
    model = {"backbone": "text_cnn", "embedding": {"file": "e.vec"}}
    space = {"model.embedding.file": {"choice": ["e.vec", "f.vec"]}}
    sections = {"data": data, "model": model, "distillation": {"teacher": "t"}, "search": {"space": space}}
    config = validate(RunConfig, {"output": "x", **sections, "fine_tuning": {"augment": data["augment"]}})
    names = ["a.txt", "v.txt", "s.txt", "e.vec", "t"]
    assert needed_paths(config) == [*names, "s.txt"]
    paths = [str(tmp_path / name) for name in names]
    made = validate(RunConfig, standalone(config, Path("x")))
    assert needed_paths(made) == paths
    trial = trial_config(config, make_space(config), {"model.embedding.file": "f.vec"}, tmp_path)
    assert trial.model.embedding.file == str(tmp_path / "f.vec")
    for name in ("v.txt", "s.txt", "e.vec"):
        (tmp_path / name).write_text("a\n")
        first = identity(config)
        (tmp_path / name).write_text("b\n")
        second = identity(config)
        assert {key for key in first if first[key] != second[key]} == {f"content of {tmp_path / name}"}


def test_the_first_trial_is_the_configuration_itself():
    config = config_of()
    params = baseline_of(config, make_space(config))
    assert params == {
        "model.backbone": "resnet",
        "model.backbone[resnet].width": 8,
        "model.backbone[resnet].blocks.times": 2,
        "model.backbone[resnet].blocks.0": 1,
        "model.backbone[resnet].blocks.1": 1,
        "training.optimizer.learning_rate": 0.05,
    }


def test_a_value_outside_its_domain_stops_the_start_naming_key_and_domain():
    config = config_of(model={"backbone": {"name": "resnet", "width": 12, "blocks": [1]}})
    with pytest.raises(ConfigError, match=r"model.backbone.width: 12 is not among \[8, 16\]"):
        baseline_of(config, make_space(config))


def test_search_without_a_space_says_what_to_do():
    with pytest.raises(ConfigError, match=r"search.space: is not set.* train -c FILE"):
        make_space(validate(RunConfig, {}))


def test_covering_uses_every_option_once():
    config = config_of()
    space = make_space(config)
    found = covering(config, space, baseline_of(config, space))
    seen = {(name, value) for item in found for name, value in item.params.items()}
    for decision in space.decisions:
        for value in decision.domain.ends():
            assert (decision.name, value) in seen
    names = {item.config.model.backbone.name for item in corners(config, space)}
    assert names == {"resnet", "vgg"}


def test_all_items_of_a_repeated_list_are_covered_together():
    layers = [{"conv": 8}, {"pool": "max"}, {"dropout": 0.2}, {"conv": 16}]
    lists = {"layers": {"repeat": {"choice": layers}, "times": {"int": [2, 6]}}}
    space = {"model.backbone": {"resnet": {}, "layer_list": lists}}
    config = config_of(search={"space": space})
    parsed = make_space(config)
    found = covering(config, parsed, {"model.backbone": "resnet"})
    seen = {(name, value) for item in found for name, value in item.params.items()}
    for decision in parsed.decisions:
        for value in decision.domain.ends():
            assert (decision.name, value) in seen
    places = [decision for decision in parsed.decisions if decision.repeated]
    assert len(places) == 6
    assert all((decision.name, value) in seen for decision in places for value in decision.domain.stored)
    # The two backbones, the two lengths, and one candidate for each kind of layer.
    assert len(found) <= 2 + 2 + 4


def test_a_bad_option_is_named_once_with_its_key():
    space = {"model.backbone": {"resnet": {}, "vgg": {"blocks": {"choice": [[1], [2]]}}}}
    config = config_of(search={"space": space})
    with pytest.raises(ConfigError) as caught:
        covering(config, make_space(config), {"model.backbone": "resnet"})
    assert len(caught.value.issues) == 1
    assert "search.space.model.backbone: option 'vgg': model.backbone.blocks: unknown key" in str(caught.value)


def test_a_key_that_does_not_exist_is_found_before_the_first_trial():
    config = config_of(search={"space": {"training.epoch": {"int": [1, 2]}}})
    with pytest.raises(ConfigError, match=r"training\.epoch"):
        baseline_of(config, make_space(config))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"search": {"space": SPACE, "trials": 99, "workers": 1, "controller": "random_search"}}, True),
        ({"budget": {"time": 5}, "refit": {"epochs": 3}, "deployment": {"samples": 1}}, True),
        ({"seed": 1}, False),
        ({"training": {"epochs": 3}}, False),
        ({"data": {"augment": ["horizontal_flip"]}}, False),
        ({"model": {"backbone": {"name": "resnet", "width": 16, "blocks": [1, 1]}}}, False),
        ({"metric": "loss"}, False),
        ({"task": "multi_label"}, False),
    ],
)
def test_identity_is_what_changes_a_result(changes, same):
    assert (identity(config_of()) == identity(config_of(**changes))) is same


def test_auto_space_has_every_backbone_and_parses():
    config = validate(RunConfig, {"search": {"space": "auto"}})
    assert {"resnet", "vgg", "inception"} <= set(auto_spec()["model.backbone"])
    space = make_space(config)
    assert covering(config, space, baseline_of(config, space) or {})


def test_epoch_metric_follows_the_first_objective_that_has_epochs():
    def with_first(metric):
        return config_of(search={"space": SPACE, "objectives": [{"metric": metric}]})

    assert with_first("macro_f1").epoch_metric() == "macro_f1"
    assert with_first("latency_ms").epoch_metric() == "accuracy"
    assert config_of(metric="loss").epoch_metric() == "loss"
    # Of a sum what the network costs is the same in every epoch.
    assert with_first("accuracy - 1e-6 * parameters").epoch_metric() == "accuracy"
    assert config_of(metric={"metric": "recall", "class": "cat"}).epoch_metric() == "recall[class=cat]"


def test_epoch_metric_is_the_main_one_of_the_task():
    assert config_of(task="multi_label").epoch_metric() == "macro_f1"
    assert config_of(task="regression").epoch_metric() == "r2"
    assert config_of(task="regression", metric="mae").epoch_metric() == "mae"
    assert config_of(task="regression").epoch_metrics() == ("loss", "r2", "mae", "rmse", "accuracy")
    with pytest.raises(ConfigError, match="metric: must change with the epochs"):
        config_of(metric="latency_ms")
    with pytest.raises(ConfigError, match=r"metric: 'coverage' cannot be optimized: .* optimize 'interval_score'"):
        config_of(metric="coverage")


def test_auto_takes_the_backbones_of_the_input():
    assert set(auto_spec("image")["model.backbone"]) == set(auto_spec()["model.backbone"])
    with pytest.raises(ConfigError, match="auto finds no backbone that takes vectors input"):
        auto_spec("vectors")


def test_folds_and_compressed_trials_exclude_each_other():
    compression = {"in_trials": True, "precision": "int8"}
    with pytest.raises(ConfigError, match=r"data\.folds: cannot be used with compression\.in_trials"):
        config_of(data={"folds": 3}, compression=compression)


def text_config(**options):
    data = {"dataset": {"name": "text_table", "file": "texts.csv", "text": "text", "label": "label"}}
    backbone = {"name": "sum", "parts": {"linear": "linear_ngrams", "wide": "none", "bag": "none", "net": "none"}}
    training = {"optimizer": {"name": "adamw", "learning_rate": 0.002}}
    values = {"data": data, "model": {"backbone": backbone}, "training": training, "search": {"space": "auto"}}
    return validate(RunConfig, with_overrides(values, options))


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"data.input.ngrams": "words"}, "data.input.ngrams"),
        ({"data.input.ngrams": ["characters 1-2"]}, "data.input.ngrams"),
        ({"model.backbone.parts.linear.C": 10.0}, "model.backbone[sum].parts.linear"),
        ({"training.optimizer.learning_rate": 0.04}, "training.optimizer.learning_rate"),
    ],
)
def test_auto_space_leaves_values_outside_of_its_domains_as_they_are(options, kept):
    config = text_config(**options)
    space = make_space(config)
    assert not any(decision.name.startswith(kept) for decision in space.decisions)
    assert baseline_of(config, space) is not None
    wanted = text_config()
    assert 0 < len(first_given(config, space)) <= len(first_given(wanted, make_space(wanted)))
    assert covering(config, space, baseline_of(config, space))


def test_auto_space_of_numbers_has_no_option_of_classes_alone():
    classes, numbers = text_config(), text_config(task="regression")
    name = "model.backbone[sum].parts.linear[linear_ngrams]"
    found = [{decision.name for decision in make_space(config).decisions} for config in (classes, numbers)]
    assert found[0] - found[1] == {f"{name}.model"}
    assert f"{name}.C" in found[1]
    assert baseline_of(numbers, make_space(numbers)) is not None
    assert first_given(numbers, make_space(numbers))
    assert make_space(text_config()).decisions == make_space(classes).decisions


def test_auto_space_searches_around_stated_values_inside_of_its_domains():
    config = text_config(**{"data.input.ngrams": "characters_and_words"})
    assert baseline_of(config, make_space(config))["data.input.ngrams"] == "characters_and_words"
