"""Which files the words of a command line stand for."""

import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.inputs.image.files import expand
from paddle_automl.inputs.text.files import find_texts


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
    with pytest.raises(DataError, match=r"empty: has no images in it or below; looked for .*\.jpg"):
        expand([tmp_path / "empty"])
    (tmp_path / "list.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError, match=r"list\.txt: is an empty list"):
        expand([tmp_path / "list.txt"])
    assert expand([tmp_path / "nowhere.txt"]) == [tmp_path / "nowhere.txt"]


def test_a_folder_of_texts_is_searched_by_the_rules_of_data_sets(tmp_path, caplog):
    hidden, result = (".e.txt", ".cache/f.txt"), ("run/study.db", "run/g.txt")
    for name in ("b.TXT", "a.txt", "sub/c.txt", "notes.md", *hidden, *result):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("good", encoding="utf-8")
    assert find_texts([tmp_path]) == [tmp_path / "a.txt", tmp_path / "b.TXT", tmp_path / "sub" / "c.txt"]
    assert "left out, because they are not .txt files: 1 .md" in caplog.text
    assert "run: left out, because it is an output of this program (it holds 'study.db')" in caplog.text
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: has no \.txt files in it or below$"):
        find_texts([tmp_path / "empty"])
