"""Plots and VisualDL logs of a search whose metrics have names with signs of other languages in them."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from paddle_automl.cli.residuals import plot_residuals
from paddle_automl.core.errors import DataError
from paddle_automl.pipeline.jobs.base import check_names
from paddle_automl.pipeline.progress.plots import plot_curves, plot_history
from paddle_automl.pipeline.progress.visualdl_log import VisualDLLog
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import TrialRecord

NAMES = [r"$\bad{$", "$x_1$", "[bold]x", "a\x1b[31mb\u202e", "50 % off", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("name", NAMES)
def test_a_class_of_any_name_can_be_in_a_metric_that_is_drawn(tmp_path, name):
    key = f"recall[class={name}]"
    record = TrialRecord(number=0, state="complete", params={}, values=(0.5,), curve={1: 0.4, 2: 0.5})
    plot_history(
        [record], Objective.model_construct(metric=key, goal="maximize", limit=None), tmp_path / "history.png"
    )
    plot_curves([record], key, 0, tmp_path / "curves.png")
    plot_residuals({f"residuals.{name}": [[0.0, 1.0], [1.0, 2.0]]}, tmp_path / "residuals.png")
    for file in tmp_path.glob("*.png"):
        assert np.asarray(Image.open(file)).std() > 0
    log = VisualDLLog(tmp_path / "log", compared=[key])
    log.open("trial_0000", {"choice": name})
    log.write("trial_0000", 1, {key: 0.5})
    log.close_all()
    assert list((tmp_path / "log" / "trial_0000").iterdir())


@pytest.mark.parametrize("name", ["a\nb", "", "a\rb"])
def test_a_name_that_no_bundle_can_hold_is_told_before_anything_is_trained(tmp_path, name):
    data = SimpleNamespace(task=SimpleNamespace(names=("cat", name)))
    with pytest.raises(DataError, match=r"^data: the name of a class or a number must be one non-empty line"):
        check_names(data)
