"""Whether a bundle still is what was exported."""

import shutil

import numpy as np
import pytest
import yaml

from paddle_automl.core.errors import BundleError
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.exporters import onnx
from paddle_automl.deployment.samples import write_samples
from paddle_automl.deployment.verify import verify_bundle
from tests.unit.deployment.conftest import edited, make_net, quick, tampered


@pytest.fixture(scope="module")
def two(net, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "b"
    deployment = quick(formats=["paddle_program"])
    return create_bundle(net, folder=folder, data=data, deployment=deployment, config={}, metrics={})


def test_a_sound_bundle(two):
    found = verify_bundle(two.folder)
    assert found.passed
    assert found.problems == ()
    assert found.files == len(two.info.files)
    assert set(found.samples) == set(found.parity) == {"paddle_inference", "paddle_program"}
    assert all(check.passed and check.samples == 5 for check in found.samples.values())
    assert found.describe().startswith(f"files: {found.files} compared")
    assert found.describe().endswith("passed")


def test_every_damaged_file_is_named(two, tmp_path):
    folder = tampered(two, tmp_path / "b")
    (folder / "labels.txt").unlink()
    weights = folder / "paddle_program" / "inference.pdiparams"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x07")
    (folder / "paddle_program" / "extra.bin").write_bytes(b"x")
    found = verify_bundle(folder)
    assert not found.passed
    assert len(found.problems) == 3
    assert "labels.txt is missing" in found.problems[0]
    assert "inference.pdiparams: was changed after the export" in found.problems[1]
    assert "extra.bin: is not recorded" in found.problems[2]
    assert found.samples == {}
    assert found.describe().endswith("FAILED: 3 problems")


def test_a_changed_record_is_no_bundle(two, tmp_path):
    folder = edited(tampered(two, tmp_path / "b"), lambda facts: facts["input"].update(mean=[0.7]), seal=False)
    with pytest.raises(BundleError, match="was changed after the export"):
        verify_bundle(folder)
    with pytest.raises(BundleError, match="no such folder"):
        verify_bundle(tmp_path / "nowhere")


def test_a_record_with_a_new_hash_is_found_by_the_samples(two, tmp_path):
    folder = edited(tampered(two, tmp_path / "b"), lambda facts: facts["input"].update(mean=[0.7]))
    found = verify_bundle(folder)
    assert [text.split(":")[0] for text in found.problems] == ["paddle_inference", "paddle_program"]
    assert "FAILED: 5 samples" in found.problems[0]


def test_one_wrong_format_is_named(two, net, data, tmp_path):
    folder = tampered(two, tmp_path / "b")
    other = create_bundle(
        make_net(seed=4),
        folder=tmp_path / "o",
        data=data,
        deployment=quick(exporter="paddle_program"),
        config={},
        metrics={},
    )
    for name in ("inference.pdmodel", "inference.pdiparams"):
        shutil.copy(other.folder / name, folder / "paddle_program" / name)

    def rehash(facts):
        for name, record in other.info.files.items():
            if name.startswith("inference"):
                facts["files"][f"paddle_program/{name}"] = record.model_dump()

    found = verify_bundle(edited(folder, rehash))
    assert found.samples["paddle_inference"].passed
    assert not found.samples["paddle_program"].passed
    assert len(found.problems) == 1


def test_a_verdict_that_its_figures_contradict(two, tmp_path):
    folder = edited(tampered(two, tmp_path / "b"), lambda facts: facts["parity"].update(agreement=0.5))
    assert not Bundle.open(folder).verified
    found = verify_bundle(folder)
    assert found.problems[0].startswith("paddle_inference: is recorded as verified, but its values contradict that")

    def failed(facts):
        facts["parity"].update(agreement=0.5, verified=False)
        facts["formats"][0]["parity"] = None

    found = verify_bundle(edited(folder, failed))
    assert found.problems[0].startswith("paddle_inference: NOT verified")
    assert found.problems[1].startswith("paddle_program: was never compared")
    assert found.parity["paddle_program"] == "not compared"


def test_a_format_that_cannot_be_run_here_is_said(two, tmp_path, monkeypatch):
    folder = tampered(two, tmp_path / "b")

    def with_onnx(facts):
        facts["formats"].append({**facts["formats"][0], "exporter": {"name": "onnx", "opset": 14}})

    edited(folder, with_onnx)
    monkeypatch.setattr(onnx, "find_spec", lambda name: None)
    found = verify_bundle(folder)
    assert found.passed
    assert "onnxruntime is not installed" in found.skipped["onnx"]
    assert "not run: onnx:" in found.describe()


def test_samples_hold_what_they_were_given(two, data, tmp_path):
    folder = tampered(two, tmp_path / "b")
    bundle = type(two)(folder, two.info)
    write_samples(bundle, lambda arrays: np.full((3, 3), 1 / 3), data.validation, 3)
    kept = yaml.safe_load((folder / "samples" / "expected.json").read_text(encoding="utf-8"))
    assert kept["names"] == list(data.task.names)
    assert [item["truth"] for item in kept["samples"]] == list(data.task.names)
    assert kept["samples"][0]["answer"] == data.task.names[0]
    assert kept["samples"][0]["outputs"] == [0.333333333] * 3
    assert not verify_bundle(bundle.updated().folder).passed
