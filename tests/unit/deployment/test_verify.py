"""Whether a bundle still is what was exported."""

import re
import shutil

import numpy as np
import pytest
import yaml

from paddle_automl.core.errors import BundleError
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.crosscheck import Comparison
from paddle_automl.deployment.exporters import base
from paddle_automl.deployment.integrity import file_record
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.samples import write_samples
from paddle_automl.deployment.verify import Checks, verify_bundle
from tests.unit.deployment.conftest import edited, make_net, quick, tampered

QUICK = Checks(latency=False)


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
    (pair,) = found.pairs
    assert pair.passed
    assert (pair.items, pair.agreement) == (5, 1.0)
    assert pair.largest_difference < 1e-5
    assert [item.name for item in found.speed] == ["paddle_inference", "paddle_program"]
    assert all(item.same_processor and item.ratio > 0 for item in found.speed)
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
    assert [text.split(":")[0] for text in found.problems] == ["paddle_inference", "paddle_program"] * 2
    assert "its parity check is that of other files, of another input" in found.problems[0]
    assert "FAILED: 5 samples" in found.problems[2]


def test_a_byte_of_any_file(two, tmp_path):
    folder = tampered(two, tmp_path / "b")
    assert {"inference.pdiparams", "labels.txt", "samples/0.png", "samples/expected.json"} < set(two.info.files)
    for name in two.info.files:
        file = folder / name
        content = file.read_bytes()
        for spoiled in (content[:-1] + bytes([content[-1] ^ 1]), content[: len(content) // 2]):
            file.write_bytes(spoiled)
            with pytest.raises(BundleError, match=re.escape(file.name)):
                Bundle.open(folder)
            found = verify_bundle(folder, QUICK)
            assert [name in text for text in found.problems] == [True]
        file.write_bytes(content)
    assert verify_bundle(folder, QUICK).passed


def test_bytes_of_the_record(two, tmp_path):
    folder = tampered(two, tmp_path / "b")
    file, facts = folder / "bundle.yaml", yaml.safe_load((folder / "bundle.yaml").read_text(encoding="utf-8"))
    content = file.read_bytes()
    places = np.random.default_rng(0).choice(len(content), 25, replace=False)
    for place in places:
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            same = yaml.safe_load(file.read_text(encoding="utf-8")) == facts
        except (yaml.YAMLError, ValueError):
            same = False
        if not same:
            with pytest.raises(BundleError):
                verify_bundle(folder, QUICK)


def test_two_labels_swapped(two, tmp_path):
    folder = tampered(two, tmp_path / "b")
    names = [two.task.names[1], two.task.names[0], *two.task.names[2:]]
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    with pytest.raises(BundleError, match=r"labels\.txt: was changed"):
        Bundle.open(folder)

    def swap(facts):
        facts["task"]["names"] = names
        facts["files"]["labels.txt"] = file_record(folder / "labels.txt").model_dump()

    edited(folder, swap)
    assert Bundle.open(folder).task.names == tuple(names)
    found = verify_bundle(folder, QUICK)
    assert "another task" in found.problems[0]
    assert not found.samples["paddle_inference"].passed


def test_parameters_of_another_network(two, data, tmp_path):
    folder = tampered(two, tmp_path / "b")
    other = create_bundle(
        make_net(seed=4), folder=tmp_path / "o", data=data, deployment=quick(), config={}, metrics={}
    )
    shutil.copy(other.folder / "inference.pdiparams", folder)
    with pytest.raises(BundleError, match=r"inference\.pdiparams: was changed"):
        Bundle.open(folder)

    def rehash(facts):
        facts["files"]["inference.pdiparams"] = other.info.files["inference.pdiparams"].model_dump()

    found = verify_bundle(edited(folder, rehash), QUICK)
    assert not found.samples["paddle_inference"].passed
    assert found.samples["paddle_program"].passed
    assert [text.split(":")[0] for text in found.problems] == [
        "paddle_inference",
        "paddle_inference",
        "formats differ",
    ]


def test_a_parity_check_of_another_bundle(two, data, tmp_path):
    folder = tampered(two, tmp_path / "b")
    other = create_bundle(
        make_net(seed=4), folder=tmp_path / "o", data=data, deployment=quick(), config={}, metrics={}
    )
    theirs = other.info.parity.model_dump(mode="json")
    found = verify_bundle(edited(folder, lambda facts: facts.update(parity=theirs)), QUICK)
    assert found.problems == (
        "paddle_inference: its parity check is that of other files, of another input or of another task; export "
        "the bundle again",
    )


def test_formats_on_other_data(two, net, data, tmp_path):
    batches = [data.validation.raw(np.arange(start, start + 20)) for start in (0, 20)]
    found = verify_bundle(two.folder, QUICK, data=iter(batches), source="my_photos")
    assert [(pair.items, pair.agreement, pair.passed) for pair in found.pairs] == [(40, 1.0, True)]
    assert "formats on my_photos" in found.describe()
    kept = Predictor(two, runtime="paddle_inference")
    other = create_bundle(
        make_net(seed=4), folder=tmp_path / "o", data=data, deployment=quick(), config={}, metrics={}
    )
    (pair,) = Comparison({"a": kept, "b": Predictor(other)}, two.task, max_difference=1e-4).run(batches)
    assert pair.items == 40
    assert pair.agreement < 1
    assert not pair.passed


def test_a_bundle_that_has_become_slow(two, tmp_path):
    def faster_once(facts):
        facts["latency"][0]["p50_ms"] = 1e-5

    folder = edited(tampered(two, tmp_path / "b"), faster_once)
    assert verify_bundle(folder).passed
    found = verify_bundle(folder, Checks(max_slowdown=100.0))
    assert [text.split(":")[0] for text in found.problems] == ["paddle_inference"]
    assert "is slower than allowed (100 times the recorded time)" in found.problems[0]
    elsewhere = edited(folder, lambda facts: facts["latency"][0].update(processor="another"))
    assert verify_bundle(elsewhere, Checks(max_slowdown=100.0)).passed


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
    assert [text.split(":")[0] for text in found.problems] == ["paddle_program", "paddle_program", "formats differ"]


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
        # Without the hash of the files that were compared: there are none.
        parity = {**facts["formats"][0]["parity"], "subject": None}
        facts["formats"].append(
            {**facts["formats"][0], "exporter": {"name": "onnx", "opset": 14}, "parity": parity}
        )

    edited(folder, with_onnx)
    monkeypatch.setattr(base, "find_spec", lambda name: True if name == "paddle" else None)
    found = verify_bundle(folder)
    assert found.passed
    assert list(found.samples) == ["paddle_inference", "paddle_program"]
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
