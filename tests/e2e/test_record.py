"""A search of version 0.1 again: the same choices, metrics and weights, under keys that have moved since."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from paddle_automl.paddle_compat.weights import load_weights
from paddle_automl.search.reading import read_study
from tests.e2e.conftest import run_tool

RECORD = Path(__file__).parents[1] / "data" / "record_digits"


def hash_of(weights):
    whole = hashlib.sha256()
    for name, array in sorted(weights.items()):
        whole.update(f"{name}\0{array.dtype}\0{list(array.shape)}\0".encode() + array.tobytes())
    return whole.hexdigest()


def test_the_search_of_version_0_1_gives_what_it_gave(tmp_path):
    ran = run_tool("search", "-c", RECORD / "config.yaml", "-o", f"output={tmp_path}", "-o", "training.epochs=4")
    assert ran.code == 0, ran.err
    assert "'final' is now 'refit'" in ran.out + ran.err
    trials = read_study(tmp_path / "study.db").trials
    expected = json.loads((RECORD / "record.json").read_text())["trials"]
    assert len(trials) == len(expected)
    for trial, known in zip(trials, expected, strict=True):
        assert trial.params == known["params"]
        for key, value in known["metrics"].items():
            # Another processor rounds otherwise, and a sum of a thousand steps shows it.
            assert trial.user_attrs["metrics"][key] == pytest.approx(value, rel=0.05, abs=0.03), key
        if known["sha256"]:
            compare_weights(tmp_path / "trials" / f"{trial.number:04d}" / "best.pdparams", known)


def compare_weights(file, known):
    weights = load_weights(file)
    assert sorted(weights) == sorted(known["norms"])
    if hash_of(weights) == known["sha256"]:
        return
    for name, norm in known["norms"].items():
        found = float(np.linalg.norm(weights[name].astype(np.float64)))
        assert found == pytest.approx(norm, rel=0.05, abs=0.05), name
