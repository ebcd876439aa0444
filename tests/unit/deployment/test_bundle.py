"""What a bundle holds, how it is replaced, and how damage is named."""

import os
import shutil

import numpy as np
import pytest
import yaml

from paddle_automl.core.errors import BundleError, OutputError, UnsupportedError
from paddle_automl.core.folders import replacing_folder
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.integrity import declared_plugins
from paddle_automl.deployment.predictor import Predictor
from tests.unit.deployment.conftest import (
    NAMES,
    edited,
    make_input,
    make_net,
    make_task,
    quick,
    tampered,
)


def test_content(bundle):
    facts = yaml.safe_load((bundle.folder / "bundle.yaml").read_text(encoding="utf-8"))
    assert facts["format"] == 3
    assert facts["task"] == {
        "name": "single_label",
        "names": list(NAMES),
        "temperature": 1.0,
        "calibrate": True,
    }
    assert facts["inputs"] == [{"name": "image", "shape": [1, 8, 10], "dtype": "float32"}]
    assert facts["input"]["name"] == "image"
    assert facts["input"]["mean"] == [0.4]
    assert len(facts["sha256"]) == 64
    assert facts["config"] == {"model": {"backbone": "tiny"}, "note": "1e-3"}
    assert facts["metrics"] == {"validation": {"accuracy": 0.5}, "rows": [0, 1]}
    assert {"python", "paddle", "numpy", "paddle_automl"} <= set(facts["versions"])
    assert facts["parity"]["verified"] is True
    [latency] = facts["latency"]
    assert latency["p95_ms"] >= latency["p50_ms"] >= latency["min_ms"] > 0
    assert (latency["batch_size"], latency["runs"], latency["threads"]) == (1, 3, 1)
    assert latency["processor"]
    assert (bundle.folder / "labels.txt").read_bytes() == "菊花 daisy\nrose\ntulip\n".encode()
    on_disk = {p.relative_to(bundle.folder).as_posix() for p in bundle.folder.rglob("*") if p.is_file()}
    assert on_disk == {*facts["files"], "bundle.yaml"}
    assert on_disk >= {"inference.json", "inference.pdiparams", "samples/expected.json", "samples/4.png"}
    assert not any(os.path.isabs(name) for name in facts["files"])
    assert bundle.verified
    network = [bundle.folder / "inference.json", bundle.folder / "inference.pdiparams"]
    assert bundle.size_mb == pytest.approx(sum(path.stat().st_size for path in network) / 1e6)


def test_moves_with_its_folder(bundle, tmp_path):
    moved = tmp_path / "elsewhere" / "别处 b"
    moved.parent.mkdir()
    shutil.copytree(bundle.folder, moved)
    pixels = np.full((1, 1, 8, 10), 7, np.uint8)
    np.testing.assert_array_equal(Predictor(moved).predict_arrays(pixels), Predictor(bundle).predict_arrays(pixels))


@pytest.mark.parametrize(
    "name", ["inference.json", "inference.pdiparams", "labels.txt", "samples/0.png", "samples/expected.json"]
)
def test_missing_file_is_named(bundle, tmp_path, name):
    folder = tampered(bundle, tmp_path / "b")
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        Bundle.open(folder)


def test_truncated_weights_are_named(bundle, tmp_path):
    folder = tampered(bundle, tmp_path / "b")
    weights = folder / "inference.pdiparams"
    size = weights.stat().st_size
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(BundleError, match=rf"inference\.pdiparams: is damaged: it has {size - 10} bytes.*{size}"):
        Predictor(folder)


def test_stale_weights_of_the_same_size_are_named(bundle, data, tmp_path):
    folder = tampered(bundle, tmp_path / "b")
    other = create_bundle(
        make_net(seed=4), folder=tmp_path / "o", data=data, deployment=quick(), config={}, metrics={}
    )
    shutil.copy(other.folder / "inference.pdiparams", folder / "inference.pdiparams")
    with pytest.raises(BundleError, match=r"inference\.pdiparams: was changed after the export"):
        Bundle.open(folder)


def test_swapped_labels_are_named(bundle, tmp_path):
    folder = tampered(bundle, tmp_path / "b")
    (folder / "labels.txt").write_text("rose\n菊花 daisy\ntulip\n", encoding="utf-8")
    with pytest.raises(BundleError, match=r"labels\.txt: was changed"):
        Bundle.open(folder)


def test_foreign_folders(tmp_path):
    with pytest.raises(BundleError, match="no such folder"):
        Bundle.open(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"is not a bundle, bundle\.yaml is missing"):
        Bundle.open(tmp_path)
    (tmp_path / "bundle.yaml").write_text("Global: {pretrained_model: x}\n", encoding="utf-8")
    with pytest.raises(BundleError, match=r"bundle\.yaml: is damaged or not a bundle's"):
        Bundle.open(tmp_path)
    (tmp_path / "bundle.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match=r"bundle\.yaml.*\n.*UTF-8"):
        Bundle.open(tmp_path)


def test_half_a_record_is_refused(bundle, tmp_path):
    folder = tampered(bundle, tmp_path / "b")
    text = (folder / "bundle.yaml").read_text(encoding="utf-8")
    (folder / "bundle.yaml").write_text(text[: text.index("\nfiles:") + 1], encoding="utf-8")
    with pytest.raises(BundleError, match="files: is required"):
        Bundle.open(folder)


def test_newer_format_is_refused(bundle, tmp_path):
    folder = tampered(bundle, tmp_path / "b")
    edited(folder, lambda facts: facts.update(format=4, new_field=1))
    with pytest.raises(BundleError, match=r"bundle format 4, this paddle_automl .* reads up to 3"):
        Bundle.open(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a\\..\\b"])
def test_files_outside_are_refused(bundle, tmp_path, name):
    folder = tampered(bundle, tmp_path / "b")
    edited(folder, lambda facts: facts["files"].update({name: {"bytes": 1, "sha256": "0"}}))
    with pytest.raises(BundleError, match="inside the bundle"):
        Bundle.open(folder)


def make(folder, net, names=NAMES, **options):
    with replacing_folder(folder, marker="bundle.yaml") as scratch:
        Bundle.write(
            scratch,
            model=net,
            exporter=DeploymentConfig().exporter,
            input=make_input(),
            task=make_task(names),
            **options,
        )
    return Bundle.open(folder)


def test_replaces_an_earlier_bundle(net, tmp_path):
    target = tmp_path / "out" / "model"
    make(target, net)
    (target / "extra.txt").write_text("old", encoding="utf-8")
    (target.parent / ".model.partial-killed").mkdir()
    again = make(target, net, ("a", "b", "c"))
    assert again.task.names == ("a", "b", "c")
    assert not again.verified
    assert not (target / "extra.txt").exists()
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_failure_leaves_the_earlier_bundle(net, tmp_path):
    target = tmp_path / "model"
    make(target, net)
    with pytest.raises(BundleError, match=r"duplicate name 'a'"):
        make(target, net, ("a", "b", "a"))
    assert Bundle.open(target).task.names == NAMES
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["", "two\nlines", "carriage\rreturn"])
def test_class_names_that_labels_cannot_hold(net, tmp_path, name):
    with pytest.raises(BundleError, match="one non-empty line"):
        make(tmp_path / "model", net, ("a", "b", name))


def test_odd_class_names_come_back(net, tmp_path):
    names = (" leading", "u\u2028line", "trailing\t")
    assert make(tmp_path / "model", net, names).task.names == names


def test_other_folders_are_left_alone(net, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"has no bundle\.yaml"):
        make(tmp_path, net)
    assert (tmp_path / "photo.jpg").exists()
    with pytest.raises(OutputError, match="cannot write beside"):
        make(tmp_path / "photo.jpg" / "model", net)


@pytest.mark.parametrize("error", [OSError("disk on fire"), KeyboardInterrupt()])
def test_replacing_puts_the_old_folder_back(tmp_path, monkeypatch, error):
    target = tmp_path / "model"
    target.mkdir()
    (target / "mark").write_text("old", encoding="utf-8")
    real, calls = os.rename, []

    def failing(source, destination):
        calls.append(source)
        if len(calls) == 2:
            raise error
        real(source, destination)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(type(error)), replacing_folder(target, marker="mark") as scratch:
        (scratch / "mark").write_text("new", encoding="utf-8")
    assert (target / "mark").read_text(encoding="utf-8") == "old"


def test_only_float32_is_exported(tmp_path):
    net = make_net()
    net.head.to(dtype="float64")
    with pytest.raises(UnsupportedError, match=r"head\.weight' is float64"):
        make(tmp_path / "model", net)


def test_a_changed_record_is_named(bundle, tmp_path):
    folder = edited(tampered(bundle, tmp_path / "b"), lambda facts: facts["input"].update(mean=[0.7]), seal=False)
    with pytest.raises(BundleError, match=r"bundle\.yaml: was changed after the export .* its own sha256"):
        Bundle.open(folder)
    edited(folder, lambda facts: facts.pop("sha256"), seal=False)
    with pytest.raises(BundleError, match="was changed after the export"):
        Predictor(folder)


def test_another_layout_of_the_same_record_is_no_change(bundle, tmp_path):
    folder = edited(tampered(bundle, tmp_path / "b"), lambda facts: None, seal=False)
    text = (folder / "bundle.yaml").read_text(encoding="utf-8")
    (folder / "bundle.yaml").write_bytes(text.replace("\n", "\r\n").encode("utf-8"))
    assert Bundle.open(folder).verified


def test_odd_values_keep_their_hash(net, tmp_path):
    metrics = {
        "nan": float("nan"),
        "tiny": 1e-300,
        "one": 1.0,
        "text": "2024-01-01",
        "no": "\u2028\x85é\t",
        "1": None,
    }
    opened = make(
        tmp_path / "model", net, metrics=metrics, config={"on": "yes", "list": (1, 2.5), "path": tmp_path}
    )
    assert opened.info.metrics["text"] == "2024-01-01"
    assert opened.info.config["on"] == "yes"
    assert Bundle.open(opened.updated(metrics={"number": 1e22}).folder).info.metrics == {"number": 1e22}


def test_no_folder_of_the_machine(net, tmp_path):
    config = {"output": str(tmp_path), "data": {"dataset": {"name": "image_folder", "root": "photos"}}}
    opened = make(tmp_path / "model", net, config=config)
    assert opened.info.config == {"data": config["data"]}
    assert str(tmp_path) not in (tmp_path / "model" / "bundle.yaml").read_text(encoding="utf-8")


def test_labels_and_inputs_must_fit_the_task_and_the_input(bundle, tmp_path):
    def other_names(facts):
        facts["task"]["names"] = ["a", "b", "c"]

    with pytest.raises(BundleError, match=r"labels\.txt: has other names than the task"):
        Bundle.open(edited(tampered(bundle, tmp_path / "b"), other_names))
    with pytest.raises(BundleError, match="its inputs are not the arrays of its input"):
        Bundle.open(
            edited(tampered(bundle, tmp_path / "c"), lambda facts: facts["inputs"][0].update(shape=[1, 8, 8]))
        )


def test_plugins_of_a_bundle_are_named(bundle, tmp_path):
    def foreign(facts):
        facts["task"] = {"name": "my_task", "names": ["a"]}
        facts["config"]["plugins"] = ["my_package.my_task"]

    folder = edited(tampered(bundle, tmp_path / "b"), foreign)
    assert declared_plugins(folder) == ("my_package.my_task",)
    assert declared_plugins(bundle.folder) == ()
    with pytest.raises(
        BundleError, match=r"made with the plugins my_package\.my_task\. .*--plugin my_package\.my_task"
    ):
        Bundle.open(folder)
    edited(folder, lambda facts: facts["config"].update(plugins=7))
    with pytest.raises(BundleError, match=r"config\.plugins: must be a list"):
        declared_plugins(folder)
