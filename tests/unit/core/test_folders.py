"""A folder that is replaced in one step: links to it stay, and what they name is replaced."""

import os
from pathlib import Path

import pytest

from paddle_automl.core.errors import OutputError
from paddle_automl.core.folders import replacing_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links of POSIX systems")


def write(folder: Path, text: str) -> None:
    with replacing_folder(folder, marker="mark") as scratch:
        (scratch / "mark").write_text(text, encoding="utf-8")


@pytest.fixture
def far(tmp_path):
    """A folder on another disk, so to speak; `out/model` is a link to it by way of another link."""
    (tmp_path / "far").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model").symlink_to("middle")
    (tmp_path / "out" / "middle").symlink_to(Path("..", "far", "real"))
    return tmp_path / "far" / "real"


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_folder_is_replaced(tmp_path, far, exists):
    if exists:
        write(far, "old")
        (far / "other").touch()
    link = tmp_path / "out" / "model"
    write(link, "new")
    assert link.is_symlink()
    assert (far / "mark").read_text(encoding="utf-8") == "new"
    assert os.listdir(far) == ["mark"]
    assert os.listdir(far.parent) == ["real"]
    assert sorted(os.listdir(link.parent)) == ["middle", "model"]


def test_the_new_folder_is_written_on_the_disk_of_the_old_one(tmp_path, far):
    with replacing_folder(tmp_path / "out" / "model", marker="mark") as scratch:
        assert scratch.parent.samefile(far.parent)


def test_a_folder_behind_a_link_that_is_no_result_is_left_alone(tmp_path, far):
    far.mkdir()
    (far / "photo.jpg").touch()
    with pytest.raises(OutputError, match=r"out/model' exists and is not an earlier result \(it has no mark\)"):
        write(tmp_path / "out" / "model", "new")
    assert os.listdir(far) == ["photo.jpg"]
