"""One command at a time works in a folder of results, and nothing that is in it is lost."""

import os
import signal
import subprocess
import sys

import pytest

from paddle_automl.core.errors import OutputError
from paddle_automl.core.locking import LOCK, beside, holder_of, holding
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.place import LockedFolder, place_of_bundle

WORK = """
import sys, time
from pathlib import Path
from paddle_automl.pipeline.runs.place import LockedFolder
place = LockedFolder(Path(sys.argv[1]), "a search")
print("works", flush=True)
time.sleep(60)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old(tmp_path):
    """A folder with results and a cache."""
    folder = RunFolder(tmp_path / "run")
    folder.cache.mkdir(parents=True)
    (folder.cache / "items.npy").touch()
    folder.study.write_text("old")
    return folder


# -- one at a time -------------------------------------------------------------------------------------------------
def test_the_second_command_hears_who_works_there(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", WORK, str(folder)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(OutputError, match=rf"run': another command works .*a search, process {process.pid} "):
            LockedFolder(folder, "a training")
        assert folder.is_dir()
        process.send_signal(signal.SIGKILL)
        process.wait()
    with LockedFolder(folder, "a training") as place:
        assert place.is_empty


def test_a_link_to_the_folder_is_the_same_folder(tmp_path, old):
    (tmp_path / "link").symlink_to(old.path)
    with LockedFolder(tmp_path / "link", "x"), pytest.raises(OutputError, match="another command"):
        LockedFolder(old.path, "y")


@pytest.mark.parametrize("first", ["place", "bundle"])
def test_an_export_to_a_folder_and_work_in_it_exclude_each_other(tmp_path, first):
    makers = {
        "place": lambda: LockedFolder(tmp_path / "x", "a"),
        "bundle": lambda: place_of_bundle(tmp_path / "x", "b"),
    }
    with makers.pop(first)(), pytest.raises(OutputError, match="another command works"), makers.popitem()[1]():
        pass
    assert not beside(tmp_path / "x").exists()


def test_the_bundle_of_a_run_belongs_to_the_run(tmp_path):
    run = RunFolder(tmp_path)
    run.config.touch()
    with place_of_bundle(run.bundle, "an export"), pytest.raises(OutputError, match="another command works"):
        LockedFolder(run.path, "a training")
    with place_of_bundle(run.bundle, "an export"), place_of_bundle(tmp_path / "other", "an export"):
        assert names(tmp_path) == sorted([LOCK, beside(tmp_path / "other").name, "config.yaml"])


# -- folders -------------------------------------------------------------------------------------------------------
def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path):
    LockedFolder(tmp_path / "a" / "b", "x").close()
    assert names(tmp_path) == []
    (tmp_path / "mine").mkdir()
    LockedFolder(tmp_path / "mine", "x").close()
    assert names(tmp_path / "mine") == []


def test_what_failed_before_it_had_a_result_is_in_nobodys_way(tmp_path):
    with LockedFolder(tmp_path / "run", "x") as place:
        place.folder.cache.mkdir()
        place.folder.log("check").parent.mkdir()
    # By this file others know that it is no class of a data set.
    assert (tmp_path / "run" / LOCK).exists()
    with LockedFolder(tmp_path / "run", "x") as place:
        assert place.is_empty
        place.refuse_strangers([place.folder.study], "search")
        assert place.put_aside() is None


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "precious.txt").touch()
    with (
        LockedFolder(tmp_path, "x") as place,
        pytest.raises(OutputError, match=r"holds files, but no search; .*--fresh"),
    ):
        place.refuse_strangers([place.folder.study], "search")
    assert names(tmp_path) == ["precious.txt"]


def test_what_killed_writers_left_is_deleted(tmp_path, old):
    (old.path / ".model.partial-x").mkdir()
    (tmp_path / ".run.partial-x").mkdir()
    (tmp_path / ".other.partial-x").mkdir()
    LockedFolder(old.path, "x").close()
    assert names(tmp_path) == [".other.partial-x", "run"]
    assert names(old.path) == ["cache", "study.db"]


# -- putting aside -------------------------------------------------------------------------------------------------
def test_put_aside_the_old_is_whole_and_the_new_is_locked(tmp_path, old):
    with LockedFolder(old.path, "x") as place:
        aside = place.put_aside()
        assert names(old.path) == [LOCK, "cache"]
        assert holder_of(old.path / LOCK).startswith("x, ")
        old.study.write_text("new")
    assert names(aside) == ["study.db"]
    assert RunFolder(aside).study.read_text() == "old"
    assert aside.name.startswith("run.20")
    assert names(old.path) == ["cache", "study.db"]
    assert names(old.cache) == ["items.npy"]


def test_nothing_is_renamed_under_a_command_that_works(tmp_path, old):
    with subprocess.Popen([sys.executable, "-c", WORK, str(old.path)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(OutputError, match="another command"):
            LockedFolder(old.path, "x")
        process.kill()
    for below in (old.trial(3).path / LOCK, beside(old.bundle)):
        below.parent.mkdir(parents=True, exist_ok=True)
        with LockedFolder(old.path, "x") as place, holding(below, "an export"):
            with pytest.raises(OutputError, match="an export"):
                place.put_aside()
            assert old.study.read_text() == "old"
    from filelock import FileLock

    with (
        FileLock(f"{old.study}.lock"),
        LockedFolder(old.path, "x") as place,
        pytest.raises(OutputError, match="study"),
    ):
        place.put_aside()
    assert [name for name in names(tmp_path) if name != "run"] == []


def test_two_within_a_second_get_two_names(tmp_path, old):
    with LockedFolder(old.path, "x") as place:
        first = place.put_aside()
        old.study.touch()
        assert place.put_aside() not in (None, first)
    assert len(names(tmp_path)) == 3


def test_what_is_needed_is_not_put_aside(tmp_path, old):
    (old.path / "photos").mkdir()
    with LockedFolder(old.path, "x") as place:
        place.check_movable([tmp_path / "elsewhere", tmp_path / "run2"])
        for needed in ("photos/a.txt", "photos", "."):
            with pytest.raises(OutputError, match="which this command needs"):
                place.check_movable([os.path.join(old.path, needed)])


def test_a_successor_takes_over_or_goes_or_stays_beside(tmp_path, old):
    with LockedFolder(old.path, "x") as place:
        with place.successor() as scratch:
            (scratch / "weights").touch()
        assert names(tmp_path) == ["run"]
        with place.successor() as scratch:
            (scratch / "weights").touch()
            kept = place.keep_beside(scratch)
        assert kept.name.endswith("-unfinished")
        assert names(kept) == ["weights"]
        assert old.study.read_text() == "old"
        with place.successor() as scratch:
            (scratch / "weights").touch()
            aside = place.take_over(scratch)
        assert RunFolder(aside).study.read_text() == "old"
        assert names(old.path) == [LOCK, "cache", "weights"]
    assert len(names(tmp_path)) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may rename anything")
def test_where_nothing_can_be_renamed_the_old_stays(tmp_path, old):
    with LockedFolder(old.path, "x") as place:
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(OutputError, match="cannot rename"):
                place.put_aside()
        finally:
            tmp_path.chmod(0o700)
        assert old.study.exists()
