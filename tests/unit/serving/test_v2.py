"""The Open Inference Protocol V2 against a running server."""

import base64
import json
import tracemalloc

import numpy as np
import pytest

from paddle_automl.serving.errors import RequestError
from paddle_automl.serving.tensors import HEADER, parse
from tests.unit.serving.conftest import INFER, NAME, SHAPE, Running, running


def arrays(count=2, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype("float32")


def tensor(array, **changes):
    return {
        "name": "image",
        "datatype": "FP32",
        "shape": list(array.shape),
        "data": array.ravel().tolist(),
        **changes,
    }


def binary(server: Running, array, outputs=(("probabilities", True),), **changes):
    head = {
        "inputs": [
            {
                "name": "image",
                "datatype": "FP32",
                "shape": list(array.shape),
                "parameters": {"binary_data_size": array.nbytes},
                **changes,
            }
        ],
        "outputs": [{"name": name, "parameters": {"binary_data": flag}} for name, flag in outputs],
    }
    raw = json.dumps(head).encode()
    return server.ask("POST", INFER, raw + array.tobytes(), {HEADER: str(len(raw))})


def test_health_and_metadata(server):
    assert server.get("/v2/health/live").json == {"live": True}
    assert server.get("/v2/health/ready").json == {"ready": True}
    assert server.get("/v2").json["name"] == "paddle_automl"
    assert server.get("/v2").json["extensions"] == ["binary_tensor_data"]
    found = server.get(f"/v2/models/{NAME}").json
    assert found == server.get(f"/v2/models/{NAME}/versions/1").json
    assert found["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, *SHAPE]}]
    assert found["outputs"][0] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}
    assert found["parameters"]["raw_input"]["datatype"] == "BYTES"
    assert server.get(f"/v2/models/{NAME}/ready").json == {"name": NAME, "ready": True}


@pytest.mark.parametrize("nested", [False, True])
def test_json_tensors_give_what_the_predictor_gives(server, predictor, nested):
    given = arrays(3)
    request = tensor(given, **({"data": given.tolist()} if nested else {}))
    answer = server.infer(id="x7", inputs=[request])
    assert answer.status == 200
    found = answer.json
    assert (found["id"], found["model_name"], found["model_version"]) == ("x7", NAME, "1")
    values, words = found["outputs"]
    assert (values["shape"], values["datatype"]) == ([3, 3], "FP32")
    raw = predictor.run({"image": given})
    np.testing.assert_allclose(np.reshape(values["data"], (3, 3)), raw.outputs, atol=1e-6)
    assert words == {
        "name": "answer",
        "datatype": "BYTES",
        "shape": [3],
        "data": [item.label for item in predictor.answer(raw)],
    }


def test_binary_tensors_give_the_same(server, predictor):
    given = arrays(5)
    answer = binary(server, given, outputs=(("answer", True), ("probabilities", True)))
    assert answer.status == 200
    length = int(answer.headers[HEADER])
    words, values = json.loads(answer.body[:length])["outputs"]
    sizes = [item["parameters"]["binary_data_size"] for item in (words, values)]
    assert len(answer.body) == length + sum(sizes)
    raw = predictor.run({"image": given})
    found = np.frombuffer(answer.body[length + sizes[0] :], "<f4").reshape(5, 3)
    np.testing.assert_allclose(found, raw.outputs, atol=1e-6)
    texts, rest = [], answer.body[length : length + sizes[0]]
    while rest:
        end = 4 + int.from_bytes(rest[:4], "little")
        texts, rest = [*texts, rest[4:end].decode()], rest[end:]
    assert texts == [item.label for item in predictor.answer(raw)]


@pytest.mark.parametrize("files", [False, True])
def test_a_request_larger_than_a_batch_is_run_in_parts(predictor, png, monkeypatch, files):
    sizes, run = [], predictor.run

    def counted(arrays):
        sizes.append(len(arrays["image"]))
        return run(arrays)

    monkeypatch.setattr(predictor, "run", counted)
    given = arrays(10)
    with running(predictor, batch=4) as server:
        sizes.clear()  # Those of the warm-up.
        texts = [base64.b64encode(png).decode()] * 10
        item = {"name": "image", "datatype": "BYTES", "shape": [10], "data": texts} if files else tensor(given)
        answer = server.infer(inputs=[item])
        assert sorted(sizes) == [2, 4, 4]
    values = answer.json["outputs"][0]
    expected = np.stack([list(predictor.predict(png)[0].probabilities.values())] * 10)
    if not files:
        expected = run({"image": given}).outputs
    np.testing.assert_allclose(np.reshape(values["data"], (10, 3)), expected, atol=1e-6)


def test_outputs_are_those_that_are_asked_for(server):
    given = arrays(1)
    assert [
        item["name"] for item in server.infer(inputs=[tensor(given)], outputs=[{"name": "answer"}]).json["outputs"]
    ] == ["answer"]
    answer = server.infer(inputs=[tensor(given)], outputs=[{"name": "logits"}])
    assert (answer.status, answer.error) == (
        400,
        "there is no output 'logits'; the model has probabilities",
    )
    answer = server.infer(inputs=[tensor(given)], parameters={"binary_data_output": True})
    assert HEADER in answer.headers


def test_files_are_read_as_in_training(server, predictor, png):
    expected = predictor.predict(png)[0]
    text = base64.b64encode(png).decode()
    answer = server.infer(inputs=[{"name": "image", "datatype": "BYTES", "shape": [2], "data": [text, text]}])
    assert answer.status == 200
    values, words = answer.json["outputs"]
    np.testing.assert_allclose(values["data"][:3], list(expected.probabilities.values()), atol=1e-6)
    assert words["data"] == [expected.label] * 2

    raw = len(png).to_bytes(4, "little") + png
    head = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    start = json.dumps({"inputs": [head]}).encode()
    answer = server.ask("POST", INFER, start + raw, {HEADER: str(len(start))})
    assert answer.json["outputs"][1]["data"] == [expected.label]


def wrong(**changes):
    return {"inputs": [tensor(arrays(1), **changes)]}


PICTURE = {"name": "image", "datatype": "BYTES", "shape": [1]}
WRONG = {
    "no object": ([1], 400, "the body must be a JSON object"),
    "no inputs": ({}, 400, "'inputs' must be a list of 1 to 16 tensors"),
    "another name": (wrong(name="pixels"), 400, "arrays: must be image, got pixels"),
    "another size": (
        wrong(shape=[1, 1, 10, 8]),
        400,
        "must give 'image' the shape [N, 1, 8, 10], got [N, 1, 10, 8]",
    ),
    "another rank": (wrong(shape=[80]), 400, "must give 'image' the shape"),
    "another type": (wrong(datatype="INT32", data=[0] * 80), 400, "'image' must be float32, got int32"),
    "unknown type": (wrong(datatype="FLOAT"), 400, "datatype must be BYTES or one of BOOL"),
    "too few numbers": (wrong(data=[0.0]), 400, "needs 80 numbers, got [1]"),
    "texts as numbers": (wrong(data=["1.5"] * 80), 400, "must be numbers that fit FP32"),
    "objects as numbers": (wrong(data=[{}] * 80), 400, "must be numbers that fit FP32"),
    "ragged": (wrong(data=[[1.0], [1.0, 2.0]]), 400, "must be numbers, flat or nested by its shape"),
    "a text among numbers": (wrong(data=[0.5] * 79 + ["1.5"]), 400, "must be numbers that fit FP32"),
    "lists among numbers": (wrong(data=[0.5] * 79 + [[0.5]]), 400, "must be numbers that fit FP32"),
    "too many axes": (wrong(data=[[[[[[[[[0.5]]]]]]]]]), 400, "must be numbers that fit FP32"),
    "nothing as numbers": (wrong(data=[None] * 80), 400, "must be numbers that fit FP32"),
    "integers that do not fit": (wrong(datatype="UINT8", data=[256] * 80), 400, "do not fit UINT8"),
    "negative shape": (wrong(shape=[-1, 1, 8, 10]), 400, "a list of 1 to 8 positive integers"),
    "huge shape": (wrong(shape=[2**30, 2**30, 8, 10]), 400, "needs"),
    "no data": (wrong(data=None), 400, "needs 'data', a list, or binary_data_size"),
    "many items": (
        {"inputs": [tensor(arrays(65))]},
        413,
        "the request has 65 images, more than the 64 allowed",
    ),
    "same input twice": ({"inputs": [tensor(arrays(1))] * 2}, 400, "two inputs have the same name"),
    "no base64": ({"inputs": [{**PICTURE, "data": ["?"]}]}, 400, "an element of 'image' is not base64"),
    "no image": (
        {"inputs": [{**PICTURE, "data": ["AAAA"]}]},
        400,
        "element 0: image: is not an image in a known format",
    ),
    "number as file": ({"inputs": [{**PICTURE, "data": [5]}]}, 400, "must be texts (of a file: base64)"),
    "id": ({"id": 5, "inputs": [tensor(arrays(1))]}, 400, "'id' must be a text"),
    "parameters": ({"parameters": 5, "inputs": [tensor(arrays(1))]}, 400, "'parameters' must be an object"),
    "outputs": ({"outputs": "all", "inputs": [tensor(arrays(1))]}, 400, "'outputs' must be a list"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_gets_one_sentence(server, case):
    body, status, sentence = WRONG[case]
    answer = server.post(INFER, json.dumps(body).encode())
    assert (answer.status, sentence in answer.error) == (status, True), answer.body
    assert "\n" not in answer.error


def test_wrong_binary_tensors(server):
    given = arrays(1)
    answer = binary(server, given, parameters={"binary_data_size": 100})
    assert (answer.status, "needs 320 bytes, got 100" in answer.error) == (400, True)
    answer = binary(server, given, parameters={"binary_data_size": 10**12})
    assert (answer.status, "320 bytes are left" in answer.error) == (400, True)
    answer = binary(server, np.concatenate([given, given]), shape=[1, *SHAPE], parameters={"binary_data_size": 320})
    assert (answer.status, "320 bytes after its last tensor" in answer.error) == (400, True)
    answer = binary(server, np.full_like(given, np.nan))
    assert (answer.status, answer.error) == (400, "'image' has values that are not finite numbers")
    for length in ("-1", "10000000000000000000000000", "x", "", "0" * 5000, "0" * 20 + "999"):
        answer = server.ask("POST", INFER, b"{}", {HEADER: length})
        assert (answer.status, "must be the length of the JSON part" in answer.error) == (400, True)
    head = {"inputs": [{**PICTURE, "parameters": {"binary_data_size": 6}}]}
    raw = json.dumps(head).encode()
    answer = server.ask("POST", INFER, raw + b"\xff\xff\xff\xff12", {HEADER: str(len(raw))})
    assert (answer.status, answer.error) == (400, "inputs[0]: an element of BYTES is cut off")


def test_another_model_or_version_is_unknown(server):
    for path in ("/v2/models/roses", "/v2/models/roses/ready"):
        answer = server.get(path)
        assert (answer.status, answer.error) == (404, f"there is no model 'roses'; this server has '{NAME}'")
    assert server.post("/v2/models/roses/infer", {}).status == 404
    answer = server.get(f"/v2/models/{NAME}/versions/2")
    assert (answer.status, answer.error) == (404, f"the model '{NAME}' has no version '2', only 1")
    assert server.get("/v3").error == "there is nothing at this address"
    assert server.get(INFER).status == 405


@pytest.mark.parametrize("other", ["", 0, [""]])
def test_texts_of_unlike_length_take_no_memory(other):
    # As an array of texts each element would be as long as the longest: 160 MB.
    body = json.dumps(wrong(data=["x" * 20_000, *[other] * 2_000])).encode()
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match="must be numbers that fit FP32"):
            parse(body, None)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_texts_deeply_nested_are_refused(server):
    answer = server.post(INFER, b"[" * 100_000)
    assert (answer.status, "the body is not JSON" in answer.error) == (400, True)


def test_numbers_are_called_values(numbers):
    with running(numbers) as server:
        assert server.get(f"/v2/models/{NAME}").json["outputs"][0]["name"] == "values"
        answer = server.infer(inputs=[tensor(arrays(2))])
        raw = numbers.run({"image": arrays(2)})
        np.testing.assert_allclose(answer.json["outputs"][0]["data"][::3], raw.outputs[:, 0], rtol=1e-5)


def test_a_file_and_its_tensor_get_the_same_numbers_with_their_intervals(numbers, png):
    array = numbers.input.batch(np.stack([numbers.read(png)]))["image"]
    file = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(png).decode()]}
    with running(numbers) as server:
        (width,) = server.get(f"/v2/models/{NAME}").json["outputs"][0]["shape"][1:]
        of_file, of_tensor = (server.infer(inputs=[item]).json["outputs"][0] for item in (file, tensor(array)))
    assert of_file["shape"] == of_tensor["shape"] == [1, width]
    np.testing.assert_allclose(of_file["data"], of_tensor["data"], rtol=1e-5)


def test_intervals_of_tensors_are_those_of_the_answers(numbers):
    given = arrays(16)
    raw = numbers.run({"image": given})
    points, low, high = raw.outputs.T
    assert ((low > points) | (points > high)).any()  # The network's own ends cross.
    ends = [answer.interval["price"] for answer in numbers.answers(raw.outputs)]
    expected = np.column_stack([points, ends])
    with running(numbers) as server:
        answer = server.infer(inputs=[tensor(given)], outputs=[{"name": "values"}])
        [found] = answer.json["outputs"]
        assert (found["datatype"], found["shape"]) == ("FP32", [16, 3])
        np.testing.assert_allclose(np.reshape(found["data"], (16, 3)), expected, rtol=1e-5)
        raw_answer = binary(server, given, outputs=(("values", True),))
        found = np.frombuffer(raw_answer.body[int(raw_answer.headers[HEADER]) :], "<f4").reshape(16, 3)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
