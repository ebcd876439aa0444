"""What a report says of the exported network, in both languages."""

from typing import ClassVar

import numpy as np
import pytest

from paddle_automl.reporting.base import SECTIONS
from paddle_automl.reporting.document import made
from paddle_automl.reporting.sections.mistakes import _detail
from paddle_automl.reporting.sections.scores import _heading
from paddle_automl.reporting.words import Words
from paddle_automl.tasks.base import RawTargets
from paddle_automl.tasks.multi_label import MultiLabel
from paddle_automl.tasks.regression import Regression
from paddle_automl.tasks.single_label import SingleLabel
from tests.unit.reporting import materials

EVERYTHING = materials.whole()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_overview_names_formats_that_are_not_verified(language):
    """The first one alone is verified; see `Bundle.verified`."""
    section, words = SECTIONS["overview"](), Words(language, SECTIONS["overview"].texts)
    assert section.content(EVERYTHING)["network"]["unverified"] == ["onnx"]
    text = section.blocks(section.content(EVERYTHING), words)[0].text
    assert words("not_verified", names="onnx") in text
    good = materials.bundle()
    good["formats"][0]["parity"]["verified"] = True
    content = section.content(materials.whole(bundle=good))
    assert content["network"]["verified"]
    assert words("verified", samples=20) in section.blocks(content, words)[0].text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_parity_check_names_the_same_formats(language):
    """One that was never compared is not verified either."""
    section, words = SECTIONS["parity"](), Words(language, SECTIONS["parity"].texts)
    found = materials.bundle()
    found["formats"][0]["parity"] = None
    content = section.content(materials.whole(bundle=found))
    assert section.blocks(content, words)[0].text == words("bad", names="onnx")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_overview_tells_of_a_network_with_one_answer(language):
    section, words = SECTIONS["overview"](), Words(language, SECTIONS["overview"].texts)
    found = materials.bundle()
    sentence = words("only_answer", name="cat")
    assert sentence not in section.blocks(section.content(materials.whole(bundle=found)), words)[0].text
    found["metrics"]["only_answer"] = "cat"
    assert sentence in section.blocks(section.content(materials.whole(bundle=found)), words)[0].text


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("held_out", "shift", "told"),
    [(True, -0.4, "score"), (False, -0.4, "lowered"), (False, 0.0, "seen"), (False, None, "seen")],
)
def test_a_threshold_of_learned_items_is_told_as_what_it_is(held_out, shift, told, language):
    section, words = SECTIONS["unknowns"](), Words(language, SECTIONS["unknowns"].texts)
    found = materials.bundle()
    found["rejection"]["held_out"] = held_out
    if shift is not None:
        found["rejection"]["tried"]["energy"]["shift"] = shift
    content = section.content(materials.whole(bundle=found))
    text = section.blocks(content, words)[0].text
    score = {"name": "energy", "kept": "95.0%", "items": "20"}
    lowered = {**score, "shift": "0.4", "keep": "95%"}
    assert (words("score", **score) in text) == (told != "lowered")
    assert (words("lowered", **lowered) in text) == (told == "lowered")
    assert (words("seen") in text) == (told == "seen")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("task", "told"), [("single_label", "none"), ("multi_label", "labels"), ("regression", "numbers")]
)
def test_a_network_without_a_score_is_told_as_its_task_answers(task, told, language):
    bundle = {**materials.bundle(), "task": {"name": task}, "rejection": None}
    written = made(SECTIONS["unknowns"](), materials.whole(bundle=bundle), language)
    assert written.missing == Words(language, SECTIONS["unknowns"].texts)(told)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_section_without_a_text_costs_no_report(language):
    class Untitled(SECTIONS["unknowns"]):
        name = "own"
        texts: ClassVar = {key: texts for key, texts in SECTIONS["unknowns"].texts.items() if key != "title"}

    class Wordless(Untitled):
        texts: ClassVar = {}

    written = made(Untitled(), EVERYTHING, language)
    assert (written.title, written.content["score"]) == ("own", "energy")
    for material in (EVERYTHING, materials.whole(bundle={"rejection": None})):
        written = made(Wordless(), material, language)
        assert (written.title, written.content) == ("own", None)
        assert "KeyError" in written.missing


def numbers_and_labels() -> list:
    """Return evaluations and mistakes of numbers with intervals, of labels, and of many classes."""
    rng = np.random.default_rng(0)
    numbers = RawTargets("numbers", rng.normal(size=(9, 2)), ("width", "depth"))
    regression = Regression.fit(Regression.Config(name="regression", interval=0.9), numbers)
    labels = RawTargets("labels", np.eye(9, 2), ("red", "big"))
    several = MultiLabel.fit(MultiLabel.Config(name="multi_label"), labels)
    many = RawTargets("classes", np.arange(40), tuple(f"c{number}" for number in range(40)))
    single = SingleLabel.fit(SingleLabel.Config(name="single_label"), many)
    return [
        (task, rng.random((len(raw.values), task.outputs)).astype(np.float32), task.encode(raw))
        for task, raw in ((regression, numbers), (several, labels), (single, many))
    ]


def test_tables_and_mistakes_of_every_task_are_in_chinese():
    """Of the words of a task none but the names of metrics and of the user's columns stay English."""
    kept = {"MAE", "RMSE", "R2", "F1"}
    for task, outputs, codes in numbers_and_labels():
        found, words = task.evaluation(outputs, codes), Words("zh", SECTIONS["scores"].texts)
        for table in found.tables:
            for text in (table.title, *table.columns):
                told = _heading(text, words)
                assert text in kept or told != text, text
                assert _heading(text, Words("en", SECTIONS["scores"].texts)) in (text, "items")
        words = Words("zh", SECTIONS["mistakes"].texts)
        mistakes = task.worst(outputs, codes, 1) if task.name != "single_label" else []
        for name in (name for mistake in mistakes for name in mistake.detail):
            assert _detail(name, words) != name.replace("_", " "), name
            assert _detail(name, Words("en", SECTIONS["mistakes"].texts)) == name.replace("_", " ")
