"""Compressed trials: keys that may vary, what a trial's configuration keeps, what is refused."""

import pytest
import yaml

from paddle_automl.compression.config import CompressionConfig
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config, validate
from paddle_automl.pipeline.commands import export_run
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.trials import identity, standalone, trial_config
from paddle_automl.pipeline.space import baseline_of, make_space

PRUNE = {"name": "prune_filters", "ratio": 0.3}
SPACE = {
    "compression.steps.0.ratio": {"float": [0.2, 0.7]},
    "compression.precision": {"choice": ["float32", "int8"]},
}


def config_of(space=SPACE, **compression) -> RunConfig:
    chain = {"in_trials": True, "precision": "int8", "steps": [PRUNE], **compression}
    return validate(RunConfig, {"compression": chain, "search": {"space": space}})


def test_ratio_and_precision_are_choices(tmp_path):
    config = config_of()
    space = make_space(config)
    assert baseline_of(config, space) == {"compression.steps.0.ratio": 0.3, "compression.precision": "int8"}
    params = {"compression.steps.0.ratio": 0.5, "compression.precision": "float32"}
    trial = trial_config(config, space, params, tmp_path)
    assert [step.ratio for step in trial.compression.chain()] == [0.5]
    RunFolder(tmp_path).write_config(trial)
    assert load_config(RunConfig, tmp_path / "config.yaml") == trial


def test_the_kind_of_a_step_is_a_choice_too(tmp_path):
    space = {"compression.steps.0": {"prune_filters": {"ratio": {"float": [0.2, 0.7]}}, "distill": {}}}
    config = config_of(space)
    tree = make_space(config)
    trial = trial_config(config, tree, {"compression.steps.0": "distill"}, tmp_path)
    assert [step.name for step in trial.compression.chain()] == ["distill", "quantize_post"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"steps": [PRUNE]}, ["prune_filters"]),
        ({"steps": [PRUNE], "precision": "int8"}, ["prune_filters", "quantize_post"]),
        ({"steps": [PRUNE, "quantize_aware"], "precision": "int8"}, ["prune_filters", "quantize_aware"]),
        ({"steps": [PRUNE, "quantize_aware"], "precision": "float32"}, ["prune_filters"]),
        ({"precision": "int8"}, ["quantize_post"]),
        ({"precision": "float32"}, []),
        ({}, []),
    ],
)
def test_the_precision_closes_the_chain(options, names):
    assert [step.name for step in validate(CompressionConfig, options).chain()] == names


def test_a_chain_for_after_the_search_stays_out_of_trials(tmp_path):
    config = validate(RunConfig, {"compression": {"steps": [PRUNE]}})
    assert "compression" not in standalone(config, tmp_path)
    RunFolder(tmp_path).write_config(config)
    assert "compression" not in yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert not any(key.startswith("compression") for key in identity(config))


def test_the_chain_of_trials_belongs_to_what_a_study_is():
    found = identity(config_of(max_drop=0.5))
    assert found["compression.steps.0.ratio"] == 0.3
    assert found["compression.precision"] == "int8"
    assert "compression.max_drop" not in found


def test_formats_of_a_compressed_run_cannot_be_asked_for_later(tmp_path):
    params = {"compression.steps.0.ratio": 0.5, "compression.precision": "float32"}
    trial = trial_config(config_of(), make_space(config_of()), params, tmp_path)
    RunFolder(tmp_path).write_config(trial)
    (tmp_path / "best.pdparams").touch()
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"--formats: .* was compressed in its training"):
        export_run(tmp_path, formats=["onnx"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_space(config_of(in_trials=False)), r"only with compression\.in_trials: true"),
        (lambda: config_of(steps=[], precision=None), "in_trials: needs steps, or a precision"),
        (lambda: config_of(steps=["quantize_post", PRUNE]), "put prune_filters before quantize_post"),
        (lambda: config_of(precision="int4"), "precision"),
        (
            lambda: validate(
                RunConfig,
                {"compression": {"in_trials": True, "precision": "int8"}, "refit": {"data": "train+validation"}},
            ),
            r"refit\.data: must be train with compression\.in_trials",
        ),
        (
            lambda: baseline_of(config_of(precision=None), make_space(config_of(precision=None))),
            r"compression\.precision: None is not among",
        ),
    ],
)
def test_what_cannot_be_is_one_message(make, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert len(caught.value.issues) == 1
