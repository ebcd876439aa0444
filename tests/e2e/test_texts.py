"""Texts through the commands, as a user calls them."""

import csv
import json

import numpy as np
import pytest
import yaml

from paddle_automl.deployment.bundle import Bundle
from tests.e2e.conftest import ROOT, run_forked, run_tool

WORDS = {"好": ("干净", "不错", "喜欢", "舒服", "推荐"), "差": ("太吵", "很差", "很脏", "失望", "不会再来")}
COMMON = ("房间", "早餐", "酒店", "服务", "位置", "价格")


def write_reviews(path, count=400, encoding="gb18030"):
    """Reviews of words of their class and words of both, one in ten with the wrong class."""
    rng = np.random.default_rng(0)
    with open(path, "w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "label"])
        for number in range(count):
            label = "好差"[number % 2]
            words = [*rng.choice(WORDS[label], 2), *rng.choice(COMMON, rng.integers(1, 6))]
            told = "差好"["差好".index(label) - (rng.random() < 0.1)]
            writer.writerow(["，".join(rng.permutation(words)), told])
    return path


def options(folder, **dataset):
    given = {"name": "text_table", "file": str(folder / "a.csv"), "text": "review", "label": "label", **dataset}
    return [
        "-c",
        ROOT / "configs/text.yaml",
        "-o",
        f"data.dataset={json.dumps(given)}",
        "-o",
        f"output={folder}/out",
    ]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        pytest.param({"text": "reveiw"}, "has no column 'reveiw'; did you mean 'review'?", marks=pytest.mark.slow),
        pytest.param(
            {"file": "missing.csv"},
            "data.dataset.file: the file 'missing.csv' does not exist",
            marks=pytest.mark.slow,
        ),
        ({"label": None}, "needs either label (a column, or a list of columns) or targets"),
        ({"labels": "label"}, "data.dataset.labels: unknown key; did you mean 'label'?"),
    ],
)
def test_mistakes_stop_the_start_with_their_key(tmp_path, dataset, message):
    write_reviews(tmp_path / "a.csv", 20)
    ran = run_forked("search", *options(tmp_path, **dataset))
    assert ran.code == 2, ran.out + ran.err
    assert message in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.slow
def test_from_a_table_to_answers(tmp_path):
    write_reviews(tmp_path / "a.csv")
    short = ["-o", "search.trials=3", "-o", "budget.time=150s", "-o", "deployment.latency.runs=5"]
    ran = run_tool("search", *options(tmp_path), *short)
    assert ran.code == 0, ran.out + ran.err
    assert "verified: " in ran.out
    out = tmp_path / "out"
    assert yaml.safe_load((out / "config.yaml").read_text("utf-8"))["data"]["folds"] == 5
    bundle = Bundle.open(out / "model")
    assert bundle.verified
    assert bundle.info.metrics["test"]["accuracy"] > 0.75
    assert any(name.startswith("input/") for name in bundle.info.files)

    (tmp_path / "new.csv").write_text("review\n很脏，太吵\n推荐，很舒服\n", "utf-8")
    table = tmp_path / "answers.csv"
    assert run_tool("predict", "-m", out, tmp_path / "new.csv", "--csv", table, "--no-unknown").code == 0
    rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines()))
    assert [row["label"] for row in rows] == ["差", "好"]
    assert all(row["runner_up"] for row in rows)

    evaluated = run_tool("evaluate", "-m", out)
    assert "most telling parts" in evaluated.out
    assert "worst mistakes" in evaluated.out
    assert run_tool("verify", "-m", out).code == 0
    again = run_tool("train", "-c", out / "best.yaml")
    assert again.code == 0, again.err
    curve = run_tool("learning_curve", "-m", out, "--sizes", 40, "--draws", 1, "--json", tmp_path / "curve.json")
    assert curve.code == 0, curve.err
    points = json.loads((tmp_path / "curve.json").read_text("utf-8"))["points"]
    assert points[0]["items"] == 40
    assert len(points) == 2
