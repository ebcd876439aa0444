"""The routes of the Open Inference Protocol, version 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from paddle_automl.core.errors import DataError
from paddle_automl.core.version import VERSION
from paddle_automl.deployment.predictor import Prediction, Raw
from paddle_automl.inputs.base import Arrays
from paddle_automl.serving import tensors
from paddle_automl.serving.answers import json_answer
from paddle_automl.serving.batcher import Job
from paddle_automl.serving.errors import RequestError
from paddle_automl.serving.model import ServedModel

SERVER = "paddle_automl"
Answer = tuple[bytes, dict[str, str]]
"""Body and headers of an answer."""
ANSWER = "answer"
"""Output with each item's answer in words."""


def router(model: ServedModel) -> APIRouter:
    """Return the protocol's routes for one model, with its only version, 1."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol V2"])

    @routes.get("")
    async def server_metadata() -> Any:
        return json_answer({"name": SERVER, "version": VERSION, "extensions": ["binary_tensor_data"]})

    @routes.get("/health/live")
    async def live() -> Any:
        return json_answer({"live": True})

    @routes.get("/health/ready")
    async def ready() -> Any:
        return json_answer({"ready": model.ready}, 200 if model.ready else 503)

    @routes.get("/models/{name}")
    @routes.get("/models/{name}/versions/{version}")
    async def model_metadata(name: str, version: str = "1") -> Any:
        _known(model, name, version)
        return json_answer(metadata(model))

    @routes.get("/models/{name}/ready")
    @routes.get("/models/{name}/versions/{version}/ready")
    async def model_ready(name: str, version: str = "1") -> Any:
        _known(model, name, version)
        return json_answer({"name": model.name, "ready": model.ready}, 200 if model.ready else 503)

    @routes.post("/models/{name}/infer")
    @routes.post("/models/{name}/versions/{version}/infer")
    async def infer(request: Request, name: str, version: str = "1") -> Any:
        _known(model, name, version)
        given = tensors.parse(await request.body(), request.headers.get(tensors.HEADER))
        body, headers = await answer(model, given)
        return Response(body, headers=headers)

    return routes


async def answer(model: ServedModel, given: tensors.Request) -> Answer:
    """Return body and headers of the answer to an inference request; raises RequestError."""
    arrays = arrays_of(model, given)
    if arrays is not None:
        return answer_of(model, given, await model.result(submit(model, arrays)))
    predictions = await model.predict(_sources(model, given.inputs[0]))
    for number, item in enumerate(predictions):
        if item.answer is None:
            raise RequestError(400, f"element {number}: {item.error}")
    return _response(model, given, _numbers(predictions), lambda: predictions)


def submit(model: ServedModel, arrays: Arrays) -> Job:
    """Queue arrays; raises RequestError."""
    try:
        return model.submit(arrays)
    except DataError as error:
        raise RequestError(400, str(error)) from None


def answer_of(model: ServedModel, given: tensors.Request, raw: Raw) -> Answer:
    """Return body and headers of the answer from what the network gave.

    With intervals the numbers are those of the answers: the ends that a network gives may be crossed.
    """
    task = model.predictor.task
    if task.outputs == len(task.names):
        return _response(model, given, raw.outputs, lambda: model.predictor.answer(raw))
    predictions = model.predictor.answer(raw)
    intervals = any(item.answer and item.answer.interval for item in predictions)
    return _response(model, given, _numbers(predictions) if intervals else raw.outputs, lambda: predictions)


def _response(
    model: ServedModel, given: tensors.Request, outputs: np.ndarray, answers: Callable[[], Sequence[Prediction]]
) -> Answer:
    found: dict[str, Any] = {outputs_name(model): outputs}
    if given.outputs is None or ANSWER in given.outputs:
        found[ANSWER] = [item.label or "" for item in answers()]
    return tensors.response(given, model.name, found)


def metadata(model: ServedModel) -> dict[str, Any]:
    """Return the model's metadata: inputs and outputs with name, datatype and shape, -1 for an open axis."""
    inputs = [
        {
            "name": spec.name,
            "datatype": tensors.DATATYPE_OF[spec.dtype],
            "shape": [-1, *(-1 if size is None else size for size in spec.shape)],
        }
        for spec in model.predictor.bundle.info.inputs
    ]
    task = model.predictor.task
    found: dict[str, Any] = {
        "name": model.name,
        "versions": ["1"],
        "platform": f"{SERVER}_{model.predictor.format}",
        "inputs": inputs,
        "outputs": [
            {"name": outputs_name(model), "datatype": "FP32", "shape": [-1, task.outputs]},
            {"name": ANSWER, "datatype": tensors.BYTES, "shape": [-1]},
        ],
        "parameters": {"task": task.name, "names": list(task.names), "max_items": model.limits.items},
    }
    if model.media is not None:
        # Instead of the arrays above, one tensor of files or texts: the server prepares them as in training.
        found["parameters"]["raw_input"] = {
            "name": model.word, "datatype": tensors.BYTES, "shape": [-1], "content": list(model.media.types),
        }  # fmt: skip
    return found


def outputs_name(model: ServedModel) -> str:
    """Return the name of the output with the numbers."""
    return "values" if model.predictor.task.final.activation == "identity" else "probabilities"


def arrays_of(model: ServedModel, given: tensors.Request) -> Arrays | None:
    """Return the arrays of a request, or None if it holds files or texts; raises RequestError."""
    if len(given.inputs) == 1 and given.inputs[0].datatype == tensors.BYTES and model.media is not None:
        return None
    arrays = {}
    for tensor in given.inputs:
        if tensor.array is None:
            raise RequestError(400, f"'{tensor.name}' must be numbers, got {tensors.BYTES}")
        arrays[tensor.name] = tensor.array
    return arrays


def _sources(model: ServedModel, tensor: tensors.Tensor) -> Sequence[Any]:
    """Return the files or texts of a tensor of BYTES."""
    names = (model.word, model.predictor.bundle.info.inputs[0].name)
    if tensor.name not in names:
        raise RequestError(400, f"there is no input '{tensor.name}'; the model takes '{names[0]}'")
    if model.media is not None and model.media.kind == "text":
        return [text_of(item, f"'{tensor.name}'") for item in tensor.elements]
    return [
        tensors.decoded(item, f"an element of '{tensor.name}'") if isinstance(item, str) else item
        for item in tensor.elements
    ]


def text_of(item: bytes | str, where: str) -> str:
    """Return a text, of bytes as UTF-8; raises RequestError (400)."""
    try:
        return item if isinstance(item, str) else item.decode("utf-8")
    except UnicodeDecodeError:
        raise RequestError(400, f"{where} must be a text in UTF-8") from None


def _numbers(predictions: Sequence[Prediction]) -> np.ndarray:
    """Return the outputs ``[N, K]`` in the order of `Task.outputs`: values, then all lower and all upper ends."""
    rows = []
    for item in predictions:
        ends = list(item.answer.interval.values()) if item.answer else []
        rows.append([*(item.probabilities or {}).values(), *(low for low, _ in ends), *(high for _, high in ends)])
    return np.array(rows, np.float32)


def _known(model: ServedModel, name: str, version: str) -> None:
    if name != model.name:
        raise RequestError(404, f"there is no model '{name[:80]}'; this server has '{model.name}'")
    if version != "1":
        raise RequestError(404, f"the model '{name}' has no version '{version[:20]}', only 1")
