"""Bundles: damage to any file is noticed; a changed record with a fitting hash ends in answers or a BundleError."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from paddle_automl.core.errors import BundleError
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.integrity import INFO, LABELS, file_record, sealed
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.samples import EXPECTED, SAMPLES
from paddle_automl.deployment.verify import verify_bundle
from tests.fuzz.damage import MANY, SAMPLE, Growth, damaged, only_two_ends
from tests.unit.deployment.conftest import array_data, make_net, quick

counts = pytest.mark.parametrize("count", [SAMPLE // 4, pytest.param(MANY, marks=pytest.mark.slow)])
ITEM = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 10), dtype=np.uint8)
VALUES = (
    *(None, True, -1, 0, 1, 7, 2**31, 2**70, 1e308, -0.5, float("nan"), float("inf")),
    *("", "x", "../../etc/passwd", "/etc/passwd", "a\x00b", "\u202e", "9" * 400, "image"),
    *([], [[]], [1, 2, 3, 4], ["a"] * 300, {}, {"name": "x"}, {"a": {"b": []}}),
)
"""What a value of a record is replaced by."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    folder = tmp_path_factory.mktemp("fuzz") / "model"
    return create_bundle(make_net(), folder=folder, data=array_data(), deployment=quick(), config={}, metrics={})


@pytest.fixture
def copy(bundle, tmp_path) -> Path:
    return Path(shutil.copytree(bundle.folder, tmp_path / "copy"))


def outputs(folder: Path) -> np.ndarray:
    return Predictor(folder).predict_items(ITEM)


@counts
def test_damaged_files(bundle, copy, count):
    expected = outputs(bundle.folder)
    files = sorted(path.relative_to(copy) for path in copy.rglob("*") if path.is_file())
    assert len(files) > 5
    with Growth():
        for name in files:
            file = copy / name
            sound = file.read_bytes()
            for content in damaged(sound, count // 3, seed=len(str(name))):
                file.write_bytes(content)
                if only_two_ends(lambda: Bundle.open(copy), BundleError) and content != sound:
                    # What a record is hashed by is its content, not the layout of its text.
                    assert name == Path(INFO)
                    assert (outputs(copy) == expected).all()
            file.unlink()
            with pytest.raises(BundleError):
                Bundle.open(copy)
            file.write_bytes(sound)
    assert (outputs(copy) == expected).all()


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _places(item, (*path, key))
    return found


def _change(facts: dict[str, Any], rng: np.random.Generator) -> None:
    places = _places(facts)
    *way, last = places[int(rng.integers(len(places)))]
    node: Any = facts
    for key in way:
        node = node[key]
    if rng.random() < 0.15:
        del node[last]
    else:
        node[last] = VALUES[int(rng.integers(len(VALUES)))]


def use(folder: Path) -> None:
    """Do with a bundle what commands do; a changed one may answer something else, but in numbers."""
    bundle = Bundle.open(folder)
    assert bundle.verified in (True, False)
    assert bundle.size_mb >= 0
    predictor = Predictor(bundle)
    predictor.answers(predictor.predict_items(ITEM))
    verify_bundle(folder).describe()


@counts
def test_changed_records_with_a_fitting_hash(copy, count):
    facts = yaml.safe_load((copy / INFO).read_text(encoding="utf-8"))
    rng = np.random.default_rng(3)
    with Growth():
        for _ in range(count):
            changed = yaml.safe_load(yaml.safe_dump(facts))
            _change(changed, rng)
            (copy / INFO).write_text(sealed(changed), encoding="utf-8")
            only_two_ends(lambda: use(copy), BundleError)


@counts
@pytest.mark.parametrize("name", [LABELS, f"{SAMPLES}/{EXPECTED}", f"{SAMPLES}/0.png"])
def test_changed_files_with_a_fitting_hash(copy, name, count):
    facts = yaml.safe_load((copy / INFO).read_text(encoding="utf-8"))
    file = copy / name
    with Growth():
        for content in damaged(file.read_bytes(), count // 3, seed=5):
            file.write_bytes(content)
            facts["files"][name] = file_record(file).model_dump()
            (copy / INFO).write_text(sealed(facts), encoding="utf-8")
            only_two_ends(lambda: use(copy), BundleError)


def test_a_fastest_format_that_is_not_there(copy):
    facts = yaml.safe_load((copy / INFO).read_text(encoding="utf-8"))
    for name in ("x", "onnx", ""):
        (copy / INFO).write_text(sealed({**facts, "fastest": name}), encoding="utf-8")
        with pytest.raises(BundleError, match="fastest: must be one of the formats paddle_inference"):
            Bundle.open(copy)
