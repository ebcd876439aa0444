"""PaddleX 3.7 takes a bundle's folder as it is: from Python, on its command line and in its server.

It runs in an environment of its own, because it pins other packages. PADDLEX_PYTHON may name the Python of an
environment that has it, which saves the installation.
"""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from contextlib import closing
from pathlib import Path

import paddle
import pytest
from PIL import Image

from paddle_automl.data.datasets.base import DATASETS
from paddle_automl.deployment.predictor import Predictor
from tests.e2e.conftest import ROOT, TINY, run_tool, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PHOTOS = ROOT.parent / "shared" / "data" / "images" / "flower_photos_subset.zip"
NAMES = {"daisy": "雏菊", "roses": "玫瑰", "sunflowers": "向日葵", "tulips": "郁金香", "dandelion": "蒲公英"}
KINDS = ["digits", "colour", "grey"]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment with PaddleX."""
    given = os.environ.get("PADDLEX_PYTHON")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("paddlex") / "venv"
    wanted = [f"paddlepaddle=={paddle.__version__}", "setuptools<81", "paddlex[cv,serving]>=3.7,<3.8"]
    made = folder / "bin" / "python"
    for words in ([sys.executable, "-m", "venv", folder], [made, "-m", "pip", "install", "-q", *wanted]):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"PaddleX cannot be installed here: {done.stderr.strip()[-300:]}")
    return made


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A working directory with a bundle of each kind, made there by the commands, and all of its images."""
    place = tmp_path_factory.mktemp("工作 dir")
    found = {"digits": _digits(place / "数字")}
    if PHOTOS.is_file():
        found |= {kind: _flowers(place / f"花 {kind}", grey=kind == "grey") for kind in ("colour", "grey")}
    for kind, files in found.items():
        data = {"dataset": {"name": "image_folder", "root": str(files[0].parents[1])}, "input": {"size": 8}}
        if kind != "digits":
            data["input"] = {"size": 40}
            data["augment"] = ["horizontal_flip"]
        config = {**TINY, "data": data, "output": f"output/{kind}", "seed": 3}
        config["training"] = {**TINY["training"], "epochs": 4}
        file = write_config(place, config, f"{kind}.yaml")
        for words in (("train", "-c", file), ("export", "-m", f"output/{kind}")):
            done = run_tool(*words, cwd=place)
            assert done.code == 0, done.err
    return place, found


def _digits(folder):
    samples = DATASETS["digits"](DATASETS["digits"].Config(name="digits")).load()
    files = []
    for row, (item, code) in enumerate(zip(samples.items, samples.targets.values, strict=True)):
        file = folder / str(samples.targets.names[code]) / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(item[..., 0]).save(file)
        files.append(file)
    return files[:600]


def _flowers(folder, *, grey):
    files = []
    with zipfile.ZipFile(PHOTOS) as archive:
        for name in sorted(item for item in archive.namelist() if item.endswith(".jpg")):
            file = folder / NAMES[Path(name).parts[-2]] / f"照片 {len(files)}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as stream, Image.open(stream) as image:
                image.convert("L" if grey else "RGB").save(file, quality=95)
            files.append(file)
    return files


def _of(bundles, kind):
    place, found = bundles
    if kind not in found:
        pytest.skip("needs the photos of ../shared")
    return place, Path("output") / kind / "model", [str(file) for file in found[kind]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_class_for_every_image(python, bundles, tmp_path, kind):
    place, bundle, files = _of(bundles, kind)
    listing = tmp_path / "files.json"
    listing.write_text(json.dumps(files), encoding="utf-8")
    script = Path(__file__).with_name("paddlex_script.py")
    ours = Predictor(place / bundle, runtime="paddle").predict(files)
    top = {item.path: item.top(1)[0] for item in ours}
    for how in ("model", "pipeline"):
        done = subprocess.run(
            [str(python), str(script), str(bundle), str(listing), how],
            cwd=place, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        theirs = json.loads(Path(f"{listing}.{how}").read_text(encoding="utf-8"))
        assert len(theirs) == len(files)
        assert [file for file in files if theirs[file][0] != top[file][0]] == []
        assert max(abs(theirs[file][1] - top[file][1]) for file in files) < 0.01


@pytest.mark.parametrize("kind", ["digits", "grey"])
def test_its_command_line(python, bundles, kind):
    place, bundle, files = _of(bundles, kind)
    done = subprocess.run(
        [str(python.with_name("paddlex")), "--pipeline", str(bundle / "pipeline.yaml"), "--input", files[7]],
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    label = Predictor(place / bundle, runtime="paddle").predict(files[7])[0].top(1)[0][0]
    assert f"'label_names': ['{label}'" in done.stdout + done.stderr


def test_its_server(python, bundles):
    place, bundle, files = _of(bundles, "digits")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--serve", "--pipeline", str(bundle / "pipeline.yaml"), "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen([str(python.with_name("paddlex")), *words], cwd=place)
    try:
        _wait_for(port, server)
        for file in files[:5]:
            image = base64.b64encode(Path(file).read_bytes()).decode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/image-classification",
                json.dumps({"image": image, "topk": 1, "visualize": False}).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                category = json.load(answer)["result"]["categories"][0]
            label, score = Predictor(place / bundle, runtime="paddle").predict(file)[0].top(1)[0]
            assert category["name"] == label
            assert category["score"] == pytest.approx(score, abs=0.001)
    finally:
        server.terminate()
        server.wait(30)


def test_its_client_with_our_server(python, bundles):
    """PaddleX has no client library; the script sends what its documentation shows, and reads by its own models."""
    place, bundle, files = _of(bundles, "digits")
    started = pytest.importorskip("paddle_automl.benchmarks.serving.process", exc_type=ImportError).started
    script = Path(__file__).with_name("paddlex_client.py")
    with started(place / bundle) as server:
        url = f"http://{server.target.host}:{server.target.port}"
        done = subprocess.run(
            [str(python), str(script), url, *files[:5]], cwd=place, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    ours = [item.top(1)[0] for item in Predictor(place / bundle, runtime="paddle").predict(files[:5])]
    assert [name for name, _ in theirs] == [name for name, _ in ours]
    assert [score for _, score in theirs] == pytest.approx([score for _, score in ours], abs=0.001)


def _wait_for(port, server):
    for _ in range(600):
        assert server.poll() is None
        with closing(socket.socket()) as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("the server did not start")
