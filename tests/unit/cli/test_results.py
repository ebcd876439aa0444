"""Commands that are printed can be pasted into a shell."""

import shutil
import subprocess
from pathlib import Path

import pytest

from paddle_automl.cli.results import quoted


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "name", ["a b", "it's", "[x] $HOME `id`", "图 1", "a\x1b[31mb", "a\nb'c\\d", "\u202egnp", "-x", "caf\u0301e"]
)
def test_a_path_can_be_pasted_and_does_not_control_the_terminal(name):
    text = quoted(Path(name))
    assert text.isprintable() or "\u0301" in text
    found = subprocess.run(
        ["bash", "-c", f"printf %s {text}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert found.stdout.decode() == name
