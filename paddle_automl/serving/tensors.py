"""The tensors of the Open Inference Protocol (V2): JSON, and binary after a JSON header.

https://github.com/kserve/open-inference-protocol and its extension for binary tensors: the header
``Inference-Header-Content-Length`` gives the length of the JSON part, ``binary_data_size`` that of each tensor, in
the order of the inputs, little-endian and row by row. In an element of BYTES, four bytes of length come first.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import orjson

from paddle_automl.serving.errors import RequestError

HEADER = "inference-header-content-length"
BYTES = "BYTES"
DATATYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
"""Datatypes of the protocol and NumPy's names for them; BYTES besides."""
DATATYPE_OF = {dtype: name for name, dtype in DATATYPES.items()}
MOST_AXES = 8
MOST_TENSORS = 16


@dataclass(frozen=True)
class Tensor:
    """One tensor of a request: an array, or the elements of BYTES."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    array: np.ndarray | None = None
    elements: tuple[bytes | str, ...] = ()


@dataclass(frozen=True)
class Request:
    """A parsed request of the protocol."""

    id: str | None
    inputs: tuple[Tensor, ...]
    outputs: Mapping[str, bool] | None = None
    """The outputs that are asked for by name, with whether each is to be binary; None: all."""
    binary: bool = False
    """Whether outputs are binary that do not say it themselves."""
    parameters: Mapping[str, Any] = field(default_factory=dict)


def parse(body: bytes, header_length: str | None) -> Request:
    """Return the request of a body; raises RequestError (400) that says what is wrong with it."""
    head, rest = _parts(body, header_length)
    data = _json(head)
    inputs = data.get("inputs")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= MOST_TENSORS:
        raise _bad(f"'inputs' must be a list of 1 to {MOST_TENSORS} tensors")
    parameters = _parameters(data, "the request")
    position, tensors = 0, []
    for number, given in enumerate(inputs):
        tensor, position = _tensor(given, f"inputs[{number}]", rest, position)
        tensors.append(tensor)
    if position != len(rest):
        raise _bad(f"the body has {len(rest) - position} bytes after its last tensor")
    names = [tensor.name for tensor in tensors]
    if len(set(names)) < len(names):
        raise _bad("two inputs have the same name")
    binary = parameters.get("binary_data_output") is True
    identity = data.get("id")
    if identity is not None and not (isinstance(identity, str) and len(identity) <= 256):
        raise _bad("'id' must be a text of at most 256 characters")
    return Request(identity, tuple(tensors), _wanted(data.get("outputs"), binary), binary, parameters)


def response(
    request: Request, model: str, outputs: Mapping[str, np.ndarray | Sequence[str]]
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of an answer with the outputs that `request` asks for, of those given.

    Raises RequestError (400) for an output that the model does not have.
    """
    wanted = request.outputs if request.outputs is not None else dict.fromkeys(outputs, request.binary)
    described, binary = [], []
    for name, as_binary in wanted.items():
        if name not in outputs:
            raise _bad(f"there is no output '{name}'; the model has {', '.join(outputs)}")
        values = outputs[name]
        if isinstance(values, np.ndarray):
            item: dict[str, Any] = {
                "name": name, "datatype": DATATYPE_OF[str(values.dtype)], "shape": list(values.shape),
            }  # fmt: skip
            raw = values.tobytes() if as_binary else b""
        else:
            item = {"name": name, "datatype": BYTES, "shape": [len(values)]}
            raw = b"".join(_element(text) for text in values) if as_binary else b""
        if as_binary:
            item["parameters"] = {"binary_data_size": len(raw)}
            binary.append(raw)
        else:
            item["data"] = values.ravel() if isinstance(values, np.ndarray) else list(values)
        described.append(item)
    answer: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": described}
    if request.id is not None:
        answer["id"] = request.id
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not binary:
        return head, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER: str(len(head))}
    return b"".join([head, *binary]), headers


def _parts(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    # Python refuses to read thousands of digits, zeros in front among them.
    digits = header_length.isascii() and header_length.isdigit() and len(header_length) <= 15
    if not digits or int(header_length) > len(body):
        raise _bad(f"the header {HEADER} must be the length of the JSON part, at most {len(body)}")
    cut = int(header_length)
    return body[:cut], memoryview(body)[cut:]


def _json(head: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(head)
    except orjson.JSONDecodeError as error:
        raise _bad(f"the body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise _bad("the body must be a JSON object")
    return data


def _tensor(given: Any, where: str, rest: memoryview, position: int) -> tuple[Tensor, int]:
    if not isinstance(given, dict):
        raise _bad(f"{where} must be an object with name, shape, datatype and data")
    name, datatype = given.get("name"), given.get("datatype")
    if not isinstance(name, str):
        raise _bad(f"{where}.name must be a text")
    if datatype != BYTES and (not isinstance(datatype, str) or datatype not in DATATYPES):
        raise _bad(f"{where}.datatype must be {BYTES} or one of {', '.join(DATATYPES)}")
    shape = _shape(given.get("shape"), where)
    size = _parameters(given, where).get("binary_data_size")
    if size is None:
        return _from_json(name, datatype, shape, given.get("data"), where), position
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(rest) - position:
        raise _bad(f"{where}: binary_data_size is {str(size)[:20]}, but {len(rest) - position} bytes are left")
    raw = rest[position : position + size]
    return _from_bytes(name, datatype, shape, raw, where), position + size


def _shape(shape: Any, where: str) -> tuple[int, ...]:
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= MOST_AXES
        or not all(isinstance(size, int) and not isinstance(size, bool) and 0 < size < 2**31 for size in shape)
    ):
        raise _bad(f"{where}.shape must be a list of 1 to {MOST_AXES} positive integers")
    return tuple(shape)


def _from_bytes(name: str, datatype: str, shape: tuple[int, ...], raw: memoryview, where: str) -> Tensor:
    count = math.prod(shape)
    if datatype == BYTES:
        elements, position = [], 0
        while position < len(raw):
            end = position + 4 + int.from_bytes(raw[position : position + 4], "little")
            if position + 4 > len(raw) or end > len(raw):
                raise _bad(f"{where}: an element of BYTES is cut off")
            elements.append(bytes(raw[position + 4 : end]))
            position = end
        return _with_elements(name, shape, elements, where)
    dtype = np.dtype(DATATYPES[datatype]).newbyteorder("<")
    if len(raw) != count * dtype.itemsize:
        raise _bad(
            f"{where}: shape {list(shape)} of {datatype} needs {count * dtype.itemsize} bytes, got {len(raw)}"
        )
    return Tensor(name, datatype, shape, np.frombuffer(raw, dtype).reshape(shape))


def _from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any, where: str) -> Tensor:
    if not isinstance(data, list):
        raise _bad(f"{where} needs 'data', a list, or binary_data_size in its parameters")
    count = math.prod(shape)
    if datatype == BYTES:
        return _with_elements(name, shape, [_text_element(item, where) for item in data], where)
    wrong = _bad(f"{where}.data must be numbers that fit {datatype}, flat or nested by its shape")
    if not _only_numbers(data):
        raise wrong
    try:
        array = np.asarray(data)
    except ValueError:
        raise _bad(f"{where}.data must be numbers, flat or nested by its shape") from None
    allowed = "b" if datatype == "BOOL" else "iuf" if datatype.startswith("FP") else "iu"
    if array.dtype.kind not in allowed and array.size:
        raise wrong
    if array.size != count or (array.ndim > 1 and array.shape != shape):
        raise _bad(f"{where}: shape {list(shape)} needs {count} numbers, got {list(array.shape)}")
    dtype = np.dtype(DATATYPES[datatype])
    if array.dtype.kind in "iu" and dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise _bad(f"{where}.data has numbers that do not fit {datatype}")
    with np.errstate(over="ignore"):
        return Tensor(name, datatype, shape, array.astype(dtype).reshape(shape))


def _only_numbers(data: list[Any]) -> bool:
    """Return whether a list holds numbers alone, in lists of at most `MOST_AXES` levels.

    As an array of NumPy, one long text would make all elements as long.
    """
    for _ in range(MOST_AXES):
        kinds = set(map(type, data))
        if kinds != {list}:
            return kinds <= {int, float, bool}
        data = list(chain.from_iterable(data))
    return False


def _with_elements(name: str, shape: tuple[int, ...], elements: Sequence[bytes | str], where: str) -> Tensor:
    if math.prod(shape) != len(elements) or math.prod(shape[1:]) != 1:
        raise _bad(f"{where}: shape {list(shape)} must be [N] or [N, 1], with the {len(elements)} elements given")
    return Tensor(name, BYTES, shape, elements=tuple(elements))


def _text_element(item: Any, where: str) -> str:
    if not isinstance(item, str):
        raise _bad(f"{where}.data must be texts (of a file: base64)")
    return item


def decoded(text: str, where: str) -> bytes:
    """Return the bytes of base64, with or without the start of a ``data:`` address; raises RequestError (400)."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _bad(f"{where} is not base64") from None


def _wanted(given: Any, binary: bool) -> dict[str, bool] | None:
    if given is None or given == []:
        return None
    if not isinstance(given, list) or len(given) > MOST_TENSORS:
        raise _bad(f"'outputs' must be a list of at most {MOST_TENSORS} objects with a name")
    wanted = {}
    for number, item in enumerate(given):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise _bad(f"outputs[{number}] must be an object with a name")
        wanted[item["name"]] = _parameters(item, f"outputs[{number}]").get("binary_data", binary) is True
    return wanted


def _parameters(given: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = given.get("parameters", {})
    if not isinstance(parameters, dict):
        raise _bad(f"{where}: 'parameters' must be an object")
    return parameters


def _element(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    return len(raw).to_bytes(4, "little") + raw


def _bad(reason: str) -> RequestError:
    return RequestError(400, reason)
