"""Prediction in an environment of its own, without Paddle, with ONNX Runtime."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.predictor import Predictor
from tests.unit.deployment.conftest import array_data, make_net, quick

ROOT = Path(__file__).parents[2]
CODE = """
import json, sys
import paddle_automl
from pathlib import Path

predictor = paddle_automl.Predictor(sys.argv[1])
found = predictor.predict(Path(sys.argv[1]) / "samples")
answers = [item.probabilities for item in found]
facts = {"format": predictor.format, "paddle": "paddle" in sys.modules, "found": answers}
print(json.dumps(facts))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(EXPORTERS["onnx"].missing()), reason="the extra `onnx` is not installed"),
]


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> str:
    """The interpreter of an environment with the extra `runtime` and without Paddle."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    program = str(folder / "bin" / "python")
    words = [program, "-m", "pip", "install", "--quiet", f"{ROOT}[runtime]"]
    made = subprocess.run(
        words, env={**os.environ, "PADDLE_AUTOML_PADDLE": "none"}, capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"the packages cannot be installed here: {made.stderr.strip().splitlines()[-1]}")
    return program


def test_a_bundle_with_an_onnx_file_predicts_without_paddle(python, tmp_path):
    bundle = create_bundle(
        make_net(),
        folder=tmp_path / "b",
        data=array_data(),
        deployment=quick(formats=["onnx"]),
        config={},
        metrics={},
    )
    files = str(bundle.folder / "samples")
    expected = [item.probabilities for item in Predictor(bundle, runtime="paddle").predict(files)]

    def run(*words):
        return subprocess.run([python, *words], capture_output=True, text=True, cwd=tmp_path, check=False)

    assert run("-c", "import paddle").returncode == 1
    done = run("-c", CODE, str(bundle.folder))
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["format"], facts["paddle"]) == ("onnx", False)
    for got, row in zip(facts["found"], expected, strict=True):
        assert got == pytest.approx(row, abs=1e-5)
    done = run("-m", "paddle_automl", "verify", str(bundle.folder))
    assert done.returncode == 0, done.stderr
    assert "not run: paddle_inference" in done.stdout
    done = run("-m", "paddle_automl", "predict", "-m", str(bundle.folder), files, "--runtime", "paddle")
    assert done.returncode == 2
    assert "paddle is not installed" in done.stderr
