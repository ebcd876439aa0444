"""Prediction from a bundle: batches, files, errors, threads."""

import subprocess
import sys
import threading

import numpy as np
import paddle
import pytest
from PIL import Image

from paddle_automl.core.errors import BundleError, ConfigError, DataError, UnsupportedError
from paddle_automl.deployment.exporters.paddle_inference import PaddleSession
from paddle_automl.deployment.predictor import Predictor
from tests.unit.deployment.conftest import NAMES


def expected(net, data, pixels):
    net.eval()
    with paddle.no_grad():
        logits = net(paddle.to_tensor(data.preprocess.normalize(pixels)))
    return paddle.nn.functional.softmax(logits, axis=-1).numpy()


@pytest.fixture(scope="module")
def predictor(bundle):
    return Predictor(bundle.folder)


@pytest.mark.parametrize("batch_size", [1, 7, 80, 1000])
def test_arrays_in_batches(predictor, net, data, batch_size):
    pixels = data.validation.raw(np.arange(80))
    got = predictor.predict_arrays(pixels, batch_size=batch_size)
    assert got.dtype == np.float32
    assert got.shape == (80, 3)
    np.testing.assert_allclose(got, expected(net, data, pixels), atol=1e-6)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-6)
    assert predictor.class_names == NAMES


def test_no_images(predictor):
    assert predictor.predict_arrays(np.zeros((0, 1, 8, 10), np.uint8)).shape == (0, 3)
    assert predictor.predict([]) == []


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.zeros((2, 1, 10, 8), np.uint8), r"shape \[N, 1, 8, 10\], got \[2, 1, 10, 8\]"),
        (np.zeros((1, 8, 10), np.uint8), r"got \[1, 8, 10\]"),
        (np.zeros((2, 1, 8, 10), np.float64), "must be uint8 pixels from 0 to 255, got float64"),
    ],
)
def test_arrays_are_checked(predictor, images, reason):
    with pytest.raises(DataError, match=reason):
        predictor.predict_arrays(images)


@pytest.mark.parametrize("threads", [1, 3])
def test_files_keep_their_order_and_errors_their_row(bundle, net, data, tmp_path, threads):
    pixels = data.validation.raw(np.arange(9))
    paths = []
    for index, image in enumerate(pixels):
        paths.append(tmp_path / f"图 {index}.png")
        Image.fromarray(image[0]).save(paths[-1])
    broken, empty = tmp_path / "broken.jpg", tmp_path / "empty.png"
    broken.write_bytes(paths[0].read_bytes()[:40])
    empty.write_bytes(b"")
    paths[2:2] = [broken, tmp_path / "nowhere.png", empty, tmp_path]
    predictor = Predictor(bundle.folder, threads=threads)
    results = predictor.predict([str(path) for path in paths], batch_size=4)
    assert [item.path for item in results] == [str(path) for path in paths]
    failed = results[2:6]
    assert all(item.error and item.label is None and item.probabilities is None for item in failed)
    assert "nowhere.png: the file does not exist" in failed[1].error
    good = results[:2] + results[6:]
    assert [item.error for item in good] == [None] * 9
    rows = np.array([[item.probabilities[name] for name in NAMES] for item in good])
    np.testing.assert_allclose(rows, expected(net, data, pixels), atol=1e-6)
    assert [item.label for item in good] == [NAMES[index] for index in rows.argmax(axis=1)]
    assert good[0].probability == max(good[0].probabilities.values())
    assert good[0].top(2)[0] == (good[0].label, good[0].probability)
    assert len(good[0].top(5)) == 3


def test_stream_holds_one_batch(predictor, tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (10, 8), 99).save(path)
    taken = []

    def paths():
        for index in range(100):
            taken.append(index)
            yield path

    stream = predictor.stream(paths(), batch_size=5)
    next(stream)
    assert len(taken) == 5


def test_several_threads_share_a_predictor(predictor, net, data):
    pixels = data.validation.raw(np.arange(80))
    truth = expected(net, data, pixels)
    wrong = []

    def work(start):
        for _ in range(30):
            rows = slice(start, start + 10 + start % 7)
            if np.abs(predictor.predict_arrays(pixels[rows]) - truth[rows]).max() > 1e-5:
                wrong.append(start)

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 13, 26, 39)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_options_are_checked(bundle):
    with pytest.raises(ConfigError, match="threads: must be at least 1, got 0"):
        Predictor(bundle, threads=0)
    with pytest.raises(ConfigError, match="batch_size: must be at least 1, got 0"):
        Predictor(bundle).predict(["a.png"], batch_size=0)
    with pytest.raises(ConfigError, match="unknown device 'tpu'; valid: cpu, gpu, gpu:N"):
        Predictor(bundle, device="tpu")


@pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="this Paddle can use a GPU")
def test_gpu_needs_a_gpu_build(bundle):
    with pytest.raises(UnsupportedError, match="'gpu:1' needs a GPU build of Paddle"):
        Predictor(bundle, device="gpu:1")


def test_a_program_that_is_none(tmp_path):
    (tmp_path / "inference.json").write_text("{}", encoding="utf-8")
    (tmp_path / "inference.pdiparams").write_bytes(b"")
    with pytest.raises(BundleError, match=r"Paddle Inference cannot load inference\.json"):
        PaddleSession(tmp_path)


def test_bundle_alone_and_silence(bundle):
    code = (
        "import sys, paddle_automl.deployment.predictor as p\n"
        "assert 'paddle' not in sys.modules\n"
        "p.Predictor(sys.argv[1]).predict([sys.argv[2]])\n"
        "unwanted = ('paddle_automl.models', 'paddle_automl.training')\n"
        "assert not any(name.startswith(unwanted) for name in sys.modules)\n"
    )
    sample = bundle.folder / "samples" / "0.png"
    result = subprocess.run(
        [sys.executable, "-c", code, str(bundle.folder), str(sample)], capture_output=True, check=False
    )
    assert result.stderr == b""
    assert result.stdout == b""
    assert result.returncode == 0
