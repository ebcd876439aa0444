"""Lists, files of labels and tables of images, as text of any kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.inputs.image.files import expand
from tests.fuzz.damage import MANY, SAMPLE, Growth, damaged, only_two_ends
from tests.unit.data.loading import load
from tests.unit.data.pictures import class_folder

counts = pytest.mark.parametrize("count", [SAMPLE, pytest.param(MANY, marks=pytest.mark.slow)])
ROWS = [("images/图 00.png", "cat"), ("images/图 01.png", "Tiger, striped"), ("images\\图 02.png", "café")]
TABLE = "path,class,flag,number,split\n" + "".join(
    f'{path},"{name}",{index % 2},{index}.5e-1,{("train", "val", "test")[index]}\n'
    for index, (path, name) in enumerate(ROWS)
)
TEXTS = {
    "list.txt": "".join(f"{path}\t{name}\n" for path, name in ROWS),
    "flags.txt": "".join(f"{path} 0,{index % 2},1\n" for index, (path, _) in enumerate(ROWS)),
    "labels.txt": "".join(f"{index}: {name}\n" for index, (_, name) in enumerate(ROWS)),
    "table.csv": TABLE,
    "table.tsv": TABLE.replace(",", "\t"),
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "gb18030")
SPECIAL = (
    b"\x00",
    b"\xff\xfe",
    b"\x85",
    b'"',
    b"\r",
    b"\n",
    b"\t",
    b",",
    b"x" * 200_000,
    "\u2028".encode(),
    b"\xed\xa0\x80",
    b" ",
)
"""What is put in besides random damage: NUL, marks of other encodings, quotes, ends of lines, a huge field."""


@pytest.fixture
def folder(tmp_path) -> Path:
    class_folder(tmp_path, {"images": 3})
    (tmp_path / "ids.txt").write_text(
        "images/图 00.png 0\nimages/图 01.png 1\nimages/图 02.png 2\n", encoding="utf-8"
    )
    return tmp_path


def use(file: Path) -> None:
    """Read a file as everything that it may be given as."""
    if file.suffix in (".csv", ".tsv"):
        for options in (
            {"labels": "class"},
            {"labels": "class", "separator": ",", "split": "split"},
            {"targets": ["number"]},
        ):
            only_two_ends(lambda options=options: load("image_table", file=str(file), **options), DataError)
        return
    if file.name == "labels.txt":
        ids = str(file.parent / "ids.txt")
        only_two_ends(lambda: load("image_list", train=ids, label_file=str(file)), DataError)
        return
    for labels in ("auto", "single", "several", "flags"):
        only_two_ends(lambda labels=labels: load("image_list", train=str(file), labels=labels), DataError)
    only_two_ends(lambda: expand([file]), DataError)


def contents(text: str, count: int) -> list[bytes]:
    """Return the text in each encoding, sound, damaged, and with special bytes at many places."""
    raws = [text.encode(encoding) for encoding in ENCODINGS]
    found = list(raws)
    for number, raw in enumerate(raws):
        found += damaged(raw, count // len(raws), seed=number)
    for number in range(count // 2):
        raw, special = raws[number % len(raws)], SPECIAL[number % len(SPECIAL)]
        place = number * 7 % len(raw)
        found.append(raw[:place] + special + raw[place:])
    return found


@counts
@pytest.mark.parametrize("name", TEXTS)
def test_damaged_texts(folder, name, count):
    file = folder / name
    with Growth():
        for content in contents(TEXTS[name], count):
            file.write_bytes(content)
            use(file)
