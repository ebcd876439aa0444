"""The picture of augmented training images."""

import numpy as np
import pytest
from PIL import Image

from paddle_automl.cli.common import BAD_INPUT, OK
from paddle_automl.cli.show_data import draw, main
from paddle_automl.core.loading import validate
from paddle_automl.data.prepare import prepare
from paddle_automl.pipeline.augmented import (
    AugmentedItem,
    Picture,
    augmentation_told,
    augmented_batches,
    augmented_items,
)
from paddle_automl.pipeline.config import RunConfig


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"output: {tmp_path / 'output'}\ndata: {{dataset: digits, augment: [mixup]}}\n", encoding="utf-8"
    )
    return path


def items(*augment, target="digit", **options):
    data = {"dataset": {"name": "digits", "target": target}, "augment": list(augment)}
    return augmented_items(validate(RunConfig, {"data": data, **options}), items=4, versions=3)


def test_a_picture_is_written_and_nothing_else(config, tmp_path, capsys):
    target = tmp_path / "data.png"
    assert main(["-c", str(config), "--to", str(target), "--items", "3", "--versions", "2"]) == OK
    assert capsys.readouterr().out == f"{target}: 3 images, 2 versions of each; mixup\n"
    with Image.open(target) as picture:
        assert picture.width > 300
    assert {file.name for file in tmp_path.iterdir()} == {"config.yaml", "data.png"}


def test_pictures_for_visualdl(config, tmp_path, capsys):
    from visualdl import LogReader

    folder = tmp_path / "logs"
    assert main(["-c", str(config), "--visualdl", str(folder), "--items", "2", "--versions", "3"]) == OK
    assert capsys.readouterr().out == f"{folder}: 2 images, 3 versions of each; mixup\n"
    (file,) = folder.iterdir()
    reader = LogReader(file_path=str(file))
    tags = [tag.rpartition("/")[2] for tag, kind in reader.tags().items() if kind == "image"]
    assert len(tags) == 2
    for tag in tags:
        assert [record.id for record in reader.get_data("image", tag)] == [0, 1, 2, 3]
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "logs"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--to: name a .png file, or a folder for VisualDL with --visualdl"),
        (["--to", "picture.jpg"], "--to picture.jpg: must name a .png file"),
        (["--to", "x.png", "--items", "0"], "--items: must be from 1 to 40, got 0"),
        (["--to", "x.png", "--versions", "41"], "--versions: must be from 1 to 40, got 41"),
        (["--to", "x.png", "-o", "data.augmen=[]"], "did you mean 'augment'"),
    ],
)
def test_mistakes_are_named(config, capsys, arguments, message):
    assert main(["-c", str(config), *arguments]) == BAD_INPUT
    assert message in capsys.readouterr().err


def test_versions_differ_and_the_seed_decides():
    first, again = items({"name": "random_crop", "padding": 2}), items({"name": "random_crop", "padding": 2})
    other = items({"name": "random_crop", "padding": 2}, seed=1)
    for one, same in zip(first, again, strict=True):
        assert np.array_equal(one.original.pixels, same.original.pixels)
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(one.versions, same.versions, strict=True))
        assert {version.label for version in one.versions} == {one.original.label}
        assert one.original.pixels.shape == (8, 8, 3)
    assert not all(np.array_equal(*(v.pixels for v in one.versions[:2])) for one in first)
    assert not all(
        np.array_equal(one.original.pixels, two.original.pixels) for one, two in zip(first, other, strict=True)
    )


def test_without_augmentation_versions_are_the_image_as_it_was_read():
    for item in items():
        assert all(np.array_equal(version.pixels, item.original.pixels) for version in item.versions)
        assert item.original.pixels.max() > 200


def test_consecutive_versions_are_consecutive_epochs():
    """Every image is mirrored in one of two."""
    mirrored = [
        [not np.array_equal(version.pixels, item.original.pixels) for version in item.versions]
        for item in items("alternating_flip")
    ]
    assert all(first != second and first == third for first, second, third in mirrored)
    config = validate(RunConfig, {"data": {"dataset": "digits", "augment": ["alternating_flip"]}})
    first, second = augmented_batches(config, prepare(config.data, seed=0).train, 32, 2)
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.pixels, other.pixels[:, ::-1])


FROZEN = {"pretrained": "x.pdparams", "freeze": "backbone"}
FLIPPED = {"count": 2, "augment": [{"name": "horizontal_flip", "probability": 1.0}]}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"feature_views": FLIPPED}, "horizontal_flip (data.feature_views, 2 views of each)"),
        (
            {"feature_views": FLIPPED, "augment": ["vertical_flip", "mixup"]},
            "horizontal_flip (data.feature_views, 2 views of each), "
            "mixup (data.augment, mixes features, here images)"
            "; model.freeze leaves out vertical_flip (data.augment)",
        ),
        ({"feature_views": {**FLIPPED, "count": 0}}, "no augmentation (data.feature_views)"),
    ],
)
def test_what_a_head_on_a_frozen_backbone_sees_is_told(data, told):
    config = validate(RunConfig, {"data": {"dataset": "digits", **data}, "model": FROZEN})
    assert augmentation_told(config) == told


@pytest.mark.parametrize("count", [0, 2])
def test_what_a_head_on_a_frozen_backbone_sees_is_drawn(count):
    """Views, and nothing of the augmentations of items that cannot change features."""
    data = {"dataset": "digits", "feature_views": {**FLIPPED, "count": count}, "augment": ["vertical_flip"]}
    config = validate(RunConfig, {"data": data, "model": FROZEN})
    for item in augmented_items(config, items=4, versions=3):
        expected = item.original.pixels[:, ::-1] if count else item.original.pixels
        assert all(np.array_equal(version.pixels, expected) for version in item.versions)


def test_a_picture_names_what_it_shows(config, tmp_path, capsys):
    options = ["-o", "model.pretrained=x.pdparams", "-o", "model.freeze=backbone", "-o", "data.augment=[noise]"]
    assert main(["-c", str(config), "--to", str(tmp_path / "data.png"), "--items", "1", *options]) == OK
    told = "6 versions of each; no augmentation (data.feature_views); model.freeze leaves out noise (data.augment)"
    assert capsys.readouterr().out.rstrip().endswith(told)


def test_mixed_targets_are_named():
    labels = [v.label for item in items({"name": "mixup", "alpha": 5.0, "probability": 1.0}) for v in item.versions]
    mixed = [label for label in labels if "," in label]
    assert mixed
    for label in mixed:
        parts = [part.split() for part in label.split(", ")]
        assert sum(float(fraction) for _, fraction in parts) == pytest.approx(1.0, abs=0.02)
        assert float(parts[0][1]) >= float(parts[-1][1])
    several = items({"name": "mixup", "alpha": 5.0, "probability": 1.0}, target="digit_and_parity")
    assert any("even" in version.label for item in several for version in item.versions)
    numbers = items({"name": "mixup", "alpha": 5.0, "probability": 1.0}, target="ink")
    assert {version.label for item in numbers for version in item.versions} >= {"mixed"}


def test_long_and_odd_labels_are_drawn(tmp_path):
    pixels = np.zeros((4, 6, 3), np.uint8)
    item = AugmentedItem(Picture(pixels, "$x_" + "y" * 90), (Picture(pixels, "\x1b[1m"),))
    draw([item], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0
