"""What the two READMEs say: their commands exist, their files exist, both say the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README_cn.md"]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(path: Path) -> list[str]:
    lines = "\n".join(blocks(path, "bash")).splitlines()
    return [re.sub(r"\s+#.*", "", line) for line in lines]


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_tools_and_files_that_are_named_exist(path):
    text = path.read_text(encoding="utf-8")
    for tool in set(re.findall(r"tools/\w+\.(?:py|sh)", text)):
        assert (ROOT / tool).is_file(), tool
    for config in set(re.findall(r"configs/[\w/]+\.yaml", text)):
        assert (ROOT / config).is_file(), config
    for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
        assert (ROOT / target).exists(), target


def test_both_languages_give_the_same_commands_and_examples():
    english, chinese = READMES
    assert commands(english) == commands(chinese)
    assert blocks(english, "python") == blocks(chinese, "python")
    assert [re.sub(r"\s+#.*", "", block) for block in blocks(english, "yaml")] == [
        re.sub(r"\s+#.*", "", block) for block in blocks(chinese, "yaml")
    ]


def test_a_search_is_exported_into_another_folder():
    """Its own holds the bundle that was tested; `export` refuses to replace it."""
    found = [line for line in commands(READMES[0]) if "tools/export.py -m output/" in line]
    assert found
    assert all("/trials/" in line or " --to " in line for line in found)


def test_the_two_commands_stand_in_one_line_each():
    lines = commands(READMES[0])
    assert any(line.endswith(".venv/bin/python tools/search.py -c configs/digits.yaml") for line in lines)
    assert any(line.endswith(".venv/bin/python -m pytest") for line in lines)


@pytest.mark.parametrize("name", ["search", "train", "evaluate", "export", "predict", "describe"])
def test_help_of_every_command(name):
    run = subprocess.run(
        [sys.executable, str(ROOT / "tools" / f"{name}.py"), "--help"], capture_output=True, text=True, check=True
    )
    assert "usage:" in run.stdout
    assert run.stderr == ""
    if name in ("search", "train"):
        assert "training.clip_global_norm: float | none" in run.stdout
        assert "Largest norm of all gradients together" in run.stdout
