"""Items of no class: scores, their choice, thresholds, and predictions that say unknown."""

import csv
import io
import json

import numpy as np
import pytest
from paddle import nn
from sklearn.metrics import roc_auc_score

from paddle_automl.core.errors import ConfigError
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import DeploymentConfig, RejectionConfig
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.output import as_csv, as_json, as_table
from paddle_automl.deployment.prediction import unknown_word
from paddle_automl.deployment.predictor import Predictor, Raw
from paddle_automl.deployment.refusal import Values, auroc, compare_scores, threshold_of, values_of, with_threshold
from paddle_automl.deployment.rejection.base import SCORES
from paddle_automl.deployment.rejection_records import CalibrationRecord, Choice, ScoreRecord
from paddle_automl.deployment.verify import Checks, verify_bundle
from tests.unit.deployment.conftest import Net, edited, make_net, make_task, quick, tampered
from tests.unit.deployment.test_tasks import labelled


class Parts(Net):
    """The tiny network, in the two parts that a network of this package has."""

    def features(self, images):
        x = nn.functional.relu(self.norm(self.conv(images)))
        return nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)

    def forward(self, images):
        return self.scale * self.head(self.drop(self.features(images)))


class Whole(nn.Layer):
    def __init__(self):
        super().__init__()
        self.body = make_parts()

    def features(self, images):
        return self.body.features(images)

    def head(self, features):
        return self.body.scale * self.body.head(self.body.drop(features))

    def forward(self, images):
        return self.head(self.features(images))


def make_parts() -> Parts:
    net = Parts()
    net.set_state_dict(make_net().state_dict())
    return net


def choice_of(name: str) -> Choice:
    return Choice(score=SCORES[name].Config(name=name))


def made(name, folder, data, **changes) -> Bundle:
    return create_bundle(
        Whole(),
        folder=folder,
        data=data,
        deployment=quick(**changes),
        config={},
        metrics={},
        choice=choice_of(name),
    )


def test_gen_is_the_paper_s_formula():
    values = np.random.default_rng(1).dirichlet(np.full(7, 0.3), 20)
    gen = SCORES["gen"](SCORES["gen"].Config(name="gen", gamma=0.2, largest=4))
    top = np.sort(values, axis=1)[:, -4:]
    assert np.allclose(gen(values, {}), -((top * (1 - top)) ** 0.2).sum(axis=1), atol=1e-6)


def test_the_area_and_the_threshold():
    rng = np.random.default_rng(2)
    inside, outside = np.round(rng.normal(1, 1, 300), 1), np.round(rng.normal(0, 1, 200), 1)
    expected = roc_auc_score(np.r_[np.ones(300), np.zeros(200)], np.r_[inside, outside])
    assert auroc(inside, outside) == pytest.approx(expected)
    for keep in (0.5, 0.95, 0.999):
        limit = threshold_of(inside, keep)
        assert (inside >= limit).mean() >= keep
        assert (inside > limit).mean() < keep


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 100, 101, 200, 1000])
def test_a_threshold_keeps_no_item_more_than_it_must(count):
    known = np.random.default_rng(0).permutation(count).astype(float)
    for keep in (0.5, 0.9, 0.95, 0.99, 0.999, 1e-6):
        limit = threshold_of(known, keep)
        assert (known >= limit).mean() >= keep
        assert (known > limit).mean() < keep


def test_the_best_score_is_chosen():
    options = RejectionConfig(scores=[SCORES[name].Config(name=name) for name in ("energy", "class_similarity")])
    rng = np.random.default_rng(3)
    # Strangers have features of their own, but raw outputs like those of known items.
    raw, strange_raw = rng.normal(0, 1, (90, 3)), rng.normal(0, 1, (60, 3))
    centres = np.eye(3)
    codes = np.arange(90) % 3
    features = centres[codes] + rng.normal(0, 0.1, (90, 3))
    strange = rng.normal(0, 0.1, (60, 3)) - 1
    known = Values(raw, features)
    found = compare_scores(options, known, Values(strange_raw, strange), (known, codes))
    assert found.score.name == "class_similarity"
    assert found.tried["class_similarity"].auroc > 0.95
    assert 0.3 < found.tried["energy"].auroc < 0.7
    without = compare_scores(options, Values(raw, None), Values(strange_raw, None), (Values(raw, None), codes))
    assert "class_similarity" not in without.tried


@pytest.mark.parametrize("name", ["gen", "class_similarity"])
def test_every_format_has_its_threshold(name, data, tmp_path):
    _check_formats(name, ["paddle_program"], data, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(bool(EXPORTERS["onnx"].missing()), reason="the extra `onnx` is not installed")
@pytest.mark.parametrize("name", SCORES.names())
def test_formats_of_onnx_have_their_thresholds(name, data, tmp_path):
    _check_formats(name, ["onnx", "onnx_int8"], data, tmp_path)


def _check_formats(name, formats, data, tmp_path):
    parity = {"min_agreement_int8": 0.5, "max_drop_int8": 0.5}
    bundle = made(name, tmp_path / "b", data, formats=formats, parity=parity)
    record = bundle.info.rejection
    assert record.score.name == name
    assert set(record.thresholds) == {"paddle_inference", *formats}
    assert all(0.95 <= kept < 1 for kept in record.kept.values())
    assert (record.items, record.held_out) == (80, True)
    assert bundle.info.parity.score_difference < 1e-2
    assert verify_bundle(bundle.folder, Checks(latency=False)).passed
    items = data.validation.raw(np.arange(80))
    score = SCORES[name](record.score)
    whole = Whole()
    values = values_of(whole, data.validation, np.arange(80))
    reference = values_of(whole, data.train, np.arange(10))
    expected = score(values.of(score), score.fit(reference.of(score), data.train.codes, 3))
    for form in record.thresholds:
        predictor = Predictor(bundle, runtime=form)
        found = predictor.predict_read(list(items))
        assert np.mean([item.unknown for item in found]) == pytest.approx(1 - record.kept[form])
        got = np.array([item.known for item in found])
        if EXPORTERS[form].exact:
            assert np.abs(got - expected).max() < 1e-4 * max(1, expected.std())
        else:
            assert np.corrcoef(got, expected)[0, 1] > 0.8


@pytest.fixture(scope="module")
def refusing(data, tmp_path_factory) -> Bundle:
    """A bundle that refuses most items."""
    folder = tmp_path_factory.mktemp("refusing") / "b"
    return made("max_probability", folder, data, rejection={"keep": 0.3})


def test_predictions_say_unknown(refusing):
    predictor = Predictor(refusing)
    files = [refusing.folder / "samples" / f"{number}.png" for number in range(5)]
    found = predictor.predict(files)
    assert {item.unknown for item in found} == {True, False}
    unknown = next(item for item in found if item.unknown)
    assert unknown.label == "unknown"
    assert unknown.nearest == unknown.answer.text == unknown.top(1)[0][0]
    assert unknown.known < refusing.info.rejection.thresholds["paddle_inference"]
    table = as_table(found, predictor.task)
    assert "unknown" in table
    rows = list(csv.DictReader(io.StringIO(as_csv(found, predictor.task).lstrip("\ufeff"))))
    assert [row["label"] for row in rows] == [item.label for item in found]
    assert [row["probability"] == "" for row in rows] == [item.unknown for item in found]
    records = json.loads(as_json(found, predictor.task))
    assert [record["unknown"] for record in records] == [item.unknown for item in found]
    assert all(("nearest" in record) == record["unknown"] for record in records)
    assert [record["probability"] is None for record in records] == [item.unknown for item in found]
    always = Predictor(refusing, reject=False).predict(files)
    assert [item.label for item in always] == [item.nearest for item in found]


def test_a_class_with_that_name():
    assert unknown_word(make_task(("unknown", "b"))) == "<unknown>"
    assert unknown_word(make_task(("a", "b"))) == "unknown"


def test_turned_off(data, tmp_path):
    bundle = made("gen", tmp_path / "b", data, rejection={"active": False})
    assert bundle.info.rejection is None
    (item,) = Predictor(bundle).predict(bundle.folder / "samples" / "0.png")
    assert (item.unknown, item.known) == (False, None)
    assert "unknown" not in json.loads(as_json([item], bundle.task))[0]


def test_a_network_without_features_gets_another_score(net, data, tmp_path):
    bundle = create_bundle(
        net,
        folder=tmp_path / "b",
        data=data,
        deployment=quick(),
        config={},
        metrics={},
        choice=choice_of("class_similarity"),
    )
    assert bundle.info.rejection.score.name == "max_probability"
    assert bundle.info.rejection.auroc is None
    assert "not measured" in bundle.info.rejection.describe()


def test_an_item_with_a_score_that_is_no_number_is_unknown(refusing):
    (item,) = Predictor(refusing).answer(Raw(np.full((1, 3), np.nan, np.float32), np.array([np.nan])))
    assert item.unknown


def test_calibration_is_recorded(data, tmp_path):
    task = data.task.calibrated(np.full((3, 3), 1 / 3, np.float32), np.arange(3))
    hot = type(task)(task.fitted.model_copy(update={"temperature": 2.5}))
    bundle = create_bundle(
        Whole(), folder=tmp_path / "b", data=data.with_task(hot), deployment=quick(), config={}, metrics={}
    )
    record = bundle.info.calibration
    assert (record.temperature, record.items, record.held_out) == (2.5, 80, True)
    outputs = Predictor(bundle).predict_split(data.validation)
    raw = values_of(Whole(), data.validation, np.arange(80)).raw / 2.5
    assert np.allclose(outputs, np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True), atol=1e-5)
    assert record.loss_after == pytest.approx(hot.loss(outputs, data.validation.codes), abs=1e-5)
    assert record.loss_before != pytest.approx(record.loss_after, abs=1e-3)
    assert "temperature 2.500" in record.describe()


def test_another_threshold_needs_another_hash(refusing, tmp_path):
    def lower(facts):
        facts["rejection"]["thresholds"]["paddle_inference"] = 0.0

    folder = edited(tampered(refusing, tmp_path / "b"), lower, seal=False)
    with pytest.raises(Exception, match="was changed after the export"):
        Predictor(folder)


def test_wrong_options():
    for options in (
        {"scores": []},
        {"scores": ["gen", "gen"]},
        {"scores": ["softmax"]},
        {"keep": 1.0},
        {"training_s": -1},
    ):
        with pytest.raises((ConfigError, ValueError)):
            DeploymentConfig.model_validate({"rejection": options})


def test_other_tasks_refuse_nothing(tmp_path):
    data = labelled()
    bundle = create_bundle(make_net(), folder=tmp_path / "b", data=data, deployment=quick(), config={}, metrics={})
    assert (bundle.info.rejection, bundle.info.calibration) == (None, None)
    (item,) = Predictor(bundle).predict(bundle.folder / "samples" / "0.png")
    assert not item.unknown


def test_the_threshold_of_items_that_were_trained_on_is_lowered(refusing):
    known = np.linspace(0, 1, 101)
    record = refusing.info.rejection.model_copy(
        update={"keep": 0.9, "tried": {"max_probability": ScoreRecord(auroc=0.9, refused=0.5, shift=-0.05)}}
    )
    assert with_threshold(record, "a", known, True).thresholds["a"] == pytest.approx(0.1)
    lowered = with_threshold(record, "a", known, False)
    assert lowered.thresholds["a"] == pytest.approx(0.05)
    assert lowered.kept["a"] > 0.94


def test_a_runtime_that_computes_another_score(data, tmp_path, monkeypatch):
    similarity = SCORES["class_similarity"]
    monkeypatch.setattr(
        similarity, "in_graph", lambda self, paddle, values, state: values.sum(axis=1, keepdim=True)
    )
    calls = iter(range(9))
    kept = Predictor.run_items

    def noisy(self, items, **options):
        found = kept(self, items, **options)
        return found if found.known is None else Raw(found.outputs, found.known + next(calls))

    monkeypatch.setattr(Predictor, "run_items", noisy)
    tried = {
        name: ScoreRecord(auroc=value, refused=0.1) for name, value in (("gen", 0.8), ("max_probability", 0.7))
    }
    choice = choice_of("class_similarity").model_copy(update={"tried": tried})
    bundle = create_bundle(
        Whole(), folder=tmp_path / "b", data=data, deployment=quick(), config={}, metrics={}, choice=choice
    )
    assert bundle.info.rejection.score.name == "gen"
    assert bundle.info.rejection.auroc == 0.8


def test_a_calibration_is_told_as_it_is():
    facts = {"temperature": 1.0, "items": 6, "held_out": False, "error_before": 0.07, "error_after": 0.07}
    record = CalibrationRecord.model_validate({**facts, "loss_before": 0.6, "loss_after": 0.6})
    assert "temperature 1 (fitted with at least 50 validation items)" in record.describe()
    assert "0.0700 on 6 validation items" in record.describe()
    other = record.model_copy(update={"items": 60})
    assert "temperature 1 (no other was better)" in other.describe()
    assert "new ones have other errors" in record.model_copy(update={"temperature": 2.0}).describe()
