"""Other inputs than images: texts, and arrays alone."""

import json

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.deployment.predictor import Predictor
from paddle_automl.inputs.base import INPUTS
from paddle_automl.inputs.text import TextInput
from paddle_automl.tasks.single_label import SingleLabel
from tests.browser import browser
from tests.contracts.registering import registered
from tests.contracts.toys import Texts
from tests.unit.serving.conftest import NAME, running, written

TEXTS = ["房间 很 干净", "早餐 太 差", "the room was clean", "the food was bad", "a clean room", "bad food"] * 3


class Bag(nn.Layer):
    """The weighted sum of the rows of n-grams: [N, L] and [N, L] to logits [N, 2]."""

    def __init__(self, rows):
        super().__init__()
        self.table = nn.Embedding(rows, 2)

    def forward(self, ngrams, weights):
        return (self.table(ngrams) * weights.unsqueeze(-1)).sum(axis=1)


class Mean(nn.Layer):
    """The mean of the rows of ids, and the length: logits [N, 2]."""

    def __init__(self, rows):
        super().__init__()
        self.table = nn.Embedding(rows, 2)

    def forward(self, ids, length):
        return self.table(ids).sum(axis=1) / length


def task(*names):
    return SingleLabel(SingleLabel.Fitted(name="single_label", names=names))


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    items = np.array(TEXTS, dtype=object)
    config = TextInput.Config(name="text", tokens="none")
    reader = TextInput.reader(config, sources=None, items=items)
    source = TextInput.fit(config, reader, TextInput.measure(config, reader, [items]))
    paddle.seed(1)
    folder = tmp_path_factory.mktemp("texts") / "model"
    return Predictor(written(folder, task("好", "差"), source, Bag(source.rows("ngrams"))))


@pytest.fixture(scope="module")
def texts(reviews):
    with running(reviews, queue=100_000) as found:
        yield found


def test_a_request_of_texts_of_several_lengths_does_not_wait_for_itself(reviews):
    """A server that has nothing else to do takes more items at once than may wait."""
    with running(reviews, queue=3) as server:
        answer = server.post("/predict", {"texts": ["a", "b", "c d e f g", "h i j k l"]})
        assert (answer.status, len(answer.json.get("predictions", ()))) == (200, 4), answer.body


def test_texts_in_every_form(texts, reviews):
    expected = [item.label for item in reviews.predict(["房间 很 干净", "bad food"])]
    answers = [
        texts.post("/predict", {"texts": ["房间 很 干净", "bad food"]}),
        texts.post(
            "/predict",
            b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
            + "房间 很 干净".encode()
            + b'\r\n--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nbad food\r\n--b--\r\n',
            Content_Type="multipart/form-data; boundary=b",
        ),
    ]
    for answer in answers:
        assert answer.status == 200, answer.body
        assert [item["label"] for item in answer.json["predictions"]] == expected
    answer = texts.post("/predict", "房间 很 干净".encode(), Content_Type="text/plain; charset=utf-8")
    assert answer.json["predictions"][0]["label"] == expected[0]
    request = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["房间 很 干净", "bad food"]}
    found = texts.infer(inputs=[request])
    assert found.json["outputs"][1]["data"] == expected


def test_wrong_texts(texts):
    for body, kind, status, sentence in (
        (b"\xff\xfe\xfa", "text/plain", 400, "the body must be a text in UTF-8"),
        (b"\x89PNG", "image/png", 415, "this model takes a text (text/plain), got image/png"),
        (json.dumps({"text": "x" * 20_001}).encode(), "application/json", 400, "has 20,001 characters, more than"),
        (b'{"image": "AAAA"}', "application/json", 400, "needs either 'text' or 'texts'"),
        (b'{"text": "\\ud800"}', "application/json", 400, "the body is not JSON"),
    ):
        answer = texts.post("/predict", body, Content_Type=kind)
        assert (answer.status, sentence in answer.error) == (status, True), answer.body
    assert texts.post("/image-classification", {"image": "AAAA"}).status == 404


def test_a_path_is_a_text_and_not_a_file(texts, reviews):
    name = str(reviews.bundle.folder / "labels.txt")
    answer = texts.post("/predict", {"text": name})
    [expected] = reviews.predict_read([np.array(name, dtype=object)])
    assert answer.json["predictions"][0]["label"] == expected.label


def tensors(ids, weights):
    ids, weights = np.asarray(ids), np.asarray(weights, np.float32)
    return [
        {"name": "ngrams", "datatype": "INT64", "shape": list(ids.shape), "data": ids.ravel().tolist()},
        {
            "name": "ngram_weights",
            "datatype": "FP32",
            "shape": list(weights.shape),
            "data": weights.ravel().tolist(),
        },
    ]


def test_indices_stay_in_their_table(texts, reviews):
    rows = reviews.input.rows("ngrams")
    assert texts.infer(inputs=tensors([[0, rows - 1]], [[1, 1]])).status == 200
    for wrong in (rows, -1, 2**62):
        answer = texts.infer(inputs=tensors([[0, wrong]], [[1, 1]]))
        assert (answer.status, answer.error) == (
            400,
            f"arrays: 'ngrams' must be from 0 to {rows - 1}, got {min(wrong, 0)} to {max(wrong, 0)}",
        )
    many = np.zeros((1, 2**18 + 1), np.int64)
    answer = texts.infer(inputs=tensors(many, many))
    assert (answer.status, "more than the 262,144 allowed" in answer.error) == (400, True)


def test_a_long_text_is_not_joined_with_short_ones(texts):
    batches = []
    texts.app.model._batcher._formed = batches.append
    answer = texts.post("/predict", {"texts": ["bad food", "room " * 500, "a clean room"]})
    assert [len(item["probabilities"]) for item in answer.json["predictions"]] == [2, 2, 2]
    assert sorted(batches) == [1, 2]


def test_the_page_takes_texts(texts):
    with browser() as found, found.page(f"http://127.0.0.1:{texts.port}/") as page:
        page.wait("info !== null && !document.getElementById('texts').hidden")
        page.run("document.getElementById('text').value = 'a clean room'")
        page.click("#send")
        page.wait("document.querySelectorAll('#results .result').length === 1")
        assert page.text(".answer") in ("好", "差")
        assert (page.external, page.errors) == ([], [])


def test_an_input_without_media_takes_its_arrays(tmp_path):
    fitted = Texts.Fitted(name="toy_text", lower=True, words=("calm", "wild"))
    paddle.seed(2)
    with registered(INPUTS, "toy_text", Texts):
        bundle = written(tmp_path / "model", task("a", "b"), Texts(fitted), Mean(3))
    predictor = Predictor(bundle)
    with running(predictor) as server:
        assert "raw_input" not in server.get(f"/v2/models/{NAME}").json["parameters"]
        answer = server.post("/predict", b"calm")
        assert (answer.status, "this model takes only tensors" in answer.error) == (415, True)
        ids = {"name": "ids", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]}
        length = {"name": "length", "datatype": "FP32", "shape": [1, 1], "data": [2]}
        answer = server.infer(inputs=[ids, length])
        assert answer.status == 200, answer.body
        expected = predictor.run({"ids": np.array([[1, 2]]), "length": np.array([[2]], np.float32)})
        np.testing.assert_allclose(answer.json["outputs"][0]["data"], expected.outputs[0], atol=1e-6)
        assert server.infer(inputs=[ids]).error == "arrays: must be ids, length, got ids"
        answer = server.infer(inputs=[ids | {"data": [1, 3]}, length])
        assert (answer.status, answer.error) == (400, "arrays: 'ids' must be from 0 to 2, got 1 to 3")
