"""The files with which PaddleX loads a bundle; tests/e2e/test_paddlex.py runs PaddleX itself."""

import os
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paddle_automl.core.errors import ConfigError
from paddle_automl.data.splits import PreparedData
from paddle_automl.data.stores import SourceStore
from paddle_automl.deployment import paddlex
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.paddlex import INFERENCE, PIPELINE, as_paddlex_reads, normalized, obstacle, place_of
from paddle_automl.inputs.image.input import ImageFitted, ImageInput
from tests.unit.deployment.conftest import classes, make_net, make_split, make_task, quick


def image_input(channels=3, size=(8, 8), **options):
    mean, std = [0.4, 0.5, 0.6][:channels], [0.2, 0.25, 0.3][:channels]
    fitted = {"name": "image", "size": size, "channels": channels, "mean": mean, "std": std, "grid": "whole"}
    return ImageInput(ImageFitted(**fitted, **options))


def file_data(folder, channels):
    """Files of many sizes, grey if the network is."""
    rng = np.random.default_rng(1)
    files = []
    for number in range(12):
        height, width = rng.integers(9, 60, 2)
        shape = (height, width) if channels == 1 else (height, width, 3)
        pixels = np.clip(rng.integers(20, 235) + rng.normal(0, 30, shape), 0, 255).astype(np.uint8)
        files.append(folder / f"图 {number}{('.jpg', '.png')[number % 2]}")
        Image.fromarray(pixels).save(files[-1])
    input, task = image_input(channels), make_task()
    store = SourceStore(files, input.decoder, workers=0)
    split = make_split(store, input, classes(12), task, tuple(files))
    return PreparedData(split, split, split, input, task)


def make(folder, data, **changes):
    net = make_net(data.input.channels)
    return create_bundle(net, folder=folder, data=data, deployment=quick(**changes), config={}, metrics={})


@pytest.mark.parametrize("channels", [1, 3])
def test_the_files_and_what_they_say(tmp_path, monkeypatch, channels):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "数据").mkdir()
    data = file_data(tmp_path / "数据", channels)
    bundle = make("输出/1", data)
    assert {INFERENCE, PIPELINE} <= set(bundle.info.files)
    network = [bundle.folder / name for name in ("inference.json", "inference.pdiparams")]
    assert bundle.size_mb == sum(file.stat().st_size for file in network) / 1e6
    facts = yaml.safe_load((bundle.folder / INFERENCE).read_text(encoding="utf-8"))
    steps = {name: step for item in facts["PreProcess"]["transform_ops"] for name, step in item.items()}
    assert list(steps) == ["ResizeImage", "CropImage", "NormalizeImage", "ToCHWImage"]
    assert steps["ResizeImage"] == {"resize_short": 8, "backend": "pil", "interpolation": "BILINEAR"}
    assert steps["CropImage"] == {"size": [8, 8]}
    assert len(steps["NormalizeImage"]["mean"]) == steps["NormalizeImage"]["channel_num"] == 3
    assert facts["PostProcess"]["Topk"] == {"topk": 3, "label_list": list(data.task.names)}
    assert facts["Agreement"] == {"validation_images": 12, "same_class": 12}
    module = yaml.safe_load((bundle.folder / PIPELINE).read_text(encoding="utf-8"))["SubModules"]
    assert module["ImageClassification"]["model_name"] == facts["Global"]["model_name"]
    assert module["ImageClassification"]["model_dir"] == "./输出/1"
    assert str(tmp_path) not in (bundle.folder / PIPELINE).read_text(encoding="utf-8")
    assert bundle.verified


def test_the_network_of_grey_images_takes_one_channel_or_three(tmp_path):
    bundle = make(tmp_path / "b", file_data(tmp_path, 1))
    session, input = bundle.session(), bundle.input
    grey = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
    one = session(input.batch(grey))
    three = normalized(np.repeat(grey.transpose(0, 2, 3, 1), 3, axis=3), input)
    np.testing.assert_allclose(session({"image": three}), one, atol=1e-5)
    # Colors count as much as in the grey image that Pillow makes of them.
    color = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    as_grey = np.stack([np.asarray(Image.fromarray(item).convert("L")) for item in color])[:, None]
    got = session({"image": normalized(color, input)})
    np.testing.assert_allclose(got, session(input.batch(as_grey)), atol=0.02)
    assert (got.argmax(axis=1) == session(input.batch(as_grey)).argmax(axis=1)).all()


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_images_are_read_as_by_this_package_up_to_rounding(tmp_path, fit):
    input = image_input(fit=fit)
    rng = np.random.default_rng(2)
    for number, size in enumerate([(30, 41), (200, 90), (8, 8), (5, 7)]):
        file = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file)
        theirs = as_paddlex_reads(file, input).transpose(2, 0, 1).astype(int)
        assert np.abs(theirs - input.read(file)).max() <= 1


def test_a_file_that_only_this_package_reads_costs_no_bundle(tmp_path):
    """Pillow refuses a PNG with a text of many MB; here the text is left out."""
    (tmp_path / "数据").mkdir()
    data = file_data(tmp_path / "数据", 3)
    file = tmp_path / "数据" / "图 1.png"
    texts = PngInfo()
    texts.add_text("note", "x" * (3 << 20), zip=True)
    Image.open(file).save(file, pnginfo=texts)
    with pytest.raises(ValueError, match="Decompressed data too large"):
        as_paddlex_reads(file, data.input)
    bundle = make(tmp_path / "b", data)
    facts = yaml.safe_load((bundle.folder / INFERENCE).read_text(encoding="utf-8"))
    assert facts["Agreement"] == {"validation_images": 12, "same_class": 11}
    assert bundle.verified


def test_what_paddlex_cannot_load():
    task = make_task()
    able = image_input()
    assert obstacle(able, task, "paddle_inference") is None
    assert obstacle(image_input(size=(8, 10), fit="stretch"), task, "paddle_program") is None
    cases = [
        (image_input(size=(8, 10)), task, "paddle_inference", "PaddleX crops to squares, not to 8 x 10"),
        (image_input(fit="pad"), task, "paddle_inference", "cannot pad"),
        (image_input(channels=1, range=(0.0, 4095.0)), task, "paddle_inference", "reads 8 bits per channel"),
        (able, task, "onnx", "PaddleX looks for Paddle's format"),
    ]
    for input, given, exporter, reason in cases:
        assert reason in obstacle(input, given, exporter)


def test_texts_have_no_such_files():
    class Text:
        name = "text"

    assert (
        obstacle(Text(), make_task(), "paddle_inference")
        == "PaddleX classifies images; this network takes text input"
    )
    with pytest.raises(ConfigError, match=r"deployment\.paddlex: PaddleX classifies images; .* text input; use"):
        paddlex.check_wanted("required", Text(), make_task(), "paddle_inference")
    paddlex.check_wanted("auto", Text(), make_task(), "paddle_inference")


def test_required_and_none(tmp_path):
    data = file_data(tmp_path, 3)
    wide = replace(data, input=image_input(size=(8, 10)))
    with pytest.raises(ConfigError, match=r"deployment\.paddlex: PaddleX crops to squares"):
        paddlex.check_wanted("required", wide.input, wide.task, "paddle_inference")
    without = make(tmp_path / "none", data, paddlex="none")
    assert not {INFERENCE, PIPELINE} & set(without.info.files)


def test_the_place_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place_of("output/花/model") == place_of(tmp_path / "output/花/model") == "./output/花/model"
    assert place_of(tmp_path) == "."
    assert place_of(tmp_path.parent / "elsewhere") == "."


def test_a_copied_bundle_names_its_new_place(tmp_path, monkeypatch):
    from paddle_automl.pipeline.jobs.export import _copy

    monkeypatch.chdir(tmp_path)
    made = make("trial/model", file_data(tmp_path, 3))
    _copy(made.folder, tmp_path / "output" / "model")
    copied = Bundle.open("output/model")
    text = (copied.folder / PIPELINE).read_text(encoding="utf-8")
    assert "model_dir: ./output/model" in text
    assert os.path.isdir("trial/model")
