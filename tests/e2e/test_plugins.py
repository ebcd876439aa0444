"""A backbone of one's own, from a file, through a search and the commands after it."""

from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import ROOT, TINY, run_forked, run_tool, write_config
from tests.test_contributing import block


def plugin(folder: Path) -> Path:
    """Write the backbone of CONTRIBUTING.md."""
    file = folder / "halving.py"
    file.write_text(block('"""Convolutions'), encoding="utf-8")
    return file


@pytest.mark.slow
def test_a_plugin_is_searched_trained_exported_and_predicted_with(tmp_path):
    file = plugin(tmp_path)
    space = {"model.backbone": {"halving": {"width": {"choice": [4, 8]}}, "resnet": {}}}
    search = {**TINY["search"], "space": space}
    data = {
        **TINY,
        "model": {"backbone": {"name": "halving", "width": 8}},
        "plugins": ["./halving.py"],
        "output": "out",
        "search": search,
    }
    write_config(tmp_path, data)
    ran = run_tool("search", "-c", "config.yaml", cwd=tmp_path)
    assert ran.code == 0, ran.err
    config = yaml.safe_load((tmp_path / "out/trials/0000/config.yaml").read_text(encoding="utf-8"))
    assert config["plugins"] == [str(file)]
    assert config["model"]["backbone"]["name"] == "halving"
    # The trial runs alone from any folder, because its path is absolute.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    alone = run_tool("train", "-c", tmp_path / "out/trials/0000/config.yaml", "-o", "output=run", cwd=elsewhere)
    assert alone.code == 0, alone.err
    exported = run_tool("export", "-m", elsewhere / "run", cwd=elsewhere)
    assert exported.code == 0, exported.err
    # A bundle needs no plugin of networks.
    file.unlink()
    image = next((tmp_path / "out/model/samples").glob("*.png"))
    predicted = run_tool("predict", "-m", elsewhere / "run", image, cwd=elsewhere)
    assert predicted.code == 0, predicted.err


@pytest.mark.slow
def test_a_learning_curve_of_a_plugin_of_the_command_line_leaves_nothing_behind(tmp_path):
    file = plugin(tmp_path)
    output = tmp_path / "out"
    data = {key: TINY[key] for key in ("data", "training", "report")}
    config = write_config(tmp_path, {**data, "model": {"backbone": {"name": "halving"}}, "output": str(output)})
    assert run_tool("train", "-c", config, "-o", f"plugins=[{file}]").code == 0
    before = sorted(output.rglob("*"))
    small = ("--sizes", 300, "--draws", 1, "--plugin", "halving.py", "-o", "training.epochs=1")
    for given in (("-m", output), ("-c", config)):
        ran = run_tool("learning_curve", *given, *small, cwd=tmp_path)
        assert ran.code == 0, ran.err
        assert "training on 300 images, 1 of 1" in ran.out
        assert sorted(output.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "plugins: ./mine.py: there is no file"),
        ("1 / 0\n", "plugins: ./mine.py: cannot be imported: ZeroDivisionError: division by zero"),
        ("x = 1\n", "plugins: ./mine.py: registers nothing"),
        (
            "from paddle_automl.models.backbones.base import BACKBONES\n"
            "@BACKBONES.register('vgg')\nclass Mine: ...\n",
            "backbone 'vgg' is registered already, by paddle_automl.models.backbones.vgg.VGG; give ",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_stops_the_start(tmp_path, text, message, monkeypatch):
    if text is not None:
        (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ran = run_forked("train", "-c", ROOT / "configs/digits.yaml", "-o", "plugins=[./mine.py]")
    assert ran.code == 2
    assert ran.err.startswith("error: -o plugins: plugins: ./mine.py: ")
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "output").exists()
