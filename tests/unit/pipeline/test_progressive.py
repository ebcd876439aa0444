"""Cheap first epochs in a search: as a choice, in the last training, and in the estimates of time."""

from types import SimpleNamespace

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.candidates import covering
from paddle_automl.pipeline.commands import what_fits
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.space import baseline_of, make_space
from paddle_automl.pipeline.stages.clock import MARGIN, Clock
from paddle_automl.pipeline.stages.finishing import Finish
from paddle_automl.search.records import TrialRecord
from paddle_automl.training.progressive import Progressive

CHEAP = {"epochs": 4, "data_share": 0.25, "resolution": 0.5}


def configured(space=None, final=None, progressive=CHEAP, **options):
    training = {"epochs": 20, "progressive": progressive}
    space = space or {"training.progressive.data_share": {"choice": [0.25, 0.5, 1.0]}}
    data = {"training": training, "search": {"space": space}, "final": final or {}, **options}
    return validate(RunConfig, data)


def test_it_is_a_legal_choice_of_a_search():
    config = configured({f"training.progressive.{key}": {"choice": [value, 1]} for key, value in CHEAP.items()})
    space = make_space(config)
    found = {item.config.training.progressive for item in covering(config, space, baseline_of(config, space))}
    assert Progressive(**{**CHEAP, "epochs": 1}) in found
    assert {item.resolution for item in found} == {0.5, 1.0}


def test_a_choice_that_leaves_no_whole_epoch_is_named():
    config = configured({"training.epochs": {"choice": [4, 20]}})
    space = make_space(config)
    with pytest.raises(ConfigError, match=r"option 4: .*progressive\.epochs must be less than epochs=4"):
        covering(config, space, baseline_of(config, space))


@pytest.mark.parametrize(
    ("final", "epochs", "expected"), [({}, 20, 0), ({"progressive": True}, 20, 4), ({"progressive": True}, 3, 2)]
)
def test_the_last_training_sees_everything_unless_asked(final, epochs, expected, tmp_path):
    config = configured(final=final, output=str(tmp_path))
    finish = Finish(config, Clock(config), SimpleNamespace(), SimpleNamespace(), make_space(config), None)
    record = TrialRecord(number=0, params=baseline_of(config, make_space(config)), state="complete")
    last = finish._final_config(record, epochs).training
    assert last.progressive.epochs == expected
    assert validate(type(last), last.model_dump(mode="json")) == last


def test_time_is_estimated_by_whole_epochs():
    config = configured(budget={"time": 1000})
    clock = Clock(config)
    # 4 epochs at 0.25 * 0.5 * 0.5 and 16 whole ones.
    record = SimpleNamespace(curve={20: 0.9}, seconds=16.25)
    clock.learn([record])
    assert clock.reserve == pytest.approx(MARGIN * 20 * 1.0 + 12.0)
    assert clock.fitting_epochs(record) == pytest.approx((1000 - 12) / MARGIN, abs=2)
    # A whole last training takes more than a trial that is cheap nearly to its end.
    long = configured(progressive={**CHEAP, "epochs": 18}, budget={"time": 1000})
    assert what_fits(config, 1, 10.0, 100.0).startswith("between 8 and 20")
    assert what_fits(long, 1, 10.0, 100.0).startswith("between 3 and 20")
