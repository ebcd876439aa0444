"""The examples do what their page says: each command on it runs, with a small budget."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
SMALL = {
    "search": ["-o", "search.trials=2", "-o", "training.epochs=3", "-o", "refit.epochs=3"],
    "train": ["-o", "training.epochs=3"],
}
FILES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def run(*words: object) -> str:
    """Run a command in the repository's folder and return what it printed."""
    ran = subprocess.run(list(map(str, words)), cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def run_line(part: str, folder: Path) -> str:
    """Run the command of the page that has `part` in it, with its files in `folder`, and small."""
    (line,) = [line for line in COMMANDS if part in line]
    words = shlex.split(line.replace("output/", f"{folder}/").replace("digits.csv", f"{folder}/digits.csv"))
    assert words[0] == "python"
    return run(sys.executable, *words[1:], *SMALL.get(Path(words[1]).stem, []))


def metrics_of(folder: Path) -> dict[str, dict[str, float]]:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["verified"]
    return summary["metrics"]


def test_every_file_is_on_the_page():
    assert {name for name in re.findall(r"\]\((\w+\.py)\)", PAGE)} == set(FILES)
    assert len(COMMANDS) == 9


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_own_backbone(tmp_path):
    assert "depth" in run_line("describe.py backbone conv_mixer", tmp_path)
    run_line("model.backbone=conv_mixer", tmp_path)
    assert "accuracy" in metrics_of(tmp_path / "own_backbone")["test"]
    trial = (tmp_path / "own_backbone/trials/0000/config.yaml").read_text(encoding="utf-8")
    assert "name: conv_mixer" in trial


@pytest.mark.timeout(600)
def test_the_contract_of_backbones(tmp_path):
    assert re.search(r"\d+ passed", run_line("pytest examples/test_own_backbone.py", tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_own_metric(tmp_path):
    text = run_line("search.metric=", tmp_path)
    scores = metrics_of(tmp_path / "own_metric")["validation"]
    assert 0 <= scores["worst_recall"] <= scores["accuracy"]
    assert "2 * accuracy + worst_recall" in text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_own_dataset(tmp_path):
    run_line("savetxt", tmp_path)
    assert "accuracy" in run_line("pixel_csv", tmp_path)
    result = json.loads((tmp_path / "own_dataset/result.json").read_text(encoding="utf-8"))
    assert result["task"]["names"] == [str(digit) for digit in range(10)]
    assert result["input"]["size"] == [8, 8]


@pytest.mark.timeout(600)
def test_own_input(tmp_path):
    run_line("breast_cancer", tmp_path)
    bundle = tmp_path / "own_input" / "model"
    assert metrics_of(bundle.parent)["test"]["accuracy"] > 0.8
    samples = sorted((bundle / "samples").glob("*.csv"))
    assert "benign" in run_line("predict.py", tmp_path)
    plugin = ["--plugin", "examples/own_input.py"]
    answers = json.loads(run(sys.executable, "tools/predict.py", "-m", bundle, *plugin, "--json", "-", *samples))
    assert {answer["label"] for answer in answers} <= {"malignant", "benign", "unknown"}
    assert len(answers) == len(samples)


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_use_from_python(tmp_path):
    text = run(sys.executable, "examples/python_use.py", tmp_path)
    assert "verified: True" in text
    assert re.search(r"^0\.png \d [01]\.\d{3}$", text, flags=re.MULTILINE)
