"""The plain route and PaddleX's, for every kind of answer."""

import base64
import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.unit.serving.conftest import running


def form(*parts, boundary="xyz"):
    """Return body and type of a form; a part is (field, content) or (field, content, file name)."""
    lines = []
    for field, content, *name in parts:
        file = f'; filename="{name[0]}"' if name else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"{file}\r\n\r\n'
        lines.append(head.encode() + (content if isinstance(content, bytes) else content.encode()) + b"\r\n")
    return b"".join(lines) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def photo(size=(30, 20), kind="JPEG"):
    target = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (*size, 3), np.uint8)).save(target, kind)
    return target.getvalue()


def bomb(width=60_000, height=60_000):
    """Return a small PNG file that claims to be huge."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def test_an_image_in_every_form_gives_the_same(server, predictor, png):
    expected = predictor.predict(png)[0]
    body, kind = form(("image", png, "雏菊.png"), ("top", "2"))
    answers = [
        server.post("/predict", body, Content_Type=kind),
        server.post("/predict?top=2", png, Content_Type="image/png"),
        server.post("/predict?top=2", png),
        server.post("/predict", {"image": coded(png), "top": 2}),
        server.post("/predict", {"images": [f"data:image/png;base64,{coded(png)}"], "top": 2}),
    ]
    for answer in answers:
        assert answer.status == 200, answer.body
        [found] = answer.json["predictions"]
        assert found["label"] == expected.label
        assert found["probability"] == pytest.approx(expected.probability, abs=1e-5)
        assert list(found["probabilities"]) == [name for name, _ in expected.top(2)]
    assert answers[0].json["predictions"][0]["name"] == "雏菊.png"
    assert answers[1].json["predictions"][0]["name"] == "image"


def test_several_at_once_and_one_that_cannot_be_read(server, png):
    other = photo()
    body, kind = form(("a", png, "a.png"), ("b", b"no image", "b.png"), ("c", other, "c.jpg"))
    answer = server.post("/predict", body, Content_Type=kind)
    assert answer.status == 200
    first, second, third = answer.json["predictions"]
    assert (first["name"], second["name"], third["name"]) == ("a.png", "b.png", "c.jpg")
    assert second == {"name": "b.png", "error": "image: is not an image in a known format, or is damaged"}
    assert len(first["probabilities"]) == len(third["probabilities"]) == 3


WRONG = {
    "empty": (b"", "image/png", 400, "the request's body is empty"),
    "no image": (b"MZ\x90", "image/png", 400, "is not an image in a known format"),
    "cut off": (photo()[:200], "image/jpeg", 400, "image: cannot be decoded"),
    "bomb": (bomb(), "image/png", 400, "has 3,600,000,000 pixels, more than the 178,956,970 allowed"),
    "large": (bomb(8000, 7000), "image/png", 400, "has 56,000,000 pixels, more than the 50,000,000 allowed"),
    "text": (b"a red flower", "text/plain", 415, "this model takes an image as a file, got a text"),
    "text in a form": (*form(("text", "a red flower")), 415, "this model takes an image as a file, got a text"),
    "form without end": (form(("image", photo(), "a.jpg"))[0][:-100], "multipart/form-data; boundary=xyz", 400, ""),
    "form without boundary": (b"--x\r\n", "multipart/form-data", 400, "the form cannot be read"),
    "empty form": (*form(), 400, "the request has no image"),
    "too many": (*form(*[("i", b"x", "x.png")] * 70), 400, "the form cannot be read: Too many files"),
    "wrong top": (*form(("image", photo(), "a.jpg"), ("top", "-1")), 400, "top must be an integer of 1 to 1,000"),
    "long top": (
        *form(("image", photo(), "a.jpg"), ("top", "000000001" + "1" * 5000)),
        400,
        "top must be an integer",
    ),
    "no JSON": (b"{", "application/json", 400, "the body is not JSON"),
    "JSON list": (b"[]", "application/json", 400, "the body must be a JSON object"),
    "JSON text": (b'{"text": "red"}', "application/json", 400, "needs either 'image' or 'images'"),
    "JSON number": (b'{"image": 5}', "application/json", 400, "'image' must be a text"),
    "JSON address": (b'{"image": "http://x/y.png"}', "application/json", 400, "is not base64"),
    "JSON nothing": (b'{"images": []}', "application/json", 400, "the request has no image"),
    "JSON many": (json.dumps({"images": ["AA=="] * 65}).encode(), "application/json", 413, "has 65 images"),
    "JSON top": (b'{"image": "AAAA", "top": true}', "application/json", 400, "top must be an integer"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_gets_one_sentence(server, case):
    body, kind, status, sentence = WRONG[case]
    answer = server.post("/predict", body, Content_Type=kind)
    assert (answer.status, sentence in answer.error) == (status, True), answer.body
    assert answer.error
    assert "\n" not in answer.error


def test_labels_and_numbers(labels, numbers, png):
    with running(labels) as server:
        expected = labels.predict(png)[0]
        [found] = server.post("/predict?top=1", png).json["predictions"]
        assert found["labels"] == list(expected.answer.labels)
        assert list(found["probabilities"]) == [expected.top(1)[0][0]]
    with running(numbers) as server:
        [found] = server.post("/predict", png).json["predictions"]
        lower, upper = found["intervals"]["price"]
        assert lower <= upper
        assert set(found["values"]) == {"price"}
        assert server.post("/image-classification", {"image": coded(png)}).status == 404


def test_paddlex_route_of_one_class(server, predictor, png):
    answer = server.post("/image-classification", {"image": coded(png), "topk": 2})
    assert answer.status == 200
    found = answer.json
    assert (found["errorCode"], found["errorMsg"]) == (0, "Success")
    assert found["logId"]
    expected = predictor.predict(png)[0].top(2)
    assert [(item["name"], item["id"]) for item in found["result"]["categories"]] == [
        (name, predictor.names.index(name)) for name, _ in expected
    ]
    assert found["result"]["categories"][0]["score"] == pytest.approx(expected[0][1], abs=1e-6)
    assert len(server.post("/image-classification", {"image": coded(png)}).json["result"]["categories"]) == 3
    assert server.get("/health").json["errorMsg"] == "Healthy"


def test_paddlex_errors_have_its_form(server):
    for body, sentence in (
        ({"image": "http://example.org/a.png"}, "this server fetches nothing"),
        ({"image": 5}, "'image' must be an image as base64"),
        ({"image": "AAAA"}, "is not an image in a known format"),
        ({"image": "AAAA", "topk": 0}, "topk must be an integer of at least 1"),
    ):
        answer = server.post("/image-classification", body)
        assert (answer.status, answer.json["errorCode"]) == (422, 422)
        assert sentence in answer.json["errorMsg"]


def test_paddlex_route_of_several_labels(labels, png):
    path = "/multilabel-image-classification"
    with running(labels) as server:
        expected = labels.predict(png)[0]
        own = server.post(path, {"image": coded(png)}).json["result"]["categories"]
        assert {item["name"] for item in own} == set(expected.answer.labels)
        every = {
            item["id"]
            for item in server.post(path, {"image": coded(png), "threshold": 0}).json["result"]["categories"]
        }
        assert every == {0, 1, 2}
        chosen = server.post(path, {"image": coded(png), "threshold": {"default": 2, "1": 0}}).json
        assert [item["id"] for item in chosen["result"]["categories"]] == [1]
        assert (
            server.post(path, {"image": coded(png), "threshold": [2, 2, 0]}).json["result"]["categories"][0]["id"]
            == 2
        )
        assert server.post(path, {"image": coded(png), "threshold": "high"}).status == 422
