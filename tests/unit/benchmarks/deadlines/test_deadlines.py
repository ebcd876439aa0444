"""The benchmark of deadlines, with a fake in place of the search command."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from paddle_automl.benchmarks.command import main
from paddle_automl.benchmarks.deadlines import cases, measure
from paddle_automl.benchmarks.deadlines.cases import Case
from paddle_automl.benchmarks.deadlines.report import misses, print_figures

BUNDLE = Path(__file__).parents[3] / "data" / "bundle_format2"
FAKE = f"""
import json, pathlib, shutil, sys, time
words = sys.argv[1:]
given = dict(word.split("=", 1) for word in words if "=" in word)
output = pathlib.Path(given["output"])
output.mkdir()
time.sleep(0.3)
if MODE != "nothing":
    shutil.copytree({str(BUNDLE)!r}, output / "model")
if MODE == "never ends":
    time.sleep(60)
if "plugins" in given:
    pathlib.Path(given["plugins"][2:-2]).with_suffix(".hangs").touch()
trial = {{"state": "complete", "seconds": 2.0}}
stages = {{"check": 0.5, "search": 3.2}}
summary = {{"trials": [{{**trial, "state": "failed"}}, trial], "stage_seconds": stages}}
if MODE == "ends":
    (output / "summary.json").write_text(json.dumps(summary))
else:
    print("error: the reason")
sys.exit(0 if MODE == "ends" else 1)
"""
DIGITS = Case("digits", 1, "digits.yaml")


@pytest.fixture
def fake(tmp_path, monkeypatch):
    def install(mode):
        file = tmp_path / "search.py"
        file.write_text(f"MODE = {mode!r}\n{FAKE}", encoding="utf-8")
        monkeypatch.setattr(cases, "TOOL", file)

    return install


def test_what_the_command_leaves_is_measured(fake):
    fake("ends")
    found = measure.measure(DIGITS)
    scores = yaml.safe_load((BUNDLE / "bundle.yaml").read_text(encoding="utf-8"))["metrics"]
    assert found.pop("took_s") >= found.pop("first_bundle_s") >= 0.3
    assert found == {
        "exit_code": 0,
        "verified": True,
        "metric": "accuracy",
        "validation": scores["validation"]["accuracy"],
        "test": scores.get("test", {}).get("accuracy"),
        "trials": 2,
        "first_trial_s": 2.5,
        "stage_seconds": {"check": 0.5, "search": 3.2},
    }


def test_a_search_that_leaves_nothing(fake):
    fake("nothing")
    found = measure.measure(DIGITS)
    assert found["first_bundle_s"] is None
    assert misses(DIGITS, found) == ["there is no verified bundle at the end", "exit code 1: error: the reason"]


def test_a_command_that_does_not_end_is_killed_and_its_bundle_counts(fake, monkeypatch):
    fake("never ends")
    monkeypatch.setattr(measure, "GIVE_UP_S", 1.0)
    monkeypatch.setattr(Case, "allowed_s", 0.5)
    found = measure.measure(DIGITS)
    assert found["verified"]
    assert found["trials"] is None
    assert 1.5 <= found["took_s"] < 10
    assert found["exit_code"] == -9
    assert misses(DIGITS, found)[0].startswith("it took ")


def test_the_plugin_hangs_in_trial_1_alone(fake, tmp_path):
    fake("ends")
    case = Case("hanging trial", 60, "digits.yaml", hangs=True)
    words = case.command(tmp_path / "out")
    assert f"plugins=['{tmp_path}/out_plugin.py']" in words
    assert measure.measure(case)["hung"]
    idle = {"took_s": 1.0, "verified": True, "first_bundle_s": 1.0, "first_trial_s": 1.0, "exit_code": 0}
    assert misses(case, {**idle, "hung": False}) == ["no trial hung, so nothing was tested"]
    assert misses(case, {**idle, "hung": True}) == []


SLEEPER = """
import multiprocessing, sys, time
import numpy as np
from paddle_automl.core.plugins import load_plugins
from paddle_automl.data.augment.base import AUGMENTATIONS

class Asleep(Exception):
    pass

def sleep(seconds):
    raise Asleep

time.sleep = sleep
load_plugins([sys.argv[1]])
cls = AUGMENTATIONS["hang_in_trial_1"]
values = np.zeros(3)
for multiprocessing.current_process().name in ("job-0", "job-1"):
    try:
        print(cls(cls.Config(name="hang_in_trial_1"))(values, values, None)[0] is values)
    except Asleep:
        print("asleep")
"""


def test_the_plugin_as_a_worker_uses_it(tmp_path):
    case = Case("hanging trial", 60, "digits.yaml", hangs=True)
    case.prepare(tmp_path / "out")
    words = [sys.executable, "-c", SLEEPER, str(case.plugin(tmp_path / "out"))]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["True", "asleep"], run.stderr
    assert case.hung(tmp_path / "out")


def test_the_first_bundle_is_due_where_a_trial_had_ended():
    known = {"took_s": 130.0, "verified": True, "first_bundle_s": 61.0, "exit_code": 0}
    case = Case("photos", 120, "image_folder.yaml", photos="/photos")
    assert case.allowed_s == 130.0
    assert Case("digits", 600, "digits.yaml").allowed_s == 612.0
    assert misses(case, {**known, "first_trial_s": 49.0}) == []
    late = misses(case, {**known, "first_trial_s": 48.0})
    assert late == ["the first verified bundle came after 61.0 s, although a trial had ended after 48.0 s"]
    assert misses(case, {**known, "first_trial_s": 48.0, "took_s": 130.1})[0] == (
        "it took 130.1 s, allowed are 130.0 s"
    )


def test_the_table():
    screen = Console(file=io.StringIO(), width=160)
    figures = {
        "took_s": 71.2,
        "first_bundle_s": 20.04,
        "exit_code": 0,
        "verified": True,
        "trials": 7,
        "metric": "accuracy",
        "validation": 0.91234,
        "test": None,
        "first_trial_s": 9.0,
        "stage_seconds": {"check": 3.1, "search": 44.0},
    }
    print_figures(screen, [(Case("digits", 60, "digits.yaml"), figures)])
    text = screen.file.getvalue()
    for part in ("71.2 !", "yes", "20.0", "0.9123", "check 3, search 44", "it took 71.2 s, allowed are 70.0 s"):
        assert part in text


def test_the_command_keeps_its_figures(fake, tmp_path, capsys, monkeypatch):
    fake("ends")
    photos = tmp_path / "photos"
    photos.mkdir()
    file = tmp_path / "figures.json"
    words = ["deadlines", "--quick", "--photos", str(photos), "--json", str(file)]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert re.search(r"hanging trial\W+60", text)
    kept = json.loads(file.read_text(encoding="utf-8"))
    names = sorted(run["asked"]["name"] for run in kept["runs"].values())
    assert names == ["digits", "hanging trial", "photos"]
    assert kept["summary"]["missed"] == {"digits, 60 s": [], "photos, 60 s": [], "hanging trial, 60 s": []}
    # What is kept is not run again.
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert main(words) == 0


def test_figures_are_kept_for_what_a_configuration_says(fake, tmp_path, monkeypatch):
    fake("ends")
    config, file = tmp_path / "configs" / "digits.yaml", tmp_path / "figures.json"
    config.parent.mkdir()
    monkeypatch.setattr(cases, "ROOT", tmp_path)

    def runs(text):
        config.write_text(text, encoding="utf-8")
        assert main(["deadlines", "--quick", "--json", str(file)]) == 0
        return len(json.loads(file.read_text(encoding="utf-8"))["runs"])

    assert runs("training: {batch_size: 8}\n") == 2
    assert runs("# the same\ntraining: {batch_size: 8}\n") == 2
    assert runs("training: {batch_size: 16}\n") == 4


def test_a_requirement_that_is_missed_is_a_failure_of_the_command(fake, capsys):
    fake("nothing")
    assert main(["deadlines", "--quick"]) == 2
    shown = capsys.readouterr()
    assert "2 of 2 searches missed a requirement" in shown.err
    assert "digits, 60 s: there is no verified bundle at the end" in shown.out


@pytest.mark.parametrize(
    ("tool", "photos", "message"),
    [
        ("search.py", "nowhere", "--photos: nowhere is not a folder"),
        ("nothing.py", None, "runs the commands of a checkout, but there is no "),
    ],
)
def test_what_is_missing_is_named(fake, tmp_path, monkeypatch, capsys, tool, photos, message):
    fake("ends")
    monkeypatch.setattr(cases, "TOOL", tmp_path / tool)
    assert main(["deadlines", *(["--photos", photos] if photos else [])]) == 2
    assert message in capsys.readouterr().err


def test_the_shipped_configurations_and_the_command_are_there():
    for case in cases.cases(cases.ROOT, quick=False):
        tool, config = case.command(Path("out"))[1], case.command(Path("out"))[3]
        assert Path(tool).is_file()
        assert Path(config).is_file()
