"""Files: devices, pipes and links are written through, regular files replaced in one step; reading never waits."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from paddle_automl.core import files
from paddle_automl.core.errors import OutputError
from paddle_automl.core.files import (
    append_json_line,
    make_output_folder,
    open_regular,
    read_json_lines,
    read_json_object,
    replacing,
    sha256_of,
    write_json,
    write_text,
)
from paddle_automl.core.partial import delete_partial_files

posix = pytest.mark.skipif(os.name != "posix", reason="devices, pipes and modes of POSIX systems")


@pytest.fixture
def device(tmp_path):
    """Make links to devices: were one replaced by mistake, it would be the link, not the machine's device."""

    def link(name):
        path = tmp_path / f"{name}.csv"
        path.symlink_to(f"/dev/{name}")
        return path

    return link


@posix
def test_a_device_is_written_to_and_stays_a_device(device):
    link = device("null")
    write_text(link, "text")
    assert link.is_symlink()
    assert stat.S_ISCHR(os.stat(link).st_mode)


@posix
def test_a_full_device_is_an_output_error_with_the_reason(device):
    with pytest.raises(OutputError, match=r"full\.csv: cannot be written: No space left on device; make room"):
        write_text(device("full"), "text")


@posix
def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text(encoding="utf-8")), daemon=True)
    reader.start()
    write_json(pipe, {"a": 1})
    reader.join(10)
    assert got == ['{\n  "a": 1\n}\n']
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    assert os.listdir(tmp_path) == ["pipe.json"]


@posix
def test_standard_output_is_written_to_even_where_it_is_a_file(device, tmp_path):
    for name in (device("stdout"), "/proc/self/fd/1"):
        code = f"from paddle_automl.core.files import write_text; write_text({str(name)!r}, 'from us')"
        target = tmp_path / "out.txt"
        with open(target, "wb") as stream:
            subprocess.run([sys.executable, "-c", code], stdout=stream, check=True)
            inode = os.fstat(stream.fileno()).st_ino
        assert target.read_text() == "from us"
        assert target.stat().st_ino == inode


@posix
def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    far = tmp_path / "far" / "real.txt"
    far.write_text("old")
    (tmp_path / "near.txt").symlink_to("middle.txt")
    (tmp_path / "middle.txt").symlink_to(Path("far") / "real.txt")
    write_text(tmp_path / "near.txt", "new")
    assert (tmp_path / "near.txt").is_symlink()
    assert (tmp_path / "middle.txt").is_symlink()
    assert far.read_text() == "new"
    assert os.listdir(tmp_path / "far") == ["real.txt"]


@posix
def test_a_link_to_nothing_makes_the_file_it_names_and_a_loop_is_refused(tmp_path):
    (tmp_path / "a.txt").symlink_to("new.txt")
    write_text(tmp_path / "a.txt", "x")
    assert (tmp_path / "new.txt").read_text() == "x"
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OutputError, match="one: cannot be written: Too many levels of symbolic links"):
        write_text(tmp_path / "one", "x")


@posix
def test_a_replaced_file_keeps_its_mode_and_a_new_one_follows_the_umask(tmp_path):
    private = tmp_path / "private.txt"
    private.write_text("old")
    private.chmod(0o600)
    write_text(private, "new")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "new.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o640


@posix
@pytest.mark.parametrize("number", [None, errno.EPERM, errno.EINVAL])
def test_root_keeps_the_owner_of_a_replaced_file_where_the_system_allows_it(tmp_path, monkeypatch, number):
    """In a container without CAP_CHOWN, or with owners that are not mapped, the system refuses."""
    file = tmp_path / "a.txt"
    write_text(file, "old")
    of_ours, asked = Path.stat, []

    def of_another(path, **options):
        found = of_ours(path, **options)
        return os.stat_result((*found[:4], 12345, 67890, *found[6:10])) if path == file else found

    def chown(path, *owner):
        asked.append(owner)
        if number is not None:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "stat", of_another)
    monkeypatch.setattr(files.os, "geteuid", lambda: 0)
    monkeypatch.setattr(files.os, "chown", chown)
    write_text(file, "new")
    assert asked == [(12345, 67890)]
    assert file.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path):
    name = "n" * 251 + ".txt"
    write_text(tmp_path / name, "x")
    assert os.listdir(tmp_path) == [name]


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="there: cannot be written: Is a directory"):
        write_text(tmp_path / "there", "x")
    assert os.listdir(tmp_path) == ["there"]


def test_a_disk_that_fills_up_leaves_the_old_file_and_says_what_to_do(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "old")

    def fill_up():
        with replacing(file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(
        OutputError, match=r"a\.txt: cannot be written: No space left on device; make room"
    ) as caught:
        fill_up()
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_is_written_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(files.os, "fsync", lambda handle: done.append("fsync"))
    replace = os.replace
    monkeypatch.setattr(files.os, "replace", lambda one, two: (done.append("replace"), replace(one, two)))
    write_text(tmp_path / "a.txt", "x")
    assert done[:2] == ["fsync", "replace"]
    done.clear()
    with replacing(tmp_path / "b.txt", durable=False) as temporary:
        temporary.write_text("x")
    assert done == ["replace"]


@posix
def test_records_appended_to_a_full_disk_are_an_output_error(device):
    with pytest.raises(OutputError, match=r"full\.csv: cannot be written: No space left"):
        append_json_line(device("full"), {"epoch": 1})


def test_a_line_cut_off_inside_a_character_is_left_out_and_other_separators_are_text(tmp_path):
    file = tmp_path / "log.jsonl"
    append_json_line(file, {"name": "a\u2028b\x85c"})
    with open(file, "ab") as stream:
        stream.write('{"name": "值'.encode()[:-1])
    assert read_json_lines(file) == [{"name": "a\u2028b\x85c"}]


def test_an_output_folder_on_a_full_disk_is_refused_before_anything_runs(tmp_path, monkeypatch):
    make_output_folder(tmp_path / "run")
    temporary_file = files.tempfile.NamedTemporaryFile

    def full(**options):
        file = temporary_file(**options)
        file.write = lambda content: (_ for _ in ()).throw(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        return file

    monkeypatch.setattr(files.tempfile, "NamedTemporaryFile", full)
    with pytest.raises(OutputError, match=r"output: cannot write to .*: No space left on device; make room"):
        make_output_folder(tmp_path / "run")


@posix
def test_only_regular_files_are_opened_for_reading(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "good").symlink_to("file")
    for name in ("pipe", "link", "/dev/zero", ""):
        with pytest.raises(OSError, match="is not a regular file"):
            open_regular(tmp_path / name)
    with open_regular(tmp_path / "good") as file:
        assert file.read() == b"content"
    assert sha256_of(tmp_path / "good") == hashlib.sha256(b"content").hexdigest()


@pytest.mark.parametrize("text", ["{cut", "[1]", "\udcff", '{"a":' * 9999, None])
def test_what_is_no_json_object_is_none(tmp_path, text):
    file = tmp_path / "x.json"
    write_json(file, {"a": [1]})
    assert read_json_object(file) == {"a": [1]}
    file.unlink()
    if text is not None:
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert read_json_object(file) is None


@posix
def test_what_killed_writers_left_is_deleted_and_nothing_else(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from paddle_automl.core.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "trials").mkdir()
    target = tmp_path / "trials" / "config.yaml"
    target.write_text("old")
    killed = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert killed.returncode == -9
    (left,) = (path for path in target.parent.iterdir() if path != target)
    for name in (".notes-0123abcd.yaml", "a.partial-b", ".hidden"):
        (tmp_path / name).touch()
    # It may still be written.
    delete_partial_files(tmp_path)
    assert left.exists()
    for path in tmp_path.rglob("*"):
        os.utime(path, (1e9, 1e9))
    delete_partial_files(tmp_path)
    assert not left.exists()
    assert len(list(tmp_path.rglob("*"))) == 5
    assert target.read_text() == "old"
