"""The command `refit`, as a user calls it."""

import pytest

from paddle_automl.cli.common import BAD_INPUT
from paddle_automl.cli.refit import main
from paddle_automl.pipeline.training import train_run
from tests.e2e.conftest import run_tool
from tests.unit.pipeline.test_refitting import config_of, photos


def test_new_images_and_a_new_class(tmp_path):
    photos(tmp_path / "old", {"red": 15, "sea": 15}, 0)
    photos(tmp_path / "new", {"grass": 15, "sea": 5}, 1)
    output = tmp_path / "out"
    train_run(config_of(tmp_path / "old", output))
    ran = run_tool("refit", output, "--data", tmp_path / "new", "--epochs", 3)
    assert ran.code == 0, ran.err
    for line in (
        "20 new images: 12 for training, 4 for validation, 4 for test",
        "old test split, before: accuracy ",
        "old test split, after: accuracy ",
        "new items of old classes: accuracy ",
        "new classes (grass): accuracy ",
        "total: accuracy ",
        "verified",
    ):
        assert line in ran.out, ran.out
    assert (tmp_path / "out_refit" / "model" / "bundle.yaml").is_file()
    # A finished refit is put aside, as by a training.
    again = run_tool("refit", output, "--data", tmp_path / "new", "--epochs", 1)
    assert again.code == 0, again.err
    assert "the earlier results in" in again.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["nowhere", "--data", "new"],
            "nowhere: does not exist (config.yaml is missing); name the output folder of a search",
        ),
        (["nowhere", "--data", "new", "--epochs", "0"], "--epochs: must be at least 1, got 0"),
    ],
)
def test_mistakes_are_named(words, message, capfd):
    assert main(words) == BAD_INPUT
    assert message in capfd.readouterr().err
