"""The routes of PaddleX's basic serving for image classification, so that its clients work unchanged.

Request: ``{"image": BASE64, "topk": 5}``; answer: ``{"logId", "errorCode", "errorMsg", "result": {"categories":
[{"id", "name", "score"}]}}``. Several labels have a route of their own with ``threshold``. An address as ``image``
is refused: this server fetches nothing.
"""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter, Request

from paddle_automl.deployment.predictor import Prediction
from paddle_automl.serving.answers import json_answer, json_body
from paddle_automl.serving.errors import RequestError
from paddle_automl.serving.model import ServedModel
from paddle_automl.serving.tensors import decoded

ONE, SEVERAL = "/image-classification", "/multilabel-image-classification"
PATHS = frozenset({ONE, SEVERAL, "/health"})
TOP = 5


def router(model: ServedModel) -> APIRouter:
    """Return the routes that fit the model: one for images with one class, another for several labels."""
    routes = APIRouter()

    @routes.get("/health", tags=["PaddleX"])
    async def health() -> Any:
        return json_answer({"logId": _log_id(), "errorCode": 0, "errorMsg": "Healthy"})

    takes_images = model.media is not None and "image/*" in model.media.types
    activation = model.predictor.task.final.activation
    if takes_images and activation == "softmax":

        @routes.post(ONE, tags=["PaddleX"])
        async def classify(request: Request) -> Any:
            data = await json_body(request)
            top = data.get("topk") if data.get("topk") is not None else TOP
            if not isinstance(top, int) or isinstance(top, bool) or top < 1:
                raise RequestError(422, "topk must be an integer of at least 1")
            return json_answer(_success(_categories(model, await _predicted(model, data))[:top]))

    if takes_images and activation == "sigmoid":

        @routes.post(SEVERAL, tags=["PaddleX"])
        async def labels(request: Request) -> Any:
            data = await json_body(request)
            found = await _predicted(model, data)
            return json_answer(_success(_above(model, found, data.get("threshold"))))

    return routes


def failure(error: RequestError) -> dict[str, Any]:
    """Return a refusal in the form of these routes."""
    return {"logId": _log_id(), "errorCode": error.status, "errorMsg": str(error)}


async def _predicted(model: ServedModel, data: dict[str, Any]) -> Prediction:
    image = data.get("image")
    if not isinstance(image, str):
        raise RequestError(422, "'image' must be an image as base64")
    if image.startswith(("http://", "https://")):
        raise RequestError(422, "'image' is an address, but this server fetches nothing; send the image as base64")
    (found,) = await model.predict([decoded(image, "'image'")])
    if found.answer is None:
        raise RequestError(422, found.error or "the image cannot be read")
    return found


def _categories(model: ServedModel, found: Prediction) -> list[dict[str, Any]]:
    """Return all classes with number, name and probability, likeliest first."""
    number = {name: row for row, name in enumerate(model.predictor.names)}
    values = found.probabilities or {}
    ranked = sorted(values.items(), key=lambda item: -item[1])
    return [{"id": number[name], "name": name, "score": value} for name, value in ranked]


def _above(model: ServedModel, found: Prediction, threshold: Any) -> list[dict[str, Any]]:
    """Return the labels that apply: by the bundle's own thresholds, or by those of the request."""
    categories = _categories(model, found)
    if threshold is None:
        applying = set(found.answer.labels) if found.answer else set()
        return [item for item in categories if item["name"] in applying]
    count = len(model.predictor.names)
    if isinstance(threshold, (int, float)) and not isinstance(threshold, bool):
        limits = [float(threshold)] * count
    elif isinstance(threshold, list) and len(threshold) == count and all(map(_is_number, threshold)):
        limits = [float(value) for value in threshold]
    elif isinstance(threshold, dict) and all(map(_is_number, threshold.values())):
        default = float(threshold.get("default", 0.5))
        limits = [float(threshold.get(str(row), default)) for row in range(count)]
    else:
        raise RequestError(422, f"threshold must be a number, {count} numbers, or an object of numbers by class id")
    return [item for item in categories if item["score"] >= limits[item["id"]]]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _success(categories: list[dict[str, Any]]) -> dict[str, Any]:
    return {"logId": _log_id(), "errorCode": 0, "errorMsg": "Success", "result": {"categories": categories}}


def _log_id() -> str:
    return str(uuid.uuid4())
