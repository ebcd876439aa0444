"""The commands are the files that look like one: listed without an import, run by their name, one tool for each."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_automl import cli
from paddle_automl.cli.main import commands, main, usage

ROOT = Path(__file__).parents[3]
TOOL = '''"""The command `{name}`: see `python tools/{name}.py --help`."""

import sys

from paddle_automl.cli.{name} import main

if __name__ == "__main__":
    sys.exit(main())
'''
NO_COMMANDS = {"benchmark.py", "make_docs.py"}
"""Tools of this repository that are no command of the package."""
GREET = '''"""Greet somebody."""

from paddle_automl.cli.common import OK

SUMMARY = "Greet somebody."


def add_arguments(parser):
    parser.add_argument("name")


def run(args):
    print(f"hello {args.name}")
    return OK
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose files are part of `paddle_automl.cli`, too."""
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    yield tmp_path
    sys.modules.pop("paddle_automl.cli.greet", None)


def test_the_commands_are_the_modules_with_summary_arguments_and_run():
    modules = {
        info.name: importlib.import_module(f"paddle_automl.cli.{info.name}")
        for info in pkgutil.iter_modules(cli.__path__)
    }
    expected = {}
    for name, module in modules.items():
        has = [hasattr(module, part) for part in ("SUMMARY", "add_arguments", "run")]
        assert all(has) or not any(has), f"{name}.py is half a command"
        if all(has):
            expected[name] = module.SUMMARY
    assert commands() == expected
    assert {"search", "train", "evaluate", "export", "predict", "compress", "describe", "qtable"} <= set(expected)


def test_a_new_file_is_a_new_command(folder, capsys):
    (folder / "greet.py").write_text(GREET, encoding="utf-8")
    assert re.search(r"^  greet +Greet somebody\.$", usage(), re.MULTILINE)
    assert main(["greet", "Ada"]) == 0
    assert capsys.readouterr().out == "hello Ada\n"
    with pytest.raises(SystemExit):
        main(["greet", "--help"])
    assert capsys.readouterr().out.startswith("usage: paddle-automl greet [-h] name\n\nGreet somebody.\n")
    assert main(["gret"]) == 2
    assert "unknown command 'gret'; did you mean 'greet'?" in capsys.readouterr().err


@pytest.mark.parametrize("line", ['SUMMARY = "Greet somebody."', "def add_arguments(parser):", "def run(args):"])
def test_a_file_that_lacks_a_part_is_no_command(folder, line):
    other = line.replace("SUMMARY", "TITLE").replace("def ", "def other_")
    (folder / "greet.py").write_text(GREET.replace(line, other), encoding="utf-8")
    assert "greet" not in commands()


@pytest.mark.parametrize("words", [["-m", "paddle_automl"], ["-c", "import paddle_automl.cli.main as m; m.main()"]])
def test_both_ways_of_calling_list_all_commands_and_import_nothing_heavy(words):
    check = (
        "import sys, atexit\n"
        "heavy = {'numpy', 'paddle', 'pydantic', 'optuna', 'rich', 'psutil'}\n"
        "atexit.register(lambda: sys.stderr.write(f'heavy: {sorted(heavy & set(sys.modules))}'))\n"
        "import runpy\n"
    )
    start = "sys.argv = ['x', '--help']\n"
    call = "runpy.run_module('paddle_automl', run_name='__main__')" if words[0] == "-m" else words[1]
    run = subprocess.run(
        [sys.executable, "-c", check + start + call], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert run.stdout == f"{usage()}\n"
    assert all(f"  {name} " in run.stdout for name in commands())
    assert run.stderr == "heavy: []"


def test_the_installed_program_is_the_same_as_the_module():
    assert '"paddle-automl = paddle_automl.cli.main:main"' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert main is importlib.import_module("paddle_automl.__main__").main


def test_without_a_command_the_list_is_an_error(capsys):
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == 2 * f"{usage()}\n"


def test_there_is_one_thin_tool_for_each_command():
    tools = {file.name for file in (ROOT / "tools").glob("*.py")}
    assert tools == {f"{name}.py" for name in commands()} | NO_COMMANDS
    for name in commands():
        assert (ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8") == TOOL.format(name=name)
