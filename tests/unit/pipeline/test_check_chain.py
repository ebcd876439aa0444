"""The chain of compression after a search is tried before the first trial."""

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import load_data
from paddle_automl.pipeline.jobs.check import check_chain
from paddle_automl.search.executors.base import Worker

WORKER = Worker("cpu", 1, None, lambda epoch, metrics: True)
SMALL = {"name": "resnet", "width": 4, "blocks": [1]}


def config_of(*steps, backbone=SMALL, **changes):
    chain = {"compression": {"steps": list(steps), **changes}}
    return validate(RunConfig, {"model": {"backbone": backbone}, **chain})


@pytest.fixture(scope="module")
def data():
    return load_data(config_of(), WORKER)


def int8(*skip):
    return {"name": "quantize_post", "skip": skip}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["prune_filters", int8("no*")], r"^compression\.steps\.1: quantize_post\.skip: no layer is called 'no\*'"),
        ([int8("*")], r"^compression\.steps: quantize_post: the network has no layer that"),
        (["compact_tables"], r"^compression\.steps\.0: compact_tables needs a network that takes text input"),
    ],
)
def test_a_mistake_stops_the_search_before_it_begins(data, steps, message):
    config = config_of(*steps)
    with pytest.raises(ConfigError, match=message):
        check_chain(config, [config], data, WORKER)
    # In trials it is checked with each of them.
    check_chain(config_of(*steps, in_trials=True), [config], data, WORKER)


def test_a_chain_that_fits_some_backbones_is_a_warning(data, caplog):
    config = config_of(int8("backbone.stages.2*"))
    with pytest.raises(ConfigError, match="no layer is called"):
        check_chain(config, [config], data, WORKER)
    check_chain(config, [config, config_of(backbone="mobilenet")], data, WORKER)
    (text,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert text.startswith("compression.steps: does not fit every backbone of the search space: resnet: ")


def test_trials_that_do_not_exist_yet_may_teach(data, caplog):
    best = {"name": "distill", "best_trials": 3, "teacher": []}
    check_chain(config_of(best, int8("backbone.stem*")), [], data, WORKER)
    assert caplog.records == []
