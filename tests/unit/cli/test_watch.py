"""The command that starts VisualDL."""

import socket
import sys

import pytest

from paddle_automl.cli import watch
from paddle_automl.core.errors import BundleError, MachineError


@pytest.fixture
def output(tmp_path):
    logs = tmp_path / "out" / "visualdl" / "trial_0000"
    logs.mkdir(parents=True)
    (logs / "vdlrecords.1.log").touch()
    return tmp_path / "out"


def test_the_flags_turn_telemetry_off_and_name_a_language(output, capsys, monkeypatch):
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    assert watch.main([str(output), "--dry-run", "--port", "8123"]) == 0
    words = capsys.readouterr().out.split()
    assert words[:3] == ["visualdl", "--logdir", str(output / "visualdl")]
    assert "--disable-telemetry" in words
    assert words[words.index("--language") + 1] == "en"
    assert words[words.index("--host") + 1] == "127.0.0.1"


def test_a_folder_of_several_searches_is_watched_as_a_whole(output):
    assert watch.log_folder(output.parent) == output.parent


def test_a_folder_without_logs_is_refused(tmp_path, capsys):
    assert watch.main([str(tmp_path)]) == 2
    assert "holds no logs of VisualDL" in capsys.readouterr().err
    with pytest.raises(BundleError, match="no such folder"):
        watch.log_folder(tmp_path / "none")


def test_a_port_in_use_is_told_before_anything_starts(output, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert watch.main([str(output), "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1:{port}" in error
    assert f"--port {port + 1}" in error


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_wrong_port_is_refused(output, port, capsys):
    assert watch.main([str(output), "--port", port]) == 2
    assert "--port: must be from 1 to 65535" in capsys.readouterr().err


def test_a_wrong_host_is_refused(output):
    with pytest.raises(MachineError, match="cannot listen on"):
        watch.check_port("256.0.0.1", 8040)


def test_the_exit_code_is_that_of_the_program():
    assert watch.serve([sys.executable, "-c", "raise SystemExit(3)"]) == 3
