"""Every augmentation against its contract, and what those of the package keep beyond it."""

import re
from typing import ClassVar

import numpy as np
import pytest

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation, Augmenter, build_augmenter
from paddle_automl.inputs.base import INPUTS
from paddle_automl.inputs.image import ImageFitted, ImageInput
from paddle_automl.testing.augmentations import AugmentationContract, one_hot
from tests.contracts.registering import registered
from tests.contracts.toys import Texts

CLASSES = [AUGMENTATIONS[name] for name in AUGMENTATIONS.names()]


TEXTS = ("the room was clean", "a noisy street", "x", "", "早餐 很 好", "no wifi at all", "fine", "we come again")


class OfRegistry(AugmentationContract):
    def values(self, plugin):
        if plugin.takes == {"text"}:
            return [np.array(TEXTS, dtype=object), np.array(TEXTS[:1], dtype=object)]
        return super().values(plugin)


@pytest.mark.parametrize("plugin", CLASSES, ids=lambda cls: cls.name)
class TestAugmentations(OfRegistry):
    def test_values_stay_in_the_range_of_what_they_are_made_of(self, plugin):
        for values in self.values(plugin):
            for seed in range(5):
                changed, _ = self.make(plugin)(values, one_hot(len(values)), np.random.default_rng(seed))
                if plugin.stage == "batch":
                    assert np.abs(changed).max() <= np.abs(values).max() + 1e-5

    def test_those_of_items_leave_targets_alone(self, plugin):
        values = self.values(plugin)[0]
        targets = one_hot(len(values))
        _, soft = self.make(plugin)(values, targets, np.random.default_rng(0))
        assert (soft == targets).all() or plugin.stage == "batch"


@pytest.mark.parametrize("plugin", [cls for cls in CLASSES if cls.takes == {"text"}], ids=lambda cls: cls.name)
class TestOfWords(OfRegistry):
    options: ClassVar = {"unit": "words", "fraction": 0.3, "probability": 1.0}

    def values(self, plugin):
        return [np.array(["the room was clean"] * 8, dtype=object)]


def words_after(name, texts, **options):
    cls = AUGMENTATIONS[name]
    made = cls(cls.Config(name=name, unit="words", probability=1.0, **options))
    values = np.array(texts, dtype=object)
    rngs = [np.random.default_rng(seed) for seed in range(20)]
    return [text for rng in rngs for text in made(values, one_hot(len(values)), rng)[0]]


@pytest.mark.parametrize("name", ["text_insert", "text_replace", "text_delete", "text_swap"])
def test_changes_of_words_make_no_new_words(name):
    texts = ["the room didn't look clean indeed", "AI很好 good 房间 café 不错", "一个wifi好", "x y"]
    known = {"the", "room", "didn't", "look", "clean", "indeed", "AI", "good", "café", "wifi", "x", "y"}
    for text in words_after(name, texts, fraction=0.3):
        assert set(re.findall(r"[A-Za-zé']+", text)) <= known, text


def test_spaces_are_no_words():
    text = " ".join("abcdefghijklmnopqrst")
    assert {len(changed.split()) for changed in words_after("text_insert", [text])} == {22}
    assert {len(changed.split()) for changed in words_after("text_replace", [text])} == {20}
    assert {len(changed.split()) for changed in words_after("text_delete", [text])} == {18}
    left = words_after("text_delete", ["a b", " a ", "a 很"], fraction=1.0)
    assert {len(changed.split()) for changed in left} == {1}
    assert set(words_after("text_insert", [" ", ""])) == {" ", ""}


def test_what_is_changed_in_texts(tmp_path):
    texts = np.array(["abcdefghij"] * 20, dtype=object)

    def changed(name, values=texts, **options):
        cls = AUGMENTATIONS[name]
        made = cls(cls.Config(name=name, probability=1.0, **options))
        return list(made(values, one_hot(len(values)), np.random.default_rng(0))[0])

    assert {len(text) for text in changed("text_delete", fraction=0.2)} == {8}
    assert all(set(text) < set("abcdefghij") for text in changed("text_delete", fraction=0.2))
    assert {len(text) for text in changed("text_insert", fraction=0.3)} == {13}
    assert all(sorted(text) == sorted("abcdefghij") for text in changed("text_swap"))
    assert {sum(a != b for a, b in zip(text, "abcdefghij", strict=True)) for text in changed("text_swap")} <= {0, 2}
    (tmp_path / "synonyms.txt").write_text("Aa01= clean tidy neat\nroom,chamber\n", "utf-8")
    words = np.array(["the clean room"] * 8, dtype=object)
    found = changed("text_replace", words, unit="words", fraction=1.0, synonyms=str(tmp_path / "synonyms.txt"))
    assert {text.split()[1] for text in found} == {"tidy", "neat"}
    assert {text.split()[2] for text in found} == {"chamber"}


class DropWords(Augmentation):
    """Leaves out words, as an augmentation of texts may: items of different lengths become shorter."""

    name = "drop_words"
    takes = frozenset({"toy_text"})

    class Config(PluginConfig):
        """How many."""

        fraction: float = 0.3
        """Fraction of the words that is left out."""

    def __init__(self, config):
        self.fraction = config.fraction

    def __call__(self, values, targets, rng):
        changed = np.empty_like(values)
        for row, words in enumerate(values):
            changed[row] = words[rng.random(len(words)) >= self.fraction]
        return changed, targets


@pytest.mark.parametrize("plugin", [DropWords])
class TestOfTexts(AugmentationContract):
    @pytest.fixture(autouse=True)
    def _input(self):
        with registered(INPUTS, "toy_text", Texts):
            yield

    def values(self, plugin):
        batch = np.empty(9, dtype=object)
        for row in range(9):
            batch[row] = np.array([f"word{row}"] * (row + 1))
        return [batch, batch[:1]]


class Noise(AUGMENTATIONS["mixup"]):
    """Adds noise to the main array of any input."""

    def __init__(self, config):
        pass

    def __call__(self, values, targets, rng):
        return values + rng.standard_normal(values.shape, dtype=np.float32), targets


@pytest.mark.parametrize("plugin", [Noise])
class TestOfAnyInput(AugmentationContract):
    pass


def test_one_of_another_input_says_what_to_do():
    with pytest.raises(pytest.fail.Exception, match=r"override values\(\): DropWords takes toy_text input"):
        AugmentationContract().test_what_it_is_given_is_not_changed(DropWords)


def change_in_place(values, targets, rng):
    values += rng.standard_normal(values.shape, dtype=np.float32)
    return values, targets


WRONG = [
    (
        change_in_place,
        "test_what_it_is_given_is_not_changed",
        "the values given are changed",
    ),
    (
        lambda values, targets, rng: (values + np.float32(np.random.random()), targets),  # noqa: NPY002
        "test_the_generator_decides_alone",
        "the same generator gives other changes",
    ),
    (
        lambda values, targets, rng: (values, targets),
        "test_the_generator_decides_alone",
        "another generator gives the same changes",
    ),
    (
        lambda values, targets, rng: (values.astype(np.float64), targets),
        "test_shapes_and_types_stay_and_targets_are_weighted_means",
        "float64",
    ),
    (
        lambda values, targets, rng: (values, targets + targets[::-1]),
        "test_shapes_and_types_stay_and_targets_are_weighted_means",
        "Not equal to tolerance",
    ),
]


@pytest.mark.parametrize(("call", "test", "message"), WRONG)
def test_a_wrong_augmentation_is_caught(call, test, message):
    class Wrong(Noise):
        def __call__(self, values, targets, rng):
            return call(values, targets, rng)

    with pytest.raises(AssertionError, match=message):
        getattr(AugmentationContract(), test)(Wrong)


def test_one_for_items_of_any_input_is_caught():
    class Wrong(Noise):
        """Items differ too much for that."""

        stage = "item"

    with pytest.raises(AssertionError, match="must name the inputs that it takes"):
        AugmentationContract().test_options_are_described(Wrong)


def test_all_together():
    configs = [cls.Config(name=cls.name) for cls in CLASSES if cls.takes != {"text"}]
    fitted = ImageFitted(name="image", size=(16, 16), channels=3, mean=(0.5,) * 3, std=(0.2,) * 3)
    augmenter = build_augmenter(configs, ImageInput(fitted))
    assert isinstance(augmenter, Augmenter)
    images = np.random.default_rng(0).integers(0, 256, (32, 3, 16, 16), dtype=np.uint8)
    rng = np.random.default_rng(0)
    images, targets = augmenter.items(images, one_hot(32), rng)
    assert images.dtype == np.uint8
    arrays, targets = augmenter.batch({"image": images.astype(np.float32)}, targets, rng)
    assert list(arrays) == ["image"]
    assert arrays["image"].shape == (32, 3, 16, 16)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
