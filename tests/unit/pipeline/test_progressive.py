"""Cheap first epochs in a search: as a choice, in the refit, and in the estimates of time."""

from types import SimpleNamespace

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.candidates import covering
from paddle_automl.pipeline.commands import what_fits
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.space import baseline_of, make_space
from paddle_automl.pipeline.stages.estimates import MARGIN, START_S, Estimates
from paddle_automl.pipeline.stages.refit import refit_config
from paddle_automl.search.records import TrialRecord
from paddle_automl.training.progressive import Progressive

CHEAP = {"epochs": 4, "data_fraction": 0.25, "resolution": 0.5}


def configured(space=None, refit=None, progressive=CHEAP, **options):
    training = {"epochs": 20, "progressive": progressive}
    space = space or {"training.progressive.data_fraction": {"choice": [0.25, 0.5, 1.0]}}
    data = {"training": training, "search": {"space": space}, "refit": refit or {}, **options}
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
    ("refit", "epochs", "expected"), [({}, 20, 0), ({"progressive": True}, 20, 4), ({"progressive": True}, 3, 2)]
)
def test_the_refit_sees_everything_unless_asked(refit, epochs, expected, tmp_path):
    config = configured(refit=refit, output=str(tmp_path))
    space = make_space(config)
    run = SimpleNamespace(config=config, space=space, folder=RunFolder(tmp_path))
    record = TrialRecord(number=0, params=baseline_of(config, space), state="complete")
    last = refit_config(run, record, epochs).training
    assert last.progressive.epochs == expected
    assert validate(type(last), last.model_dump(mode="json")) == last


@pytest.mark.parametrize(("epochs", "frozen", "thaw"), [(20, 8, 4), (40, 8, 4), (5, 2, 1), (1, 0, 0)])
def test_a_shorter_refit_has_fewer_frozen_epochs(epochs, frozen, thaw, tmp_path):
    model = {"pretrained": "weights.pdparams", "frozen_epochs": 8, "thaw_epochs": 4}
    config = configured(output=str(tmp_path), model=model)
    space = make_space(config)
    run = SimpleNamespace(config=config, space=space, folder=RunFolder(tmp_path))
    record = TrialRecord(number=0, params=baseline_of(config, space), state="complete")
    found = refit_config(run, record, epochs).model
    assert (found.frozen_epochs, found.thaw_epochs) == (frozen, thaw)


def test_time_is_estimated_by_whole_epochs():
    config = configured(budget={"time": 1000})
    estimates = Estimates(config)
    # 4 epochs at 0.25 * 0.5 * 0.5 and 16 whole ones.
    record = SimpleNamespace(number=0, curve={20: 0.9}, seconds=16.25)
    estimates.learn([record])
    assert estimates.refit() == pytest.approx(MARGIN * 20 * 1.0 + START_S)
    assert estimates.fitting_epochs(record, 988.0) == int((988 - START_S) / MARGIN)
    # A whole refit takes more than a trial that is cheap nearly to its end.
    long = configured(progressive={**CHEAP, "epochs": 18}, budget={"time": 1000})
    assert what_fits(config, 1, 10.0, 100.0).startswith("between 8 and 20")
    assert what_fits(long, 1, 10.0, 100.0).startswith("between 3 and 20")
