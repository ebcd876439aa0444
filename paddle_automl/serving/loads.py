"""The requests of a load test, made from what a server says of its model."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import numpy as np
import orjson

from paddle_automl.core.errors import ConfigError, MachineError
from paddle_automl.serving.client import Target, fetch
from paddle_automl.serving.tensors import DATATYPES, HEADER

FORMS = ("tensor", "json", "sample")
"""What is sent: random numbers as binary tensors, the same as JSON, or the bundle's samples."""
DIFFERENT = 16
"""Number of different requests that are sent in turn."""
OPEN_AXIS = 16
"""Length of an axis that the model leaves open."""


async def described(target: Target, model: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metadata (V2) of a server's model, and what its page shows of it (empty on another server).

    Raises MachineError if the server does not answer, ConfigError if the name of its model is unknown or no
    server of the protocol answers.
    """
    status, body = await fetch(target, "/info")
    if status == 401:
        raise ConfigError("--token: the server asks for its token")
    # Another server may have a page of its own there.
    info = (_object(body) if status == 200 else None) or {}
    name = model or info.get("model")
    if name is None:
        raise ConfigError(f"--model: the server does not say what its model is called (status {status}); name it")
    status, body = await fetch(target, f"/v2/models/{quote(name)}")
    if status != 200:
        raise ConfigError(f"--model: the server has no metadata of '{name}' (status {status})")
    metadata = _object(body)
    if metadata is None or not {"name", "inputs", "outputs"} <= set(metadata):
        raise ConfigError(f"URL: what the server says of '{name}' is no metadata of the Open Inference Protocol V2")
    return metadata, info


def _object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object of an answer, or None if it is something else."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def tensor_requests(
    target: Target, metadata: dict[str, Any], *, binary: bool, items: int = 1, seed: int = 0
) -> list[bytes]:
    """Return requests with random tensors of `items` items, as binary tensors or as JSON.

    Raises ConfigError for integers: only a vocabulary knows which are valid.
    """
    rng = np.random.default_rng(seed)
    path = f"/v2/models/{quote(metadata['name'])}/infer"
    return [_tensors(target, path, metadata, rng, binary=binary, items=items) for _ in range(DIFFERENT)]


def _tensors(
    target: Target, path: str, metadata: dict[str, Any], rng: np.random.Generator, *, binary: bool, items: int
) -> bytes:
    inputs, raw = [], []
    for spec in metadata["inputs"]:
        if not spec["datatype"].startswith("FP"):
            raise ConfigError(
                f"--send: '{spec['name']}' takes {spec['datatype']}, not numbers at random; use sample"
            )
        shape = [items, *(OPEN_AXIS if size < 0 else size for size in spec["shape"][1:])]
        array = rng.standard_normal(shape).astype(DATATYPES[spec["datatype"]])
        item: dict[str, Any] = {"name": spec["name"], "datatype": spec["datatype"], "shape": shape}
        if binary:
            item["parameters"] = {"binary_data_size": array.nbytes}
            raw.append(array.tobytes())
        else:
            item["data"] = array.ravel()
        inputs.append(item)
    wanted = {"name": metadata["outputs"][0]["name"], "parameters": {"binary_data": binary}}
    head = orjson.dumps({"inputs": inputs, "outputs": [wanted]}, option=orjson.OPT_SERIALIZE_NUMPY)
    if not binary:
        return target.request(path, head, Content_Type="application/json")
    options = {HEADER: str(len(head)), "Content_Type": "application/octet-stream"}
    return target.request(path, b"".join([head, *raw]), **options)


async def sample_requests(target: Target, info: dict[str, Any]) -> list[bytes]:
    """Return one request for each sample of the server's bundle, with its file or its text as the body."""
    requests = []
    for number in range(len(info.get("samples", ()))):
        status, body = await fetch(target, f"/samples/{number}")
        if status != 200:
            raise MachineError(f"the server does not give its sample {number} (status {status})")
        kind = "text/plain" if info["media"]["kind"] == "text" else "application/octet-stream"
        requests.append(target.request("/predict?top=1", body, Content_Type=kind))
    if not requests:
        raise ConfigError("--send: the server's bundle has no samples; use tensor")
    return requests
