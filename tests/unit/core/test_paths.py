"""Names in UTF-8 and GBK, on any locale."""

import os
import subprocess
import sys

import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import absolute_path, located, read_lines, readable, with_folders, without_folders

GBK_NAME = os.fsdecode("向日葵".encode("gbk"))


def test_a_path_that_exists_is_taken_as_it_is(tmp_path):
    (tmp_path / "花 卉").mkdir()
    assert located(str(tmp_path / "花 卉")) == tmp_path / "花 卉"
    assert located("花 卉", tmp_path) == tmp_path / "花 卉"
    assert located("missing", tmp_path) == tmp_path / "missing"


def test_a_gbk_name_on_the_disk_is_found_and_read(tmp_path):
    (tmp_path / GBK_NAME).mkdir()
    found = located("向日葵", tmp_path)
    assert found.is_dir()
    assert readable(found) == str(tmp_path / "向日葵")
    assert readable(GBK_NAME) == "向日葵"


COMPOSED, DECOMPOSED = "caf\u00e9 \uac00", "cafe\u0301 \u1100\u1161"


@pytest.mark.parametrize(("disk", "asked"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_a_name_in_another_unicode_form_is_found(tmp_path, disk, asked):
    (tmp_path / disk / "a" / f"{asked}.png").mkdir(parents=True)
    found = located(f"{asked}/a/{disk}.png", tmp_path)
    assert found.is_dir()
    assert located(str(tmp_path / asked / "a" / f"{asked}.png")).is_dir()
    assert located(asked, tmp_path / disk / "a") == tmp_path / disk / "a" / asked


def test_a_name_that_is_there_in_both_forms_is_taken_as_written(tmp_path):
    (tmp_path / COMPOSED).write_text("composed")
    (tmp_path / DECOMPOSED).write_text("decomposed")
    if len(os.listdir(tmp_path)) == 2:
        assert located(COMPOSED, tmp_path).read_text() == "composed"
        assert located(DECOMPOSED, tmp_path).read_text() == "decomposed"


def test_a_pipe_is_no_text(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"a\.txt: cannot read the file: is not a regular file"):
        read_lines(tmp_path / "a.txt")


def test_a_name_in_no_encoding_is_still_proper_text():
    name = readable(os.fsdecode(b"a\xff\xff"))
    assert name.encode("utf-8") == b"a\\xff\\xff"


def test_home_and_working_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert absolute_path("~/数据/../x") == str(tmp_path / "x")
    assert absolute_path("a/b") == str(tmp_path / "a" / "b")
    assert located("~") == tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_read_lines_of_any_usual_encoding(tmp_path, encoding):
    path = tmp_path / "列表.txt"
    path.write_bytes("花 卉/一.jpg 0\r\n二.jpg 1\n".encode(encoding))
    assert read_lines(path) == ["花 卉/一.jpg 0", "二.jpg 1", ""]


def test_read_lines_names_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xff\xff\x80")
    with pytest.raises(DataError, match=r"a\.txt: is not a text file in UTF-8 or GBK"):
        read_lines(path)
    with pytest.raises(DataError, match=r"missing\.txt: cannot read the file"):
        read_lines(tmp_path / "missing.txt")


PROGRAM = f"""
ROOT = {"我的 照片"!a}
import sys
from paddle_automl.data.config import DataConfig, absolute
from paddle_automl.data.prepare import prepare
config = DataConfig.model_validate({{"dataset": {{"name": "image_folder", "root": ROOT}}, "input": {{"size": 8}}}})
data = prepare(absolute(config), seed=0)
print(len(data.train), ascii(data.task.names), sys.getfilesystemencoding())
"""


def environments():
    """Return environments with other file-system encodings; a GBK locale only where it can be made."""
    return {
        "ascii": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        "utf-8": {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"},
        "gbk": {"LC_ALL": "zh_CN.GBK", "PYTHONUTF8": "0"},
    }


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "gbk"])
def test_chinese_folders_in_every_locale(flowers, tmp_path_factory, encoding):
    environment = {**os.environ, **environments()[encoding]}
    if encoding == "gbk":
        locales = tmp_path_factory.mktemp("locales")
        command = ["localedef", "-i", "zh_CN", "-f", "GBK", str(locales / "zh_CN.GBK")]
        try:
            made = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            made = False
        if not made:
            pytest.skip("localedef cannot make the locale zh_CN.GBK here")
        environment["LOCPATH"] = str(locales)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=flowers.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:4] == ["12", "('sun", "flower',", ascii("郁金香") + ")"]
    expected = {"ascii": {"ascii", "ansi_x3.4-1968"}, "utf-8": {"utf-8"}, "gbk": {"gbk", "gb2312"}}
    assert done.stdout.split()[4].lower() in expected[encoding]


def test_data_without_folders_have_no_absolute_path(tmp_path):
    root = tmp_path / "data" / "图 1"
    (root / "a").mkdir(parents=True)
    (root / "a" / "x.png").touch()
    data = {
        "root": str(root),
        "files": [str(root / "a" / "x.png"), ("a.png", 3, None)],
        "group": "/(cat)/",
        "relative": "./data",
        "place": "/",
    }
    found = without_folders(data)
    assert found == {
        "root": "图 1",
        "files": ["x.png", ["a.png", 3, None]],
        "group": "/(cat)/",
        "relative": "./data",
        "place": "/",
    }
    assert without_folders(data, (tmp_path / "elsewhere", root))["files"][0] == os.path.join("a", "x.png")
    assert without_folders(str(root / "a"), (root / "a",)) == "a"


def test_folders_come_back_from_similar_data(tmp_path):
    data = {"data": {"root": str(tmp_path / "photos"), "size": 3}, "teacher": [str(tmp_path / "t")], "plugins": []}
    for folder in ("photos", "t"):
        (tmp_path / folder).mkdir()
    bare = without_folders(data)
    assert with_folders(bare, data) == data
    assert with_folders(bare, {}) == bare
    # Of other data nothing is taken over.
    other = {"data": {"root": str(tmp_path / "others"), "size": 9}, "teacher": "x", "plugins": ["y"]}
    assert with_folders(bare, other) == bare
