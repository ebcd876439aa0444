"""Schedulers on learning curves, by hand and on a small file."""

import numpy as np
import pytest

from paddle_automl.benchmarks.command import main
from paddle_automl.benchmarks.search.curves import CURVES_FILE, CurveTask, curve_tasks, replay, scheduler_of
from paddle_automl.core.errors import DataError

# Ten configurations of four epochs; number 3 is the best at the end, number 9 diverges.
CURVES = np.linspace(1.0, 2.0, 10)[:, None] + np.array([1.0, 0.5, 0.2, 0.0])
CURVES[3] -= 1.0
CURVES[9, 2:] = np.nan


def test_regret_counts_the_best_epoch():
    task = CurveTask("t", CURVES)
    assert task.regret(CURVES[3, 3]) == 0.0
    assert task.regret(float(np.median(np.nanmin(CURVES, axis=1)))) == 1.0


def test_a_full_search_uses_all_epochs_and_finds_the_best():
    regrets, begun = replay(CurveTask("t", CURVES), scheduler_of("none"), trials=10, seed=0)
    assert begun == 10
    assert regrets[1.0] == 0.0
    assert regrets[0.25] >= regrets[0.5] >= 0.0


def test_stopping_begins_more_trials_in_the_same_epochs():
    rng = np.random.default_rng(0)
    ends = rng.random(300)
    task = CurveTask("t", ends[:, None] + 1.0 / np.arange(1, 28))
    full, few = replay(task, scheduler_of("none"), trials=20, seed=0)
    stopped, many = replay(task, scheduler_of("asha:reduction=3"), trials=20, seed=0)
    assert few < 30 < 100 < many
    assert stopped[1.0] < full[1.0]
    assert replay(task, scheduler_of("asha:reduction=3"), trials=20, seed=0) == (stopped, many)


def test_the_command(tmp_path, capsys):
    (tmp_path / "hpo").mkdir()
    np.savez(tmp_path / CURVES_FILE, tasks=np.array(["one", "two"]), valid_loss=np.stack([CURVES, CURVES + 1]))
    words = ["schedulers", "--data", str(tmp_path), "--seeds", "2", "--trials", "5", "--workers", "1"]
    assert main([*words, "--json", str(tmp_path / "r.json"), "--schedulers", "none,asha"]) == 0
    assert "asha: " in capsys.readouterr().out
    assert (tmp_path / "r.json").exists()
    assert main([*words, "--schedulers", "ahsa"]) == 2
    assert "did you mean 'asha'?" in capsys.readouterr().err
    with pytest.raises(DataError, match="cannot read the learning curves"):
        curve_tasks(tmp_path / "nowhere")
