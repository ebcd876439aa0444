"""The page at ``/``, and what it shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response

from paddle_automl.deployment.bundle import SAMPLES
from paddle_automl.deployment.samples import EXPECTED
from paddle_automl.serving.answers import json_answer
from paddle_automl.serving.errors import RequestError
from paddle_automl.serving.model import ServedModel

FOLDER = Path(__file__).parent
FILES = {
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "words.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
TYPES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
    ".bmp": "image/bmp", ".txt": "text/plain; charset=utf-8",
}  # fmt: skip
"""Media types of samples that a browser shows."""
MOST_SAMPLES = 8


def router(model: ServedModel) -> APIRouter:
    """Return the routes of the page, of its files, and of what it shows."""
    routes = APIRouter(tags=["page"])
    shown = samples(model)

    @routes.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(_file("index.html"), media_type="text/html; charset=utf-8")

    @routes.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in FILES:
            raise RequestError(404, "there is nothing at this address")
        return Response(_file(name), media_type=FILES[name])

    @routes.get("/info")
    async def information() -> Any:
        return json_answer(info(model) | {"samples": [{"truth": item.truth} for item in shown]})

    @routes.get("/samples/{number}")
    async def sample(number: str) -> Response:
        # Python refuses to read thousands of digits.
        digits = number.isascii() and number.isdigit() and len(number) < 4
        if not digits or int(number) >= len(shown):
            raise RequestError(404, f"there is no sample '{number[:20]}'; the bundle has {len(shown)}")
        path = shown[int(number)].path
        return Response(path.read_bytes(), media_type=TYPES[path.suffix.lower()])

    return routes


def info(model: ServedModel) -> dict[str, Any]:
    """Return what the page needs to know of the model."""
    predictor = model.predictor
    task, media = predictor.task, model.media
    return {
        "model": model.name,
        "word": model.word,
        "media": None if media is None else {"kind": media.kind, "types": list(media.types), "unit": media.unit},
        "task": task.name,
        "activation": task.final.activation,
        "names": list(task.names),
        "format": predictor.format,
        "size_mb": round(predictor.bundle.size_mb, 3),
        "created": predictor.bundle.info.created,
        "limits": {"items": model.limits.items, "body_mb": model.limits.body_mb, "extent": model.extent},
    }


@dataclass(frozen=True)
class Sample:
    """A sample of the bundle: its file and its true answer."""

    path: Path
    truth: str


def samples(model: ServedModel) -> list[Sample]:
    """Return the bundle's samples that a browser can show, of different truths first."""
    folder = model.predictor.bundle.folder / SAMPLES
    try:
        records = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))["samples"]
        found = [Sample(folder / str(item["file"]), str(item.get("truth", ""))) for item in records]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    # Only files of the bundle itself, whatever the record names.
    own = {folder.parent / name for name in model.predictor.bundle.info.files}
    usable = [item for item in found if item.path in own and item.path.suffix.lower() in TYPES]
    first = {item.truth: item for item in reversed(usable)}
    ordered = [*first.values(), *(item for item in usable if first[item.truth] is not item)]
    return ordered[:MOST_SAMPLES]


@lru_cache(maxsize=16)
def _file(name: str) -> bytes:
    return (FOLDER / name).read_bytes()
