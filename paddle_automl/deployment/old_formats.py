"""Conversion of bundles of formats 1 and 2, which only had images with one class each, to format 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paddle_automl.core.errors import BundleError

_PARITY_KEYS = {
    "top1_agreement": "agreement",
    "max_abs_difference": "largest_difference",
    "raw_max_abs_difference": "raw_largest_difference",
    "min_top1_agreement": "min_agreement",
    "worst_file": "worst_item",
    "accuracy": "value",
    "network_accuracy": "network_value",
    "max_accuracy_drop": "max_drop",
}


def converted(data: Mapping[str, Any], class_names: Sequence[str], *, to: int) -> dict[str, Any]:
    """Return the content of an older ``bundle.yaml`` in format `to`; `class_names` are those of labels.txt.

    Missing and wrong values are left to the validation. Raises BundleError if the number of classes differs from
    that of the names.
    """
    result = dict(data) | {"format": to}
    classes, shape = result.pop("classes", None), result.pop("input_shape", None)
    if classes is not None and classes != len(class_names):
        raise BundleError(
            f"labels.txt: has {len(class_names)} names, but bundle.yaml says {classes} classes; "
            "export the bundle again"
        )
    result["task"] = {"name": "single_label", "names": list(class_names)}
    preprocess = result.pop("preprocess", None)
    if isinstance(preprocess, Mapping):
        renamed = {"size" if key == "image_size" else key: value for key, value in preprocess.items()}
        result["input"] = {"name": "image", **renamed}
    if shape is not None:
        result["inputs"] = [{"name": "image", "shape": shape, "dtype": "float32"}]
    if "parity" in result:
        result["parity"] = _renamed_parity(result["parity"])
    formats = result.get("formats", [])
    if isinstance(formats, list):
        result["formats"] = [
            {**item, "parity": _renamed_parity(item.get("parity"))} if isinstance(item, Mapping) else item
            for item in formats
        ]
    return result


def _renamed_parity(old: Any) -> Any:
    if not isinstance(old, Mapping):
        return old
    new = {_PARITY_KEYS.get(key, key): value for key, value in old.items()}
    if new.get("raw_source") == "written images":
        new["raw_source"] = "written files"
    new["scale"] = 1.0
    value, before = new.get("value"), new.get("network_value")
    if isinstance(value, (int, float)) and isinstance(before, (int, float)):
        new |= {"metric": "accuracy", "drop": before - value}
    return new
