"""What the command evaluate prints and draws; the figures themselves are tested where they are made."""

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from paddle_automl import api
from paddle_automl.cli.evaluate import _cell, main, print_evaluation
from paddle_automl.cli.residuals import plot_residuals
from paddle_automl.core import moved
from paddle_automl.core.errors import ConfigError
from paddle_automl.pipeline import evaluation
from paddle_automl.pipeline.evaluation import EvaluationOutcome
from paddle_automl.pipeline.jobs.evaluate import EvaluateResult, TableResult

TABLE = TableResult(
    title="per class", columns=("class", "F1", "support"), rows=(("[red]a\x1b", 0.5, 3), ("b", None, 0))
)


def outcome(**changes) -> EvaluationOutcome:
    facts = {
        "items": 3,
        "word": "text",
        "metrics": {"accuracy": 0.5, "loss": float("nan")},
        "data": {"per_class": []},
        "tables": (TABLE,),
        "worst_mistakes": ({"index": 0},),
        "points": {},
    }
    return EvaluationOutcome("all", "a note", {"run": "x"}, EvaluateResult(**{**facts, **changes}))


def test_tables_are_printed_as_they_are(capsys):
    print_evaluation(Console(width=100), outcome())
    printed = capsys.readouterr().out
    assert "note: a note" in printed
    assert "all items, 3 texts: accuracy 0.5000, loss nan" in printed
    assert "[red]a\\x1b" in printed
    assert "0.5000" in printed
    assert " . " in printed


def test_programs_get_figures_and_mistakes_but_no_tables():
    assert outcome().as_dict() == {
        "split": "all",
        "note": "a note",
        "run": "x",
        "texts": 3,
        "metrics": {"accuracy": 0.5, "loss": None},
        "per_class": [],
        "worst_mistakes": [{"index": 0}],
    }


def test_a_picture_has_a_row_for_each_column(tmp_path):
    pairs = np.random.default_rng(0).normal(size=(20, 2)).tolist()
    plot_residuals({"residuals": pairs}, tmp_path / "one.png")
    plot_residuals({"residuals.a": pairs, "residuals.b": pairs}, tmp_path / "two.png")
    one, two = (Image.open(tmp_path / f"{name}.png").size for name in ("one", "two"))
    assert two == (one[0], 2 * one[1])


def evaluated(monkeypatch):
    """Return the list that receives the split of every evaluation, none of which is run."""
    splits = []
    monkeypatch.setattr(moved, "_warned", set())
    monkeypatch.setattr(evaluation, "evaluation_of", lambda path, split, **_: splits.append(split) or outcome())
    return splits


def test_the_old_name_of_the_split_works_with_a_warning(monkeypatch, caplog):
    splits = evaluated(monkeypatch)
    assert main(["-m", "run", "--split", "test"]) == 0
    assert caplog.records == []
    assert main(["-m", "run", "--part", "all"]) == 0
    assert "the argument '--part' is now '--split'" in caplog.text
    assert splits == ["test", "all"]


def test_the_old_name_of_the_split_works_in_python(monkeypatch, caplog):
    splits = []
    monkeypatch.setattr(moved, "_warned", set())
    monkeypatch.setattr(api, "evaluate_model", lambda path, split, **_: splits.append(split) or {})
    for _ in range(2):
        api.evaluate("run", part="validation")
    assert [record.getMessage() for record in caplog.records] == [
        "the argument 'part' is now 'split'; the old name still works in this version"
    ]
    with pytest.raises(ConfigError, match="keep 'split'"):
        api.evaluate("run", "test", part="validation")
    assert splits == ["validation"] * 2


def test_the_old_name_of_the_split_beside_the_new_one_is_a_mistake(monkeypatch, capsys):
    splits = evaluated(monkeypatch)
    assert main(["-m", "run", "--part", "all", "--split", "test"]) == 2
    assert "keep '--split'" in capsys.readouterr().err
    assert splits == []


@pytest.mark.parametrize("path", ["picture.jpg", "folder.png"])
def test_a_picture_goes_to_a_png_file(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    assert main(["-m", "nowhere", "--plot", path]) == 2
    assert f"--plot {path}: must name a .png file" in capsys.readouterr().err


def test_small_errors_are_printed_with_digits():
    assert [_cell(value) for value in (2.34567e-7, 0.98765, 0.0)] == ["2.346e-07", "0.9877", "0.0000"]
