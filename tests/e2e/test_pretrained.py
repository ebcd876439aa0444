"""Photos from pretrained features: the shipped configuration with and without the extra."""

import json

import pytest

from paddle_automl.core.extras import installed
from tests.e2e.conftest import ROOT, run_tool
from tests.unit.data.pictures import class_folder, halves, save

CONFIG = ROOT / "configs" / "image_folder.yaml"
QUICK = ("-o", "data.input.size=32", "-o", "search.trials=2", "-o", "visualdl=false", "-o", "budget.time=3min")


@pytest.fixture
def photos(tmp_path):
    """Pictures of two classes that differ in color, and some noise."""
    root = class_folder(tmp_path / "photos", {"left": 6, "right": 6})
    for name, colors in (("left", ("red", "blue")), ("right", ("blue", "red"))):
        for number in range(9):
            save(halves(*colors, size=(40 + number, 30)), root / name / f"{number}.jpg")
    return root


@pytest.mark.slow
@pytest.mark.skipif(not installed("pretrained"), reason='needs the extra "pretrained"')
def test_heads_on_pretrained_features_end_in_a_verified_bundle(photos, tmp_path):
    output = tmp_path / "out"
    ran = run_tool("search", "-c", CONFIG, "-o", f"data.dataset.root={photos}", "-o", f"output={output}", *QUICK)
    assert ran.code == 0, ran.err
    assert "features of efficientnet_lite lite0 (imagenet)" in ran.out
    assert "trials only train heads" in ran.out
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    assert summary["verified"] is True
    assert len(list((output / "cache" / "features").glob("*.npy"))) == 1
    # The features exist, and with them the refit is a matter of seconds; another start has nothing to do.
    again = run_tool("search", "-c", CONFIG, "-o", f"data.dataset.root={photos}", "-o", f"output={output}", *QUICK)
    assert again.code == 0, again.err
    verified = run_tool("verify", "-m", output / "model")
    assert verified.code == 0, verified.err


def test_without_the_extra_the_command_says_how_to_get_it(tmp_path):
    script = (
        "import importlib.metadata as m, sys\n"
        "real = m.distribution\n"
        "def gone(name):\n"
        "    if name.startswith('efficientnet'):\n"
        "        raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.distribution = gone\n"
        "from paddle_automl.core.loading import load_config\n"
        "from paddle_automl.pipeline.config import RunConfig\n"
        "config = load_config(RunConfig, sys.argv[1])\n"
        "print(config.model.backbone.name, config.model.pretrained)\n"
    )
    import subprocess
    import sys

    ran = subprocess.run([sys.executable, "-c", script, str(CONFIG)], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["speednet", "None"]
    assert 'pip install "paddle_automl[pretrained]"' in ran.stderr
