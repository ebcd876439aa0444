"""The whole chain with spaces and Chinese characters in folder, file and label names, in several locales."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.paths import located
from tests.e2e.conftest import ROOT, TINY, write_config

CLASSES = {"红 花": (200, 40, 40), "绿 叶": (40, 200, 40), "蓝 天": (40, 40, 200)}
LOCALES = [pytest.param(name, marks=pytest.mark.slow) for name in ("C", "zh_CN.GBK")]


def make_photos(root: Path) -> None:
    rng = np.random.default_rng(0)
    for name, color in CLASSES.items():
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.clip(np.array(color) + rng.integers(-40, 40, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"图 {number:02d}.jpg")


@pytest.fixture(scope="session")
def gbk(tmp_path_factory) -> dict[str, str]:
    """The environment in which zh_CN.GBK is a real locale; skips where none can be had."""
    installed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout
    if "zh_CN.gbk" in installed:
        return {}
    if shutil.which("localedef") is None:
        pytest.skip("this system has no GBK locale and no localedef to make one")
    folder = tmp_path_factory.mktemp("locales")
    made = subprocess.run(
        ["localedef", "-i", "zh_CN", "-f", "GBK", str(folder / "zh_CN.GBK")], capture_output=True, check=False
    )
    if made.returncode > 1:
        pytest.skip("localedef cannot make zh_CN.GBK here")
    return {"LOCPATH": str(folder)}


def run(name: str, *words: object, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    cleared = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    # A terminal hands over words in the encoding of its locale.
    encoding = "gbk" if "GBK" in environment["LC_ALL"] else "utf-8"
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / f"{name}.py"), *(str(word).encode(encoding) for word in words)],
        cwd=cwd,
        env={**cleared, **environment},
        capture_output=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("locale", LOCALES)
def test_photos_with_chinese_names_from_search_to_csv(tmp_path, locale, request):
    environment = {"LC_ALL": locale}
    if "GBK" in locale:
        environment |= request.getfixturevalue("gbk")
    work = tmp_path / "工作 目录"
    make_photos(work / "我的 照片")
    data = {
        "dataset": {"name": "image_folder", "root": "我的 照片"},
        "image_size": 16,
        "split": {"validation": 0.25, "test": 0.25},
    }
    search = {**TINY["search"], "trials": 2, "keep_checkpoints": 1}
    training = {**TINY["training"], "batch_size": 8, "epochs": 4}
    config = {**TINY, "output": "结果 输出", "data": data, "search": search, "training": training}
    file = write_config(work, config, "配置.yaml")
    done = run("search", "-c", file.name, cwd=work, environment=environment)
    assert done.returncode == 0, done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    output = located("结果 输出", work)
    labels = (output / "model/labels.txt").read_text(encoding="utf-8").splitlines()
    assert labels == list(CLASSES)
    predicted = run(
        "predict", "-m", "结果 输出", "我的 照片/红 花", "--csv", "预测.csv", cwd=work, environment=environment
    )
    assert predicted.returncode == 0, predicted.stderr.decode(errors="replace")
    with open(located("预测.csv", work), encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert all("图 " in row["path"] and row["error"] == "" for row in rows)
    assert {row["label"] for row in rows} <= {*CLASSES, "unknown"}
    table = run("predict", "-m", "结果 输出", "我的 照片/红 花/图 00.jpg", cwd=work, environment=environment)
    assert table.returncode == 0, table.stderr.decode(errors="replace")
    evaluated = run("evaluate", "-m", "结果 输出", cwd=work, environment=environment)
    assert evaluated.returncode == 0, evaluated.stderr.decode(errors="replace")
