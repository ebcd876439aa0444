"""What CONTRIBUTING.md says: its files exist, its layers are those that are checked, its example works."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def block(start: str) -> str:
    """Return the text of the first code block that begins with `start`."""
    return next(text for text in re.findall(r"```\w*\n(.*?)```", TEXT, flags=re.DOTALL) if text.startswith(start))


def test_files_that_are_named_exist():
    patterns = r"(?:tools|configs|tests|\.ci)/[\w/]+(?:\.\w+)?", r"core/\w+\.py", r"\b[A-Z_]+(?:_cn)?\.md"
    named = {path for pattern in patterns for path in re.findall(pattern, TEXT)}
    assert {"tools/check.sh", ".ci/run", "core/moved.py", "CHANGELOG.md", "configs/digits.yaml"} <= named
    for path in named:
        assert (ROOT / path).exists() or (ROOT / "paddle_automl" / path).exists(), path


def test_layers_are_those_of_the_import_linter():
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.findall(r'"(.+)"', re.search(r"layers = \[(.*?)\]", settings, flags=re.DOTALL).group(1))
    # Brackets allow for a package that is not there.
    assert block("__main__").splitlines() == [re.sub(r"[()]", "", layer) for layer in layers]


BUILD = """
import paddle
from paddle_automl.core.plugins import load_plugins
load_plugins(["./halving.py"])
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.layers import LayerFactory
cls, defaults = BACKBONES["halving"], ModelConfig()
layers = LayerFactory(defaults.activation, defaults.norm, defaults.initializer)
backbone = cls(cls.Config(width=4), in_channels=3, layers=layers, image_size=(32, 32))
print(backbone.out_features, *backbone(paddle.zeros([2, 3, 32, 32])).shape)
"""


def test_the_backbone_of_the_example_works(tmp_path):
    (tmp_path / "halving.py").write_text(block('"""Convolutions'), encoding="utf-8")
    run = subprocess.run([sys.executable, "-c", BUILD], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["16", "2", "16", "4", "4"], run.stderr
