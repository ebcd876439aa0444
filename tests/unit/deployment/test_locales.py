"""Spaces and Chinese characters in every name, whatever the locale."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_automl.deployment.runtime import ascii_alias

ROOT = Path(__file__).parents[3]

WORK = """
import locale, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
print(sys.getfilesystemencoding(), ascii(sys.argv[1]))
from paddle_automl.deployment.runtime import import_paddle
import_paddle()
from tests.unit.deployment.conftest import array_data, file_data, make_net, quick
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.output import as_csv, as_json, as_table
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.samples import check_samples
from paddle_automl.core.files import write_text

folder = Path(sys.argv[1])
for data, channels, name in ((array_data(), 1, "a"), (file_data(folder / "photos"), 3, "b")):
    for _ in range(2):  # the second one replaces the first
        bundle = create_bundle(
            make_net(channels), folder=folder / name, data=data, deployment=quick(), config={}, metrics={}
        )
    assert bundle.verified, bundle.info.parity.describe()
    assert check_samples(folder / name).passed
predictor = Predictor(folder / "b")
results = predictor.predict([folder / "photos", folder / "list.txt"])
assert len(results) == 13, len(results)
assert [item.error for item in results] == [None] * 13, ascii(results)
write_text(folder / "out.csv", as_csv(results, predictor.task))
write_text(folder / "out.json", as_json(results, predictor.task))
assert as_table(results, predictor.task)
"""


def run(folder: Path, **environment: str) -> str:
    """Work in a folder with the given locale; returns the file system encoding that Python had."""
    folder.mkdir()
    (folder / "list.txt").write_text("photos/图 0.jpg 菊花\n", encoding="utf-8")
    cleared = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
    result = subprocess.run(
        [sys.executable, "-c", WORK, str(folder), str(ROOT)],
        env={**cleared, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    for name in ("a", "b"):
        assert (folder / name / "labels.txt").read_text(encoding="utf-8").startswith("菊花 daisy\n")
        assert sorted(path.name for path in (folder / name).iterdir()) == [
            "bundle.yaml",
            "inference.json",
            "inference.pdiparams",
            "labels.txt",
            "samples",
        ]
    assert "菊花 daisy" in (folder / "out.csv").read_text(encoding="utf-8-sig")
    assert "图 1.PNG" in (folder / "out.json").read_text(encoding="utf-8")
    return result.stdout.split()[0]


def test_c_locale(tmp_path):
    assert run(tmp_path / "模型 一", LC_ALL="C") == "utf-8"


@pytest.fixture(scope="module")
def gbk(tmp_path_factory):
    """Environment of a zh_CN.GBK locale: the system's, or one compiled for the test."""
    installed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
    if "zh_CN.gbk" in installed:
        return {"LC_ALL": "zh_CN.gbk"}
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef"):
        command = ["localedef", "-i", "zh_CN", "-f", "GBK", str(folder / "zh_CN.GBK")]
        subprocess.run(command, capture_output=True, check=False)
    if not (folder / "zh_CN.GBK").is_dir():
        pytest.skip("no zh_CN.GBK locale, and localedef cannot make one")
    return {"LC_ALL": "zh_CN.GBK", "LOCPATH": str(folder)}


def test_gbk_locale(tmp_path, gbk):
    assert run(tmp_path / "模型 二", **gbk) == "gbk"


def test_c_locale_without_utf8_mode(tmp_path):
    assert run(tmp_path / "模型 三", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0") == "ascii"


def test_alias_is_only_made_where_paddle_needs_it(tmp_path, monkeypatch):
    folder = tmp_path / "模型"
    folder.mkdir()
    with ascii_alias(folder) as path:
        assert path == folder
    monkeypatch.setattr(os, "fsencode", lambda name: str(name).encode("gbk"))
    with ascii_alias(folder) as path:
        assert str(path).isascii()
        assert path.is_symlink()
    assert not path.exists()


def test_alias_is_a_copy_where_links_are_refused(tmp_path, monkeypatch):
    folder = tmp_path / "模型"
    folder.mkdir()
    (folder / "f").write_text("x", encoding="utf-8")
    monkeypatch.setattr(os, "fsencode", lambda name: str(name).encode("gbk"))

    def refuse(self, target, target_is_directory=False):
        raise OSError("privilege not held")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with ascii_alias(folder) as path:
        assert not path.is_symlink()
        assert (path / "f").read_text(encoding="utf-8") == "x"
