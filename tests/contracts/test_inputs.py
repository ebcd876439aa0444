"""Every input against its contract; one of texts shows that nothing is meant for images alone."""

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from paddle_automl.inputs.base import INPUTS, Reader
from paddle_automl.testing.inputs import InputContract
from tests.contracts.toys import Texts, lines
from tests.unit.data.pictures import noise, save


def image_files(folder):
    rng = np.random.default_rng(0)
    return [save(noise(rng), folder / f"图 {number}.png") for number in range(8)]


def image_files_and_bytes(folder):
    files = image_files(folder)
    buffer = io.BytesIO()
    noise(np.random.default_rng(1)).save(buffer, "PNG")
    return [*files, buffer.getvalue(), Image.open(files[0]).rotate(90)]


REVIEWS = (
    "房间很干净，早餐一般", "太吵了，房间太小", "ＡＢＣ　酒店\n不错", "", "好", "the room was clean",
    "The room was small!", "干净干净干净", "room 房间 🙂",
)  # fmt: skip


def texts_and_a_file(folder):
    (folder / "评 论.txt").write_text("房间很好，\n下次再来", "utf-8")
    return [*REVIEWS, folder / "评 论.txt", "早餐".encode()]


SOURCES = {"image": image_files_and_bytes, "text": texts_and_a_file}
ITEMS = {
    "image": lambda: np.random.default_rng(2).integers(0, 256, (9, 5, 6, 3), dtype=np.uint8),
    "text": lambda: np.array(REVIEWS, dtype=object),
}


class OfRegistry(InputContract):
    def sources(self, plugin, folder):
        assert plugin.name in SOURCES, f"add sources of the input '{plugin.name}' to SOURCES in {__file__}"
        return SOURCES[plugin.name](folder)

    def items(self, plugin):
        return ITEMS[plugin.name]() if plugin.name in ITEMS else None


@pytest.mark.parametrize("plugin", [INPUTS[name] for name in INPUTS.names()], ids=INPUTS.names())
class TestInputs(OfRegistry):
    pass


@pytest.mark.parametrize("plugin", [INPUTS["image"]])
class TestImagesWithOptions(OfRegistry):
    options: ClassVar = {"size": (9, 7), "channels": 1, "fit": "pad"}


@pytest.mark.parametrize("plugin", [INPUTS["text"]])
class TestTextsWithOptions(OfRegistry):
    options: ClassVar = {
        "ngrams": ["words 1-2", {"unit": "characters_in_words", "lengths": [2, 4], "min_count": 1}],
        "tokens": {"kind": "words", "min_count": 1},
        "max_length": 4,
        "long": "head_tail",
        "unicode": "none",
        "case": "keep",
        "words": "spaces",
    }


@pytest.mark.parametrize("plugin", [INPUTS["text"]])
class TestTextsInTrainedParts(OfRegistry):
    options: ClassVar = {"ngrams": "none", "tokens": {"kind": "trained", "size": 100}}


@pytest.mark.parametrize("plugin", [Texts])
class TestTexts(InputContract):
    def sources(self, plugin, folder):
        (folder / "文 a.txt").write_text("A Line in a file", "utf-8")
        return [*lines(8), folder / "文 a.txt"]

    def items(self, plugin):
        return np.array(lines(8), dtype=object)


class OfTexts(InputContract):
    def sources(self, plugin, folder):
        return lines(8)

    def items(self, plugin):
        return np.array(lines(8), dtype=object)


def wrong_input(**parts):
    return type("Wrong", (Texts,), {"__doc__": "Wrong.", **parts})


@dataclass(frozen=True, repr=False)
class Nameless(Reader):
    """Has the repr of any object, with its address."""

    lower: bool = True

    def __call__(self, source):
        return np.array(source.split())

    def empty(self, count):
        return np.empty(count, dtype=object)


def test_an_input_whose_batches_break_the_promise_is_caught():
    class Swapped(Texts):
        def batch(self, items):
            return dict(reversed(super().batch(items).items()))

    class Changing(Texts):
        def batch(self, items):
            arrays = super().batch(items)
            items[0] = items[0][:0]
            return arrays

    class Doubles(Texts):
        def batch(self, items):
            arrays = super().batch(items)
            return {**arrays, "length": arrays["length"].astype(np.float64)}

    for wrong, message in (
        (Swapped, "arrays in another order than specs"),
        (Changing, "batch changes the items"),
        (Doubles, "length: float64, declared float32"),
    ):
        with pytest.raises(AssertionError, match=message):
            OfTexts().test_batches_hold_the_promised_arrays(wrong, None)


def test_an_input_that_reads_or_writes_otherwise_than_in_training_is_caught(tmp_path):
    class Shouting(Texts):
        def read(self, source):
            return np.char.upper(super().read(source))

    class Silent(Texts):
        def write(self, item, stem):
            return super().write(item[:1], stem)

    with pytest.raises(AssertionError, match="is not read as in training"):
        OfTexts().test_what_is_fitted_survives_json(Shouting, tmp_path)
    with pytest.raises(AssertionError, match=r"000\.txt does not hold the written item"):
        OfTexts().test_written_items_are_found_and_read_again(Silent, tmp_path)


def test_a_reader_whose_repr_is_no_key_is_caught(tmp_path):
    wrong = wrong_input(reader=classmethod(lambda cls, config, *, sources, items: Nameless()))
    with pytest.raises(AssertionError, match="the repr of a reader is the key"):
        OfTexts().test_what_is_read_depends_on_source_and_options_alone(wrong, tmp_path)


def test_statistics_of_the_last_batch_alone_are_caught(tmp_path):
    def measure(cls, config, reader, batches):
        return {"words": sorted({str(word) for item in list(batches)[-1] for word in item})}

    with pytest.raises(AssertionError):
        OfTexts().test_statistics_do_not_depend_on_the_batches(wrong_input(measure=classmethod(measure)), tmp_path)


def test_an_input_that_finds_something_in_nothing_is_caught(tmp_path):
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        OfTexts().test_nothing_is_found_in_nothing(wrong_input(find=lambda self, paths: list(paths)), tmp_path)


def test_a_contract_without_sources_says_what_to_do(tmp_path):
    with pytest.raises(pytest.fail.Exception, match=r"override sources\(\): return some sources that Texts reads"):
        InputContract().test_nothing_is_found_in_nothing(Texts, tmp_path)
