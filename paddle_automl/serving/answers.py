"""Reading JSON bodies and writing JSON answers."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import Request, Response

from paddle_automl.serving.errors import RequestError


def json_answer(data: Any, status: int = 200) -> Response:
    """Return a JSON answer; numbers that are not finite become null."""
    body = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(body, status, media_type="application/json")


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request; raises RequestError (400)."""
    body = await request.body()
    if not body:
        raise RequestError(400, "the request's body is empty; send a JSON object")
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise RequestError(400, "the body must be a JSON object")
    return data
