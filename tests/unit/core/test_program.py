"""Suggested commands work where they are printed."""

import shlex
import shutil
import sys

import pytest

from paddle_automl.core.program import command


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Return a function that makes this program one that was called by a path below `tmp_path`."""

    def call(path):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.touch()
        monkeypatch.setattr(sys, "argv", [str(file)])
        return file

    return call


def test_scripts_of_the_tools_folder(called, tmp_path):
    called("tools/search.py")
    called("tools/train.py")
    python, script = shlex.split(command("search"))
    assert shutil.which(python) is not None
    assert script == str(tmp_path / "tools/search.py")


def test_the_installed_program(called, monkeypatch, tmp_path):
    file = called("bin/paddle-automl")
    file.chmod(0o755)
    assert command("train") == f"{file} train"
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert command("train") == "paddle-automl train"


@pytest.mark.parametrize("path", ["my script.py", "paddle_automl/__main__.py", "tools/mine.py"])
def test_everything_else_calls_the_package(called, path):
    called(path)
    assert shlex.split(command("train"))[1:] == ["-m", "paddle_automl", "train"]


def test_the_interpreter_is_named_as_the_shell_finds_it(called, monkeypatch, tmp_path):
    called("script.py")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "a b" / "python"))
    assert command("train") == f"'{tmp_path}/a b/python' -m paddle_automl train"
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "python").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "a b"))
    assert command("train") == "python -m paddle_automl train"
