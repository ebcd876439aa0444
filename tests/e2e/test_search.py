"""The main job end to end on real data: search, last training, export, proof, and the commands after it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from paddle_automl.core.files import read_json_lines
from tests.e2e.conftest import ROOT, TINY, run_tool, write_config


def test_search_ends_with_a_verified_bundle_and_says_where_everything_lies(searched):
    _, output, ran = searched
    assert ran.code == 0, ran.err
    assert "trial 0 complete" in ran.out
    assert "verified: 359 items and 20 files" in ran.out
    assert f"tools/predict.py -m {output}/model" in ran.out
    for name in (
        "config.yaml",
        "study.db",
        "best.yaml",
        "summary.json",
        "search_history.png",
        "learning_curves.png",
        "report.html",
        "report.json",
    ):
        assert (output / name).is_file(), name
    assert (output / "search_history.png").read_bytes()[:4] == b"\x89PNG"
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    assert summary["verified"] is True
    assert summary["parity"]["largest_difference"] <= 1e-5
    assert len(summary["trials"]) == 3
    assert summary["metrics"]["test"]["accuracy"] > 0.5


def test_trial_folders_hold_config_metrics_log_and_the_best_weights_only(searched):
    _, output, _ = searched
    folders = sorted((output / "trials").iterdir())
    assert [folder.name for folder in folders] == ["0000", "0001", "0002"]
    for folder in folders:
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        assert "search" not in config
        assert config["output"] == str(folder / "alone")
        lines = read_json_lines(folder / "metrics.jsonl")
        assert [line["epoch"] for line in lines] == [1, 2, 3]
        assert {"accuracy", "macro_f1", "loss", "train_loss"} <= set(lines[0])
        assert (folder / "train.log").is_file()
    assert sum((folder / "best.pdparams").exists() for folder in folders) == 2


def test_a_trial_run_alone_gives_the_same_result(searched, tmp_path):
    _, output, _ = searched
    alone = run_tool("train", "-c", output / "trials/0000/config.yaml", "-o", f"output={tmp_path / 'alone'}")
    assert alone.code == 0, alone.err
    before = read_json_lines(output / "trials/0000/metrics.jsonl")
    after = read_json_lines(tmp_path / "alone/metrics.jsonl")
    for old, new in zip(before, after, strict=True):
        # Two threads may add in another order than one; beyond rounding nothing may differ.
        assert new["loss"] == pytest.approx(old["loss"], rel=0.02)
        assert new["accuracy"] == pytest.approx(old["accuracy"], abs=0.01)


def test_the_same_command_again_does_nothing_twice(searched):
    file, output, _ = searched
    weights = output / "refit/best.pdparams"
    before = weights.stat().st_mtime_ns
    again = run_tool("search", "-c", file)
    assert again.code == 0, again.err
    assert "continuing: 3 trials are already done" in again.out
    assert "started" not in again.out
    assert weights.stat().st_mtime_ns == before


@pytest.mark.slow
def test_more_trials_may_be_asked_for_but_not_another_recipe(searched):
    file, _, _ = searched
    more = run_tool("search", "-c", file, "-o", "search.trials=4", "-o", "search.controller=grid")
    assert more.code == 0, more.err
    assert "trial 3 " in more.out
    other = run_tool("search", "-c", file, "-o", "training.epochs=2")
    assert other.code == 2
    assert "training.epochs: 3 -> 2" in other.err
    assert "--fresh" in other.err


def test_predict_table_json_and_csv_with_a_bad_file(searched, tmp_path):
    _, output, _ = searched
    images = sorted((output / "model/samples").glob("*.png"))
    broken = tmp_path / "坏 图.png"
    broken.write_bytes(b"no image")
    table = run_tool("predict", "-m", output, images[0])
    assert table.code == 0, table.err
    assert str(images[0]) in table.out
    as_json = run_tool("predict", "-m", output / "model", output / "model/samples", "--json")
    rows = json.loads(as_json.out)
    assert len(rows) == len(images)
    assert all(abs(sum(row["probabilities"].values()) - 1) < 1e-4 for row in rows)
    target = tmp_path / "预测 结果.csv"
    as_csv = run_tool("predict", "-m", output, images[0], broken, "--csv", target)
    assert as_csv.code == 1
    assert target.read_bytes()[:3] == b"\xef\xbb\xbf"
    with open(target, encoding="utf-8-sig", newline="") as stream:
        good, bad = list(csv.DictReader(stream))
    assert good["label"] in {*"0123456789", "unknown"}
    assert bad["label"] == ""
    assert "坏 图.png" in bad["path"]
    assert bad["error"]


def trials_by_weights(output: Path) -> tuple[Path, Path]:
    """Return the folders of a trial that kept its weights and of one that did not; two of three keep them."""
    folders = sorted((output / "trials").iterdir())
    kept = [(folder / "best.pdparams").exists() for folder in folders]
    return folders[kept.index(True)], folders[kept.index(False)]


def test_evaluate_a_bundle_a_run_and_a_trial(searched):
    _, output, _ = searched
    bundle = run_tool("evaluate", "-m", output, "--json")
    facts = json.loads(bundle.out)
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    assert facts["split"] == "test"
    assert facts["metrics"]["accuracy"] == pytest.approx(summary["metrics"]["test"]["accuracy"], abs=1e-6)
    assert sum(map(sum, facts["confusion_matrix"])) == facts["images"] == 359
    with_weights, without = trials_by_weights(output)
    trial = run_tool("evaluate", "-m", with_weights, "--mistakes", 3)
    assert trial.code == 0, trial.err
    assert "confusion matrix" in trial.out
    assert "validation split" in trial.out
    gone = run_tool("evaluate", "-m", without)
    assert gone.code == 2
    assert "its weights (best.pdparams) are gone" in gone.err


def test_export_of_a_trial_and_the_message_for_one_without_weights(searched, tmp_path):
    _, output, _ = searched
    with_weights, without = trials_by_weights(output)
    done = run_tool("export", "-m", with_weights, "--to", tmp_path / "bundle 包")
    assert done.code == 0, done.err
    assert "verified" in done.out
    assert (tmp_path / "bundle 包" / "bundle.yaml").is_file()
    gone = run_tool("export", "-m", without)
    assert gone.code == 2
    assert "search.keep_checkpoints" in gone.err


@pytest.mark.slow
def test_python_interface(searched):
    code = (
        "import paddle_automl, sys\n"
        "result = paddle_automl.run_search(sys.argv[1], overrides={'search.trials': 4}, progress=False)\n"
        "table = result.trials_table()\n"
        "assert len(table) >= 4 and 'accuracy' in table.columns, table\n"
        "assert result.bundle.verified and result.metrics['test']['accuracy'] > 0.5\n"
        "prediction = paddle_automl.Predictor(result.bundle.bundle).predict([sys.argv[2]])[0]\n"
        "print(prediction.nearest)\n"
    )
    file, output, _ = searched
    image = next((output / "model/samples").glob("*.png"))
    run = subprocess.run(
        [sys.executable, "-c", code, str(file), str(image)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() in set("0123456789")


def children_of(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.mark.slow
def test_kill_9_in_the_middle_keeps_what_is_finished_and_leaves_no_orphan(tmp_path):
    search = {**TINY["search"], "trials": 6, "workers": 1}
    training = {**TINY["training"], "epochs": 5}
    output = tmp_path / "out put"
    file = write_config(tmp_path, {**TINY, "training": training, "search": search, "output": str(output)})
    command = [sys.executable, str(ROOT / "tools/search.py"), "-c", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        wait_for(lambda: (output / "trials/0002/metrics.jsonl").exists(), process)
        family = children_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
    assert family
    deadline = time.monotonic() + 15
    while any(alive(child) for child in family) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [child for child in family if alive(child)] == []
    kept = [(output / f"trials/{number:04d}/result.json").read_bytes() for number in (0, 1)]
    again = run_tool("search", "-c", file)
    assert again.code == 0, again.err
    assert "continuing: 2 trials are already done" in again.out
    assert [(output / f"trials/{number:04d}/result.json").read_bytes() for number in (0, 1)] == kept
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    ended = [trial for trial in summary["trials"] if trial["state"] == "complete"]
    assert len(ended) == 6
    logs = {path.name for path in (output / "visualdl").iterdir()}
    assert {"trial_0000", "trial_0001", "trial_0002"} <= logs


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(tmp_path):
    output = tmp_path / "out"
    training = {**TINY["training"], "epochs": 200}
    file = write_config(tmp_path, {**TINY, "training": training, "output": str(output)})
    command = [sys.executable, str(ROOT / "tools/search.py"), "-c", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: (output / "trials/0000/metrics.jsonl").exists(), process)
        family = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "The same command continues where it stopped" in err
    assert "Traceback" not in err
    # The fork server and the tracker of resources see a moment later that nobody needs them any more.
    _, left = psutil.wait_procs(family, timeout=10)
    assert left == []


def wait_for(condition, process, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended too early: {process.stdout.read() if process.stdout else ''}"
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def test_results_never_overwrite_images_or_a_searchs_record(searched, tmp_path):
    file, output, _ = searched
    image = tmp_path / "photo.png"
    image.write_bytes(next((output / "model/samples").glob("*.png")).read_bytes())
    before = image.read_bytes()
    eaten = run_tool("predict", "-m", output, "--json", image, image)
    assert eaten.code == 2
    assert "would be overwritten" in eaten.err
    assert image.read_bytes() == before
    unwritable = run_tool("predict", "-m", output, image, "--csv", "/proc/nothing/x.csv")
    assert unwritable.code == 2
    assert "cannot be written" in unwritable.err
    inside = run_tool("train", "-c", file)
    assert inside.code == 2
    assert "belongs to a search" in inside.err
    again = run_tool("export", "-m", output)
    assert again.code == 2
    assert "--to" in again.err
    bundle = yaml.safe_load((output / "model/bundle.yaml").read_text(encoding="utf-8"))
    assert "test" in bundle["metrics"]


@pytest.mark.slow
def test_a_new_training_takes_the_old_export_away(tmp_path):
    config = {key: value for key, value in TINY.items() if key not in ("search", "refit")}
    file = write_config(tmp_path, {**config, "output": str(tmp_path / "run")})
    assert run_tool("train", "-c", file, "-o", "training.epochs=1").code == 0
    assert run_tool("export", "-m", tmp_path / "run").code == 0
    first = (tmp_path / "run/model/inference.pdiparams").read_bytes()
    assert run_tool("train", "-c", file, "-o", "training.epochs=2").code == 0
    assert not (tmp_path / "run/model").exists()
    image = next((ROOT / ".github/pictures").glob("*.png"))
    told = run_tool("predict", "-m", tmp_path / "run", image, "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)[0]["label"] in set("0123456789")
    assert "exporting it" in told.err
    assert (tmp_path / "run/model/inference.pdiparams").read_bytes() != first


@pytest.mark.slow
def test_evaluating_on_other_data_goes_by_the_names_of_the_classes(tmp_path):
    from PIL import Image
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    for folder, names in (("some", {3: "3", 7: "7"}), ("other", {3: "three", 7: "7"})):
        for digit, name in names.items():
            (tmp_path / folder / name).mkdir(parents=True)
            for row in pixels[labels == digit][:20]:
                number = len(list((tmp_path / folder / name).iterdir()))
                image = Image.fromarray((row.reshape(8, 8) * 255 / 16).astype("uint8"))
                image.save(tmp_path / folder / name / f"{number}.png")
    config = {key: value for key, value in TINY.items() if key not in ("search", "refit")}
    file = write_config(tmp_path, {**config, "output": str(tmp_path / "run")})
    assert run_tool("train", "-c", file, "-o", "training.epochs=8").code == 0
    run_tool("export", "-m", tmp_path / "run", "--to", tmp_path / "bundle")
    size = ["-o", "data.image_size=8", "-o", "data.channels=1"]
    for model in ("run", "bundle"):
        some = run_tool(
            "evaluate", "-m", tmp_path / model, "--split", "test", "--json", *size,
            "-o", f"data.dataset={{name: image_folder, root: {tmp_path / 'some'}}}",
        )  # fmt: skip
        assert some.code == 0, some.err
        facts = json.loads(some.out)
        assert len(facts["class_names"]) == 10
        assert facts["metrics"]["accuracy"] > 0.8
        if model == "run":
            continue
        other = run_tool(
            "evaluate", "-m", tmp_path / model, "--split", "test", *size,
            "-o", f"data.dataset={{name: image_folder, root: {tmp_path / 'other'}}}",
        )  # fmt: skip
        assert other.code == 2
        assert "Unknown to it: three" in other.err
