"""The plain route for people: ``POST /predict`` with files, texts, base64 or a raw body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from paddle_automl.deployment.output import as_dict
from paddle_automl.deployment.predictor import Prediction
from paddle_automl.serving.answers import json_answer, json_body
from paddle_automl.serving.errors import RequestError
from paddle_automl.serving.model import ServedModel
from paddle_automl.serving.tensors import decoded
from paddle_automl.serving.v2 import text_of

PATH = "/predict"
MOST_FIELDS = 16
"""Form fields besides items."""
MOST_TOP = 10**6


def router(model: ServedModel) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["plain"])

    @routes.post(PATH)
    async def predict(request: Request) -> Any:
        names: list[str] | None = None
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        top: Any = request.query_params.get("top")
        if model.media is None:
            raise RequestError(415, f"this model takes only tensors; send them to /v2/models/{model.name}/infer")
        if kind == "multipart/form-data":
            items, names, given = await _form(model, request)
            top = top if given is None else given
        elif kind == "application/json":
            data = await json_body(request)
            items, names = _from_json(model, data)
            top = data.get("top", top)
        else:
            items = [_raw(model, kind, await request.body())]
        count = _top(top)
        predictions = await model.predict(items, names)
        return _answer(model, predictions, count)

    return routes


def _answer(model: ServedModel, predictions: Sequence[Prediction], top: int | None) -> Any:
    """Return the predictions; an item that cannot be read has an ``error``. RequestError (400) if none can."""
    if all(item.answer is None for item in predictions):
        raise RequestError(400, "; ".join(dict.fromkeys(item.error or "" for item in predictions))[:1000])
    records = [
        {"name": item.name}
        | ({"error": item.error} if item.answer is None else as_dict(item, model.predictor.task, top))
        for item in predictions
    ]
    return json_answer({"model": model.name, "predictions": records})


async def _form(model: ServedModel, request: Request) -> tuple[list[Any], list[str], Any]:
    most = model.limits.items
    try:
        form = await request.form(
            max_files=most, max_fields=most + MOST_FIELDS, max_part_size=model.limits.body_bytes
        )
    except (MultiPartException, HTTPException) as error:
        reason = getattr(error, "message", None) or getattr(error, "detail", "") or "it is damaged"
        raise RequestError(400, f"the form cannot be read: {reason}") from None
    items: list[Any] = []
    names: list[str] = []
    top = None
    try:
        for field, value in form.multi_items():
            if isinstance(value, UploadFile):
                items.append(_item(model, await value.read()))
                names.append((value.filename or model.word)[:200])
            elif field == "top":
                top = value
            else:
                items.append(_item(model, value))
                names.append(_name_of(value))
    finally:
        await form.close()
    return items, names, top


def _from_json(model: ServedModel, data: dict[str, Any]) -> tuple[list[Any], list[str] | None]:
    one, several = model.word, f"{model.word}s"
    unknown = set(data) - {one, several, "top"}
    if unknown or (one in data) == (several in data):
        wrong = f", got {', '.join(sorted(unknown))[:80]}" if unknown else ""
        raise RequestError(400, f"the JSON object needs either '{one}' or '{several}', and may have 'top'{wrong}")
    given = [data[one]] if one in data else data[several]
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        form = "texts" if _takes_texts(model) else "base64 texts"
        raise RequestError(400, f"'{one}' must be a text, and '{several}' a list of {form}")
    model.check_count(len(given))
    if _takes_texts(model):
        return given, [_name_of(item) for item in given]
    return [decoded(item, f"a value of '{one if one in data else several}'") for item in given], None


def _raw(model: ServedModel, kind: str, body: bytes) -> Any:
    """Return the item that is the whole body."""
    if not body:
        raise RequestError(400, f"the request's body is empty; send one {model.word}, a form, or JSON")
    if _takes_texts(model):
        if kind not in ("", "text/plain"):
            raise RequestError(415, f"this model takes a text (text/plain), got {kind[:80]}")
        return text_of(body, "the body")
    if kind.startswith("text/"):
        raise _not_a_text(model)
    return body


def _item(model: ServedModel, value: bytes | str) -> Any:
    """Return one item of a form."""
    if _takes_texts(model):
        return text_of(value, "each file")
    if isinstance(value, str):
        raise _not_a_text(model)
    return value


def _not_a_text(model: ServedModel) -> RequestError:
    return RequestError(415, f"this model takes an {model.word} as a file, got a text")


def _takes_texts(model: ServedModel) -> bool:
    return model.media is not None and model.media.kind == "text"


def _top(given: Any) -> int | None:
    """Return the number of names to list; None: all."""
    if given is None:
        return None
    text = str(given)
    # Python refuses to read thousands of digits, zeros in front among them.
    digits = text.isascii() and text.isdigit() and len(text) <= 9
    if isinstance(given, bool) or not digits or not 1 <= int(text) <= MOST_TOP:
        raise RequestError(400, f"top must be an integer of 1 to {MOST_TOP:,}, got '{text[:20]}'")
    return int(text)


def _name_of(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
