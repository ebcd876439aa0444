"""The shipped first trials: what they are for given data and time, and how a configuration takes them."""

from pathlib import Path

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config, read_config, validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.settle import SettleResult
from paddle_automl.pipeline.portfolio.applying import told, with_first_trials
from paddle_automl.pipeline.portfolio.reading import ImageFacts, first_trials, shipped
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.space import baseline_of, first_given, make_space

FILE = Path(__file__).parents[3] / "configs/images.yaml"
TASK = {"name": "single_label", "names": [str(number) for number in range(10)]}


def facts(shape=(3, 32, 32), items=5000, **options):
    return validate(SettleResult, {"task": TASK, "items": items, "shape": list(shape), **options})


def settled(shape=(3, 32, 32), items=5000, processor=("avx512_bf16",), searching=True, **changes):
    config = load_config(RunConfig, FILE, changes)
    return with_first_trials(config, facts(shape, items, processor=list(processor)), searching=searching)


def seen(config, items):
    return config.training.epochs * items


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 8, 8), (3, 40, 64)])
@pytest.mark.parametrize("items", [100, 1000, 50_000])
def test_every_kind_of_data_has_trials_in_the_space_of_the_shipped_configuration(shape, items):
    config = settled(shape, items)
    space = make_space(config)
    own, given = baseline_of(config, space), first_given(config, space)
    assert len({space.canonical_key(params) for params in [own, *given]}) >= 4


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)])
def test_whether_to_mirror_is_decided_by_the_first_two_trials(shape):
    config = settled(shape)
    kinds = {config.data.augment[0].name, config.search.first[0]["data.augment.0"]["name"]}
    assert kinds == {"alternating_flip", "horizontal_flip"}
    assert list(config.search.first[0]) == ["data.augment.0"]


def test_grey_pictures_which_may_be_letters_are_not_mirrored_first():
    first = settled((1, 28, 28)).data.augment[0]
    assert (first.name, first.probability) == ("horizontal_flip", 0.0)


def test_a_configuration_that_knows_its_pictures_decides_on_mirroring_itself():
    config = load_config(RunConfig, FILE.with_name("fashion_mnist.yaml"))
    config = with_first_trials(config, facts((1, 28, 28), 54_000))
    assert config.data.augment[0].name == "alternating_flip"
    flips = [change["data.augment.0"] for change in config.search.first if "data.augment.0" in change]
    assert all(flip["name"] == "alternating_flip" for flip in flips)


def test_more_time_means_longer_trials_and_then_wider_networks():
    found = [settled(items=5000, **{"budget.time": time}) for time in ("1min", "5min", "30min")]
    widths = [config.model.backbone.width for config in found]
    work = [seen(config, 5000) * width**2 for config, width in zip(found, widths, strict=True)]
    assert work == sorted(set(work))
    assert widths[0] == 0.25
    assert widths == sorted(widths)
    assert widths[-1] > widths[0]


def test_a_wide_network_needs_some_epochs_over_the_images():
    bf16 = frozenset({"avx512_bf16"})
    found = [first_trials(ImageFacts((3, 32, 32), items, bf16), 900.0) for items in (10_000, 50_000)]
    assert [trials.values["model.backbone.width"] for trials in found] == [1.0, 0.5]


def test_a_faster_processor_sees_more_images_of_a_network():
    found = [
        first_trials(ImageFacts((3, 32, 32), 5000, frozenset(flags)), 60.0)
        for flags in ([], ["avx512_bf16"], ["avx512_bf16", "amx_bf16"])
    ]
    assert [trials.values["model.backbone.width"] for trials in found[:2]] == [0.25, 0.25]
    widths = [trials.values["model.backbone.width"] for trials in found]
    assert found[0].recipe["training.epochs"] < found[1].recipe["training.epochs"]
    assert found[1].recipe["training.epochs"] < found[2].recipe["training.epochs"] or widths[1] < widths[2]


def test_trials_have_at_least_the_fewest_epochs():
    found = first_trials(ImageFacts((3, 64, 64), 50_000), 60.0)
    assert found.recipe["training.epochs"] == shipped().trial.least_epochs


def test_few_images_have_small_batches():
    assert settled(items=500).training.batch_size < settled(items=50_000).training.batch_size


def test_a_refit_on_few_images_ends_sooner_and_on_many_has_a_lower_rate():
    found = [settled(items=items).refit for items in (500, 10_000, 50_000)]
    assert [(refit.most_epochs, refit.rate_power) for refit in found] == [(None, 0.0), (40, 0.0), (None, 0.5)]
    stated = settled(items=50_000, **{"refit.rate_power": 0.25, "refit.most_epochs": 30}).refit
    assert (stated.most_epochs, stated.rate_power) == (30, 0.25)


def test_what_the_configuration_states_stays():
    config = settled(**{"training.epochs": 7, "training.batch_size": 33})
    assert (config.training.epochs, config.training.batch_size) == (7, 33)
    assert "7 epochs with batches of 33" in told(config)


def test_a_training_without_a_search_keeps_its_own_values():
    stated = {"model.backbone.width": 1.0, "budget.time": "30min"}
    found, own = settled(items=5000, searching=False, **stated), load_config(RunConfig, FILE, stated)
    assert (found.model, found.data, found.training.optimizer) == (own.model, own.data, own.training.optimizer)
    assert found.search.first == ()
    assert found.training.epochs == settled(items=5000, **stated).training.epochs


def test_a_narrower_space_leaves_out_what_it_does_not_hold():
    narrow = {"model.backbone.width": {"choice": [0.125, 0.375]}}
    data, _ = read_config(FILE, {"model.backbone.width": 0.375})
    data["search"]["space"] = narrow
    config = with_first_trials(validate(RunConfig, data), facts(processor=["avx512_bf16"]))
    assert config.model.backbone.width == 0.375
    assert config.search.first == ()
    assert baseline_of(config, make_space(config)) == {"model.backbone.width": 0.375}


def test_a_list_of_first_trials_is_left_as_it_is():
    own = [{"model.backbone.width": 1.0}]
    config = load_config(RunConfig, FILE, {"search.first": own})
    assert with_first_trials(config, facts()) is config


def test_a_continued_search_keeps_its_trials_whatever_the_budget(tmp_path):
    begun = settled(**{"output": str(tmp_path), "budget.time": "1min"})
    folder = RunFolder(tmp_path)
    folder.study.touch()
    folder.write_search(begun)
    config = load_config(RunConfig, FILE, {"output": str(tmp_path), "budget.time": "30min"})
    again = with_first_trials(config, facts(processor=["avx512_bf16"]))
    assert again.training == begun.training
    assert (again.model, again.data, again.search.first) == (begun.model, begun.data, begun.search.first)
    fresh = with_first_trials(config, facts(processor=["avx512_bf16"]), fresh=True)
    assert fresh.training.epochs > begun.training.epochs


@pytest.mark.parametrize(
    ("changes", "shape", "reason"),
    [
        ({}, None, "search.first: auto is for images"),
        ({"search.space": "auto"}, [3, 32, 32], "search.first: auto needs a written search.space"),
    ],
)
def test_data_and_spaces_that_it_cannot_serve_are_named(changes, shape, reason):
    data, _ = read_config(FILE, {})
    config = validate(RunConfig, with_overrides(data, changes))
    found = validate(SettleResult, {"task": TASK, "items": 10, "shape": shape})
    with pytest.raises(ConfigError, match=reason):
        with_first_trials(config, found)
