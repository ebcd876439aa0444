"""The pages of options say what the classes say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "options"
NO_OPTIONS = {"stage", "report section"}
"""Kinds of plugins that are no key of the configuration."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The pages as the classes are now, by name."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "gone.md").write_text("<!-- Written by tools/make_docs.py from the classes; do not edit. -->\n")
    (folder / "mine.md").write_text("Not written by the tool.\n")
    run = subprocess.run(
        [sys.executable, str(ROOT / "tools/make_docs.py"), "--to", str(folder)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.md")}


def test_pages_of_what_is_gone_are_taken_away_and_other_files_stay(written):
    assert "gone.md" not in written
    assert written["mine.md"] == "Not written by the tool.\n"


def test_there_is_a_page_for_each_section_and_kind_with_keys_types_defaults_and_meanings(written):
    for name in ("README.md", "configuration.md", "training.md", "search.md", "backbone.md", "optimizer.md"):
        assert name in written
        assert f"]({name})" in written["README.md"] or name == "README.md"
    assert "| `training.epochs` | int >= 1 | `" in written["training.md"]
    assert "## `resnet`" in written["backbone.md"]
    assert "| `seed` | int >= 0 | `0` | Seed of all random choices" in written["configuration.md"]


def test_every_registry_of_the_package_has_a_page(written):
    """A kind that is missing in cli/kinds.py is missing in `describe` too."""
    for source in (ROOT / "paddle_automl").rglob("*.py"):
        for kind in re.findall(r"\bRegistry\(\s*\"([^\"]+)\"", source.read_text(encoding="utf-8")):
            assert kind in NO_OPTIONS or f"| [{kind}](" in written["README.md"], f"{source}: {kind}"


def test_links_between_the_pages_lead_somewhere(written):
    for name, text in written.items():
        for target in re.findall(r"\]\(([^)]+\.md)\)", text):
            assert target in written, f"{name} -> {target}"


def test_the_index_lists_each_page_once(written):
    entries = [line for line in written["README.md"].splitlines() if line.startswith("- [")]
    assert entries
    assert len(entries) == len(set(entries))


def test_every_row_of_a_table_has_four_cells(written):
    for name, text in written.items():
        rows = [line for line in text.splitlines() if line.startswith("|") and name != "README.md"]
        assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows), name


@pytest.mark.skipif(not FOLDER.is_dir(), reason="docs/options has not been written yet (tools/make_docs.py)")
def test_the_committed_pages_are_up_to_date(written):
    committed = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.md")}
    expected = {name: text for name, text in written.items() if name != "mine.md"}
    assert committed == expected, "run python tools/make_docs.py and commit docs/options"
