"""The command that says whether a bundle still is what was exported."""

import json
import shutil

import pytest

from paddle_automl.cli.common import BAD_INPUT, NOT_AS_DEMANDED, OK
from paddle_automl.cli.verify import main
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from tests.unit.deployment.conftest import array_data, edited, make_net, quick, tampered


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    folder = tmp_path_factory.mktemp("verify") / "run" / "model"
    return create_bundle(make_net(), folder=folder, data=array_data(), deployment=quick(), config={}, metrics={})


def test_a_sound_bundle_by_its_folder_and_by_its_run(bundle, tmp_path, capsys):
    for place in (bundle.folder, bundle.folder.parent):
        assert main(["-m", str(place), "--json", str(tmp_path / "v.json")]) == OK
        assert capsys.readouterr().out.endswith("passed\n")
        assert json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))["passed"] is True


def test_a_file_that_was_changed(bundle, tmp_path, capsys):
    folder = tampered(bundle, tmp_path / "b")
    (folder / "labels.txt").write_bytes(b"x\ny\nz\n")
    (folder / "more\x1b.txt").write_bytes(b"")
    assert main(["-m", str(folder)]) == NOT_AS_DEMANDED
    out = capsys.readouterr().out
    assert "labels.txt: is damaged" in out
    assert "more\\x1b.txt: is not recorded" in out


def test_answers_that_were_changed_with_a_fitting_hash(bundle, tmp_path, capsys):
    def shift(facts):
        facts["input"]["mean"] = [value + 0.3 for value in facts["input"]["mean"]]

    folder = edited(tampered(bundle, tmp_path / "b"), shift)
    assert main(["-m", str(folder)]) == NOT_AS_DEMANDED
    assert "problem: paddle_inference: FAILED: 5 samples" in capsys.readouterr().out


def test_no_bundle_at_all(bundle, tmp_path, capsys):
    folder = edited(tampered(bundle, tmp_path / "b"), lambda facts: facts.update(created="now"), seal=False)
    shutil.copytree(bundle.folder / "samples", tmp_path / "s")
    for words in (["-m", str(folder)], ["-m", str(tmp_path / "s")], ["-m", str(tmp_path / "missing")]):
        assert main(words) == BAD_INPUT
    for words in (["--threads", "0"], ["--max-difference", "nan"], ["--max-difference", "-1"]):
        assert main(["-m", str(bundle.folder), *words]) == BAD_INPUT
    assert capsys.readouterr().out == ""


def test_data_that_are_not_there(bundle, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for name in ("typo.yaml", "typo", "empty"):
        assert main(["-m", str(bundle.folder), "--no-latency", "--data", str(tmp_path / name)]) == BAD_INPUT
        assert str(tmp_path / name) in capsys.readouterr().err
    photos = bundle.folder / "samples"
    assert main(["-m", str(bundle.folder), "--no-latency", "--data", str(photos)]) == OK
    assert "5 items, all outputs finite" in " ".join(capsys.readouterr().out.split())
