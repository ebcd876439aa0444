"""The places that run the checks run the same ones: the script, the pipeline, the workflow, the hooks."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def script_lines(path: str) -> list[str]:
    """Return the commands of a script that call its Python, as they would be typed."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return [line.replace('"$python"', "python") for line in lines if line.startswith('"$python"')]


def test_hooks_are_the_checks_before_the_tests():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = [hook["entry"] for repository in config["repos"] for hook in repository["hooks"]]
    checks = script_lines("tools/check.sh")
    assert [shlex.split(entry) for entry in entries] == [shlex.split(line) for line in checks[:-1]]
    assert checks[-1].startswith("python -m pytest ")


def test_workflow_runs_the_pipeline_on_every_python_that_the_package_supports():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["checks"]
    low, high = re.search(r'python_requires=">=3\.(\d+),<3\.(\d+)"', (ROOT / "setup.py").read_text()).groups()
    assert job["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(int(low), int(high))]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_pipeline_installs_as_the_readme_says_and_calls_the_script():
    text = (ROOT / ".ci/run").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    development = readme[readme.index("## Development") :]
    for words in ('-e ".[dev]"', "tools/check.sh"):
        assert words in text
        assert words in development
    assert 'pip" check' in text


@pytest.mark.parametrize("path", [".ci/run", "tools/check.sh"])
def test_scripts_stop_at_the_first_failure_and_can_be_executed(path):
    file = ROOT / path
    assert file.stat().st_mode & 0o111
    assert "set -euo pipefail" in file.read_text(encoding="utf-8")


def test_every_test_has_a_time_limit(request):
    assert request.config.pluginmanager.hasplugin("timeout")
    assert 0 < int(request.config.getini("timeout")) <= 300
