"""docs/plugins.md: its plugins load and pass their contracts, its table lists every kind, its API is the code's."""

import importlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import paddle_automl
from paddle_automl.cli import common
from paddle_automl.cli.kinds import registries
from paddle_automl.core.plugins import GROUP, KEY
from paddle_automl.deployment.records import FORMAT
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.stages.base import STAGES
from paddle_automl.reporting.base import SECTIONS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
REGISTRIES = {registry.kind: registry for registry in (*registries().values(), STAGES, SECTIONS)}
LOAD = """
import json, sys
from paddle_automl.core.plugins import load_plugins
from paddle_automl.core.registry import registrations
load_plugins(sys.argv[1:])
print(json.dumps([[item.registry.kind, item.name, item.cls.__doc__] for item in registrations()]))
"""


def rows():
    """The cells of the table of kinds: kind, key, base and registry, contract."""
    lines = [line for line in TEXT.splitlines() if line.startswith("| [")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def sections():
    """The two code blocks of each kind, by its heading."""
    part = TEXT[TEXT.index("## One of each kind") : TEXT.index("## What is stable")]
    found = {}
    for section in part.split("\n### ")[1:]:
        title, _, body = section.partition("\n")
        found[title.lower()] = re.findall(r"```python\n(.*?)```", body, flags=re.DOTALL)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files of the page: each plugin and its test."""
    made = tmp_path_factory.mktemp("page")
    for blocks in sections().values():
        name = re.match(r"# (\w+)\.py\n", blocks[0]).group(1)
        (made / f"{name}.py").write_text(blocks[0], encoding="utf-8")
        (made / f"test_{name}.py").write_text(blocks[1], encoding="utf-8")
    return made


def run(folder, *words, timeout):
    ran = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=timeout
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    return ran.stdout


def test_there_is_a_row_and_an_example_for_every_kind():
    kinds = [re.fullmatch(r"\[(.+)\]\(#(.+)\)", row[0]).groups() for row in rows()]
    assert {kind for kind, _ in kinds} == set(REGISTRIES)
    assert set(sections()) == set(REGISTRIES)
    assert all(anchor == kind.replace(" ", "-") for kind, anchor in kinds)
    assert all(len(blocks) == 2 for blocks in sections().values())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_table_names_what_there_is(row):
    registry = REGISTRIES[re.match(r"\[(.+)\]", row[0]).group(1)]
    assert row[1] == f"`{registry.section}`" or registry in (STAGES, SECTIONS)
    module, *names = re.findall(r"`([\w.]+)`", row[2])
    owner = importlib.import_module(f"paddle_automl.{module}")
    *bases, variable = [getattr(owner, name) for name in names]
    assert variable is registry
    assert any(issubclass(registry[name], base) for name in registry.names() for base in bases)
    file, contract = row[3].strip("`").split(".")
    tests = getattr(importlib.import_module(f"paddle_automl.testing.{file}"), contract)
    assert any(name.startswith("test_") for name in dir(tests))


def test_every_example_registers_a_described_class_of_its_kind(folder):
    files = sorted(f"./{file.name}" for file in folder.glob("*.py") if not file.name.startswith("test_"))
    loaded = json.loads(run(folder, "-c", LOAD, *files, timeout=100))
    assert sorted(kind for kind, _, _ in loaded) == sorted(REGISTRIES)
    assert all(text for _, _, text in loaded)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_example_passes_its_contract(folder):
    out = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", timeout=580)
    passed = int(re.search(r"(\d+) passed", out).group(1))
    assert passed > 5 * len(REGISTRIES)
    assert "failed" not in out


def test_the_checks_are_as_short_as_promised():
    for kind, (_, check) in sections().items():
        lines = [line for line in check.splitlines() if line.strip()]
        assert len(lines) <= 5 or kind == "input", kind


def test_plugins_are_loaded_as_the_page_says():
    assert f'[project.entry-points."{GROUP}"]' in TEXT
    assert f"`{KEY}: [./my_plugin.py, my_package.my_plugin]`" in TEXT
    assert KEY in RunConfig.model_fields


def test_the_stated_api_is_that_of_the_code():
    stable = TEXT[TEXT.index("## What is stable") :]
    first = stable[stable.index("- the names of the package") : stable.index("with their arguments")]
    assert {name.removeprefix("paddle_automl.") for name in re.findall(r"`([\w.]+)`", first)} == set(
        paddle_automl.__all__
    )
    assert all(hasattr(paddle_automl, name) for name in paddle_automl.__all__)
    assert f"`format` in `bundle.yaml` is {FORMAT}," in stable
    codes = [int(code) for code in re.findall(r"\b\d+\b", stable[stable.index("exit codes") :])]
    interrupted = [128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert codes == [common.OK, common.NOT_AS_DEMANDED, common.BAD_INPUT, *interrupted]


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
