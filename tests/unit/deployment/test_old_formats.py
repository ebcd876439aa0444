"""Bundles that earlier versions wrote."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from paddle_automl.core.errors import BundleError
from paddle_automl.core.yaml_io import dump_yaml
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.integrity import LABELS
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.samples import check_samples
from paddle_automl.deployment.verify import verify_bundle

SECOND = Path(__file__).parents[2] / "data" / "bundle_format2"
DIGITS = tuple("0123456789")


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(SECOND, tmp_path / "b")
    return tmp_path / "b"


def change(folder, edit):
    facts = yaml.safe_load((folder / "bundle.yaml").read_text(encoding="utf-8"))
    edit(facts)
    (folder / "bundle.yaml").write_text(dump_yaml(facts), encoding="utf-8")
    return folder


def test_a_bundle_of_format_2_is_read():
    bundle = Bundle.open(SECOND)
    assert bundle.verified
    assert (bundle.task.name, bundle.task.names) == ("single_label", DIGITS)
    assert bundle.input.name == "image"
    assert bundle.input.fitted.mean == (0.305719,)
    assert [(item.name, item.shape, item.dtype) for item in bundle.info.inputs] == [("image", (1, 8, 8), "float32")]
    parity = bundle.info.parity
    assert (parity.agreement, parity.min_agreement, parity.raw_source) == (1.0, 1.0, "written files")
    assert (parity.metric, parity.value, parity.drop, parity.max_drop) == (
        "accuracy",
        parity.network_value,
        0.0,
        None,
    )
    assert parity.within_limits
    assert "verified: 359 items and 20 files" in parity.describe()
    assert bundle.info.config["data"]["image_size"] is None


def test_it_predicts_as_it_did():
    check = check_samples(SECOND)
    assert check.passed
    assert check.samples == 5
    assert verify_bundle(SECOND).passed
    found = Predictor(SECOND).predict(SECOND / "samples")
    assert len(found) == 5
    assert found[0].label == max(found[0].probabilities, key=found[0].probabilities.get)
    assert found[0].probabilities["0"] == pytest.approx(0.108865723, abs=1e-6)


def test_it_becomes_format_3_when_it_is_changed(copy):
    again = Bundle.open(copy).updated(metrics={"test": {"accuracy": 0.5}})
    facts = yaml.safe_load((copy / "bundle.yaml").read_text(encoding="utf-8"))
    assert facts["format"] == 3
    assert "preprocess" not in facts
    assert "sha256" in facts
    opened = Bundle.open(copy)
    assert opened.info == again.info
    assert opened.verified
    assert check_samples(opened).passed


def test_a_bundle_of_format_1_is_read(copy):
    def first(facts):
        facts["format"] = 1
        for key in ("formats", "fastest"):
            del facts[key]
        for key in ("accuracy", "network_accuracy", "max_accuracy_drop"):
            del facts["parity"][key]
        for record in facts["latency"]:
            del record["runtime"]

    predictor = Predictor(change(copy, first))
    assert predictor.format == "paddle_inference"
    assert predictor.bundle.verified
    assert predictor.bundle.info.parity.metric is None
    assert predictor.predict_arrays(np.zeros((2, 1, 8, 8), np.uint8)).shape == (2, 10)


def test_further_formats_keep_their_parity_records(copy):
    def two(facts):
        parity = {**facts["parity"], "accuracy": 0.2, "max_accuracy_drop": 0.01, "max_difference": 1.0}
        record = {"exporter": "onnx_int8", "parity": parity, "latency": facts["latency"]}
        facts["formats"] = [record, {"exporter": "onnx", "parity": None}]

    [int8, onnx] = Bundle.open(change(copy, two)).info.formats
    assert int8.parity.drop == pytest.approx(0.008913649)
    assert int8.parity.max_drop == 0.01
    assert int8.parity.verified
    assert onnx.parity is None


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda facts: facts.update(classes=9), r"labels\.txt: has 10 names, but bundle\.yaml says 9 classes"),
        (lambda facts: facts.pop("preprocess"), "input: is required"),
        (lambda facts: facts["preprocess"].update(mean=[0.1, 0.2, 0.3]), "mean and std need 1 values"),
        (lambda facts: facts["preprocess"].update(preprocess=1), "unknown key"),
        (lambda facts: facts.update(input_shape=[1, 8, 9]), "its inputs are not the arrays of its input"),
        (lambda facts: facts.update(parity=[1]), "parity: "),
        (lambda facts: facts.update(formats=[3]), r"formats\.0: "),
        (lambda facts: facts.update(format=-1), None),
    ],
)
def test_damage_is_named(copy, edit, reason):
    change(copy, edit)
    if reason is None:
        assert Bundle.open(copy).verified
        return
    with pytest.raises(BundleError, match=reason):
        Bundle.open(copy)


@pytest.mark.parametrize("number", [2, 1, 0, -1])
def test_a_record_of_format_3_is_not_read_as_an_older_one(copy, number):
    Bundle.open(copy).updated(metrics={"test": {"accuracy": 0.5}})
    change(copy, lambda facts: facts.update(format=number))
    with pytest.raises(BundleError, match="was changed after the export"):
        Bundle.open(copy)


def test_names_come_from_the_labels(copy):
    (copy / LABELS).unlink()
    with pytest.raises(BundleError, match=r"labels\.txt is missing"):
        Bundle.open(copy)
