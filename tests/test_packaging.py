"""An installation has every file of the package, also one that is not editable."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# setuptools itself matches the patterns of setup.py, without building anything.
INSTALLED = """
import setuptools
from distutils.core import run_setup
distribution = run_setup("setup.py", stop_after="init")
command = distribution.get_command_obj("build_py")
command.ensure_finalized()
for package, folder, _, names in command.data_files:
    print(*(f"{folder}/{name}" for name in names), sep="\\n")
for extension in distribution.ext_modules or []:
    print(*extension.sources, sep="\\n")
"""


def lines_of(*command: str) -> set[str]:
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git lists the files")
@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="elsewhere the C code is not compiled"
)
def test_files_that_are_not_python_are_installed():
    # A container may see the repository as another user's.
    tracked = lines_of("git", "-c", "safe.directory=*", "ls-files", "paddle_automl")
    wanted = {name for name in tracked if not name.endswith(".py")}
    assert "paddle_automl/py.typed" in wanted
    assert sorted(wanted - lines_of(sys.executable, "-c", INSTALLED)) == []
