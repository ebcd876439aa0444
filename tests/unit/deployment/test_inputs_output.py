"""What a command line's words stand for, and predictions as text."""

import csv
import io
import json
import os

import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.deployment.inputs import expand
from paddle_automl.deployment.output import as_csv, as_json, as_table
from paddle_automl.deployment.predictor import Prediction


@pytest.fixture
def photos(tmp_path):
    for name in ("b.JPG", "a.png", "sub dir/图 1.webp", "sub dir/notes.md", ".hidden.png", "list.md"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "photos"


def test_files_stand_for_themselves(photos):
    words = [str(photos / "b.JPG"), photos / "missing.png", str(photos / "list.md")]
    assert expand(words) == [photos / "b.JPG", photos / "missing.png", photos / "list.md"]


def test_folder_is_searched_in_order(photos):
    assert expand([photos]) == [photos / "a.png", photos / "b.JPG", photos / "sub dir" / "图 1.webp"]


def test_list_with_and_without_labels(photos):
    text = "\ufeffb.JPG\r\n\r\na.png 3\nsub dir/图 1.webp 菊花\nsub dir/图 1.webp\ngone.jpg 2\ngone too.jpg\n"
    (photos / "list.txt").write_bytes(text.encode("utf-8"))
    image = photos / "sub dir" / "图 1.webp"
    assert expand([photos / "list.txt"]) == [
        photos / "b.JPG",
        photos / "a.png",
        image,
        image,
        photos / "gone.jpg",
        photos / "gone too.jpg",
    ]


def test_list_with_absolute_paths(photos, tmp_path):
    (tmp_path / "list.TXT").write_text(f"{photos / 'a.png'}\t0\n", encoding="utf-8")
    assert expand([tmp_path / "list.TXT"]) == [photos / "a.png"]


def test_list_from_a_chinese_windows(photos):
    (photos / "list.txt").write_bytes("sub dir/图 1.webp 菊花\r\n".encode("gbk"))
    assert expand([photos / "list.txt"]) == [photos / "sub dir" / "图 1.webp"]


def test_nothing_to_predict(tmp_path):
    with pytest.raises(DataError, match="no images given"):
        expand([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: has no image files in it or below; looked for .*\.jpg"):
        expand([tmp_path / "empty"])
    (tmp_path / "list.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError, match=r"list\.txt: is an empty list"):
        expand([tmp_path / "list.txt"])
    assert expand([tmp_path / "nowhere.txt"]) == [tmp_path / "nowhere.txt"]


PREDICTIONS = [
    Prediction("照片/a.png", "菊花", 0.75, {"菊花": 0.75, "label": 0.2, "c,d": 0.05}),
    Prediction("bad.jpg", error="bad.jpg: the file is empty (0 bytes)"),
    Prediction("x y.png", "label", 0.5, {"菊花": 0.3, "label": 0.5, "c,d": 0.2}),
]
NAMES = ("菊花", "label", "c,d")


def test_table():
    assert as_table(PREDICTIONS, top=2).split("\n") == [
        "image       label  probability  next",
        "照片/a.png  菊花   0.7500       label 0.2000",
        "bad.jpg     -      -            the file is empty (0 bytes)",
        "x y.png     label  0.5000       菊花 0.3000",
    ]
    assert as_table(PREDICTIONS[:1], top=1).split("\n")[1] == "照片/a.png  菊花   0.7500"
    assert "c,d 0.0500" in as_table(PREDICTIONS[:1], top=99)


def test_json():
    assert json.loads(as_json(PREDICTIONS)) == [
        {
            "path": "照片/a.png",
            "label": "菊花",
            "probability": 0.75,
            "probabilities": {"菊花": 0.75, "label": 0.2, "c,d": 0.05},
        },
        {"path": "bad.jpg", "error": "bad.jpg: the file is empty (0 bytes)"},
        {
            "path": "x y.png",
            "label": "label",
            "probability": 0.5,
            "probabilities": {"菊花": 0.3, "label": 0.5, "c,d": 0.2},
        },
    ]
    assert "照片" in as_json(PREDICTIONS)


def test_csv():
    text = as_csv(PREDICTIONS, NAMES)
    assert text.encode("utf-8").startswith(b"\xef\xbb\xbfpath,")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert rows == [
        ["path", "label", "probability", "error", "菊花", "class:label", "c,d"],
        ["照片/a.png", "菊花", "0.750000", "", "0.750000", "0.200000", "0.050000"],
        ["bad.jpg", "", "", "bad.jpg: the file is empty (0 bytes)", "", "", ""],
        ["x y.png", "label", "0.500000", "", "0.300000", "0.500000", "0.200000"],
    ]


def test_names_that_are_no_unicode_can_be_written():
    path = os.fsdecode("菊花.png".encode("gbk"))
    items = [Prediction(path, error="lost")]
    for text in (as_table(items), as_json(items), as_csv(items, NAMES)):
        text.encode("utf-8")
        assert "菊花.png" in text
