"""Prediction from a bundle: batches, files, errors, threads."""

import os
import subprocess
import sys
import threading

import numpy as np
import paddle
import pytest
from PIL import Image

from paddle_automl.core.errors import BundleError, ConfigError, DataError, UnsupportedError
from paddle_automl.data.running import run_split
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.exporters.paddle_inference import PaddleSession
from paddle_automl.deployment.predictor import Predictor
from tests.unit.deployment.conftest import NAMES, quick, tampered


def expected(net, data, pixels):
    net.eval()
    with paddle.no_grad():
        logits = net(paddle.to_tensor(data.input.normalize(pixels)))
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
        (np.zeros((2, 1, 10, 8), np.uint8), r"'image' the shape \[N, 1, 8, 10\], got \[N, 1, 10, 8\]"),
        (np.zeros((1, 8, 10), np.uint8), r"got uint8 \[1, 8, 10\]"),
        (np.zeros((2, 1, 8, 10), np.float64), r"images must be uint8 \[N, 1, H, W\], got float64"),
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
    (tmp_path / "bare").mkdir()
    paths[2:2] = [broken, tmp_path / "nowhere.png", empty, tmp_path / "bare"]
    predictor = Predictor(bundle.folder, threads=threads)
    results = predictor.predict([str(path) for path in paths], batch_size=4)
    assert [item.path for item in results] == [str(path) for path in paths]
    failed = results[2:6]
    assert all(item.error and item.label is None and item.probabilities is None for item in failed)
    assert "nowhere.png: the file does not exist" in failed[1].error
    assert "bare: has no images in it or below" in failed[3].error
    good = results[:2] + results[6:]
    assert [item.error for item in good] == [None] * 9
    rows = np.array([[item.probabilities[name] for name in NAMES] for item in good])
    np.testing.assert_allclose(rows, expected(net, data, pixels), atol=1e-6)
    assert [item.nearest for item in good] == [NAMES[index] for index in rows.argmax(axis=1)]
    assert good[0].probability == max(good[0].probabilities.values())
    assert good[0].top(2)[0] == (good[0].nearest, good[0].probability)
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


def photo(folder, name, level=99):
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("L", (10, 8), level).save(folder / name)
    return folder / name


@pytest.mark.parametrize("source", [None, 5, bytearray(b"x"), object()], ids=type)
def test_what_is_no_source_is_an_error_of_that_item(predictor, source):
    wrong, missing = predictor.predict([source, "a\0b.png"])
    assert wrong.error.startswith("image: cannot be decoded: must be a path, bytes or a Pillow image, got ")
    assert wrong.name == "image"
    assert "null byte" in missing.error


def test_one_path_is_one_path(predictor, tmp_path):
    path = photo(tmp_path, "a.png")
    for given in (str(path), path, path.read_bytes()):
        [found] = predictor.predict(given)
        assert found.error is None
        assert found.nearest in NAMES
    assert predictor.predict(str(path))[0].path == str(path)
    [one] = predictor.predict([f"{tmp_path}/./a.png"])
    assert one.path == f"{tmp_path}/./a.png"
    [bytes_] = predictor.predict([path.read_bytes()])
    assert bytes_.path == "image"
    assert predictor.predict("")[0].error


def test_folders_and_lists_are_expanded(predictor, tmp_path):
    paths = [photo(tmp_path / "photos", f"{index}.png", 10 * index) for index in range(5)]
    (tmp_path / "list.txt").write_text("photos/3.png rose\nphotos/1.png\n", encoding="utf-8")
    found = predictor.predict([tmp_path / "photos", tmp_path / "list.txt", paths[0]], batch_size=3)
    assert [item.path for item in found] == [str(paths[index]) for index in (0, 1, 2, 3, 4, 3, 1, 0)]
    assert found[3].probabilities == found[5].probabilities
    assert predictor.predict(tmp_path / "photos")[4].probabilities == found[4].probabilities


def test_a_split_in_one_call(predictor, net, data):
    pixels = data.validation.raw(np.arange(80))
    got = predictor.predict_split(data.validation, batch_size=33)
    np.testing.assert_allclose(got, expected(net, data, pixels), atol=1e-6)
    np.testing.assert_array_equal(got, run_split(data.validation, predictor.bundle.session(), 33))
    empty = data.validation.with_indices(np.arange(0))
    assert predictor.predict_split(empty).shape == run_split(empty, predictor.bundle.session()).shape == (0, 3)
    assert [answer.text for answer in predictor.answers(got[:2])] == [NAMES[row.argmax()] for row in got[:2]]


def test_threads_are_limited(bundle):
    with pytest.raises(ConfigError, match=r"threads: must be at most .* got 100000"):
        Predictor(bundle, threads=100_000)
    with pytest.raises(ConfigError, match="threads: must be at most"):
        bundle.session(threads=100_000)


FORK = """
import os, sys
import numpy as np
from paddle_automl.deployment.predictor import Predictor

predictor = Predictor(sys.argv[1])
pixels = np.arange(80, dtype=np.uint8).reshape(1, 1, 8, 10)
before = predictor.predict_arrays(pixels)
for turn in range(3):
    child = os.fork()
    if not child and turn == 0:
        sys.exit(0)  # a child that has no use for it
    if not child:
        same = np.array_equal(predictor.predict_arrays(pixels), before)
        same = same and np.array_equal(predictor.predict_arrays(pixels), before)
        sys.exit(0 if same else 3)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, status
assert np.array_equal(predictor.predict_arrays(pixels), before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("name", ["paddle_inference", "paddle_program"])
def test_a_forked_child_predicts_too(net, data, tmp_path, name):
    bundle = create_bundle(
        net, folder=tmp_path / "m", data=data, deployment=quick(exporter=name), config={}, metrics={}
    )
    result = subprocess.run(
        [sys.executable, "-c", FORK, str(bundle.folder)], capture_output=True, text=True, check=False, timeout=100
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_one_image_in_every_form(predictor, data, tmp_path):
    (pixels,) = data.validation.raw([3])
    file = tmp_path / "images" / "a.png"
    file.parent.mkdir()
    Image.fromarray(pixels[0]).save(file)
    wide = np.stack([pixels[0]] * 3, axis=-1)
    forms = [file, str(file), file.read_bytes(), Image.open(file), pixels, pixels[0], pixels[0][:, :, None], wide]
    expected = predictor.predict_items(pixels[None])[0]
    for form in (*forms, [file], file.parent, pixels[None], iter([pixels])):
        (item,) = predictor.predict(form)
        assert item.error is None
        np.testing.assert_allclose(list(item.probabilities.values()), expected, atol=1e-6)
    assert len(predictor.predict(forms)) == len(forms)
    assert "must be uint8" in predictor.predict(pixels[0] / 255)[0].error
    assert "must be [height, width]" in predictor.predict(np.zeros((0, 4), np.uint8))[0].error
    assert predictor.predict_read([]) == []
    named = predictor.predict_read([predictor.read(file)], names=["first"])
    assert (named[0].name, named[0].source) == ("first", "first")


def test_arrays_of_the_network(predictor, data):
    arrays = data.input.batch(data.validation.raw(np.arange(4)))
    raw = predictor.run(arrays)
    np.testing.assert_allclose(raw.outputs, predictor.predict_items(data.validation.raw(np.arange(4))), atol=1e-6)
    assert [item.nearest for item in predictor.answer(raw)] == [
        NAMES[index] for index in raw.outputs.argmax(axis=1)
    ]
    image = arrays["image"]
    for wrong in (
        {},
        {"picture": image},
        {"image": image.astype(np.float64)},
        {"image": image[:0]},
        {"image": np.float32(1.0)},
        {"image": image[:, :, :3]},
    ):
        with pytest.raises(DataError):
            predictor.run(wrong)


def test_without_a_check_of_the_files(bundle, tmp_path):
    folder = tampered(bundle, tmp_path / "b")
    (folder / "labels.txt").write_bytes((folder / "labels.txt").read_bytes() + b"\n")
    with pytest.raises(BundleError, match=r"labels\.txt"):
        Predictor(folder)
    (folder / "labels.txt").write_bytes((bundle.folder / "labels.txt").read_bytes())
    sample = folder / "samples" / "0.png"
    sample.write_bytes(sample.read_bytes() + b"x")
    with pytest.raises(BundleError, match=r"0\.png"):
        Predictor(folder)
    assert Predictor(folder, check_files=False).predict(sample)[0].error is None
