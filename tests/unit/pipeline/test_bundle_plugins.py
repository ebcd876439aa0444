"""A bundle is data: the code that it names runs only where the user names it."""

from argparse import ArgumentParser

import pytest

from paddle_automl.cli import predict, verify
from paddle_automl.core.errors import AutoMLError, BundleError, ConfigError
from paddle_automl.deployment.integrity import sealed
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.pipeline.evaluation import evaluation_of

PLUGIN = """
from pathlib import Path
Path(__file__).with_suffix(".ran").touch()
from paddle_automl.tasks.base import TASKS
from paddle_automl.tasks.single_label import SingleLabel

@TASKS.register("strange")
class Strange(SingleLabel):
    pass
"""


def arguments(command, *words):
    parser = ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


WAYS = {
    "predict": lambda folder, *plugin: predict.run(arguments(predict, "-m", str(folder), "x.png", *plugin)),
    "verify": lambda folder, *plugin: verify.run(arguments(verify, "-m", str(folder), *plugin)),
    "evaluate": lambda folder, *plugin: evaluation_of(folder, plugins=plugin[1:]),
    "Predictor": lambda folder, *plugin: Predictor(folder),
}


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A bundle that names code in its own folder, beside it and in the working directory."""
    folder = tmp_path / "model"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def made(name):
        (tmp_path / name).with_suffix(".py").write_text(PLUGIN, encoding="utf-8")
        facts = {"format": 3, "task": {"name": "strange"}, "config": {"plugins": [name], "task": "strange"}}
        (folder / "bundle.yaml").write_text(sealed(facts), encoding="utf-8")
        return folder

    return made


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("name", ["model/inside.py", "beside.py", "beside"])
def test_code_that_a_bundle_names_is_not_run(stranger, tmp_path, way, name, capsys):
    folder = stranger(name)
    try:
        assert WAYS[way](folder) == 1
        told = capsys.readouterr().out
    except AutoMLError as error:
        told = str(error)
    assert f"made with the plugins {name}" in told.replace("\n", " ")
    # Of a file beside the bundle nobody knows the path here.
    stated = "PATH/beside.py" if name == "beside.py" else name
    assert f"--plugin {stated}" in told.replace("\n", " ")
    assert list(tmp_path.rglob("*.ran")) == []


@pytest.mark.parametrize("way", ["predict", "evaluate"])
def test_code_that_the_user_names_is_run(stranger, tmp_path, way, monkeypatch):
    from paddle_automl.core import plugins

    monkeypatch.setattr(plugins, "_loaded", set())
    folder = stranger(f"{way}_mine.py")
    with pytest.raises((BundleError, ConfigError)):
        WAYS[way](folder, "--plugin", str(tmp_path / f"{way}_mine.py"))
    assert [path.name for path in tmp_path.rglob("*.ran")] == [f"{way}_mine.ran"]
    from paddle_automl.tasks.base import TASKS

    taken = [item for item in plugins.registrations() if item.cls.__name__ == "Strange"]
    plugins.take_back(taken)
    assert "strange" not in TASKS.names()
