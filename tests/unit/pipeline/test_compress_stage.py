"""How much time the compression after a search is given."""

import time
from types import SimpleNamespace

import pytest

from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.stages.compress import NO_TIME, Compress
from paddle_automl.pipeline.stages.estimates import Estimates


def run_of(minutes, steps, export_s=None):
    config = validate(
        RunConfig,
        {"data": {"dataset": "digits"}, "budget": {"time": f"{minutes}min"}, "compression": {"steps": steps}},
    )
    heard = []
    observer = SimpleNamespace(on_message=heard.append)
    return SimpleNamespace(
        config=config, estimates=Estimates(config, export_s=export_s), observer=observer, heard=heard
    )


@pytest.mark.parametrize(
    ("minutes", "export_s", "seconds"), [(2, None, 0), (2, 5, 30), (2, 20, 0), (10, None, 72), (60, 20, 138)]
)
def test_8_bits_get_some_exports_or_a_quarter_of_the_time_if_that_is_half_of_them(minutes, export_s, seconds):
    assert Compress().seconds(run_of(minutes, ["quantize_post"], export_s)) == pytest.approx(seconds)


def test_a_chain_with_trainings_gets_a_quarter():
    assert Compress().seconds(run_of(2, ["prune_filters", "quantize_post"])) == 30


def test_8_bits_are_not_begun_without_time_for_them():
    run = run_of(2, ["quantize_post"], export_s=10)
    assert Compress().work(run, time.monotonic() + 20) is None
    assert run.heard == [NO_TIME]
