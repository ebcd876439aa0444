"""Every section: it tells what there is, and says in one sentence what there is not."""

import string
from dataclasses import replace

import pytest
from optuna.trial import TrialState, create_trial

from paddle_automl.reporting.base import SECTIONS, Missing
from paddle_automl.reporting.blocks import Chart, Facts, Grid, Paragraph
from paddle_automl.reporting.document import Report, made
from paddle_automl.reporting.words import COMMON, Words, language_of
from tests.unit.reporting import materials

EVERYTHING = materials.whole()


@pytest.fixture
def undrawn(monkeypatch):
    """Sections without the time that their drawings take."""
    monkeypatch.setattr("paddle_automl.reporting.charts.Drawing.svg", lambda self: b"<svg/>")


def content_of(name, material):
    return SECTIONS[name]().content(material)


@pytest.mark.parametrize("broken", ["bundle", "summary", "answers", "compression", "config"])
@pytest.mark.usefixtures("undrawn")
def test_a_damaged_record_costs_its_sections_alone(broken):
    value = {
        "metrics": 3,
        "parity": [],
        "latency": 7,
        "stage_seconds": "x",
        "rejection": 1,
        "steps": 0,
        "search": 1,
    }
    report = Report("en")
    report.write(materials.whole(**{broken: value}))
    lacking = [item for item in report.written.values() if item.content is None and item.name != "pareto"]
    assert 0 < len(lacking) < 9
    assert all(item.missing.endswith(".") for item in lacking)


def test_the_winner_is_compared_with_trial_0_and_with_random_search():
    found = content_of("gain", EVERYTHING)
    assert found["baseline"]["number"] == 0
    assert found["best"] == max(found["best_so_far"])
    mean = found["random_search"]["mean"]
    assert mean == sorted(mean)
    assert found["baseline"]["value"] < mean[-1] <= found["best"]
    assert found["random_search"]["explained"] > 0.3


def test_conditional_decisions_have_an_importance():
    found = {item["name"]: item for item in content_of("importance", EVERYTHING)["decisions"]}
    assert sum(item["importance"] for item in found.values()) == pytest.approx(1, abs=1e-4)
    assert found["model.backbone[vgg].depth"]["conditional"]
    assert 0 < found["model.backbone[vgg].depth"]["trials"] < found["model.backbone"]["trials"]
    assert found["model.backbone"]["importance"] > found["model.backbone[resnet].width"]["importance"]


def test_repeats_have_their_mean_and_deviation():
    winner = EVERYTHING.configurations[0].first.number
    found = content_of("repeats", materials.whole(materials.stored(repeats=(winner, winner))))
    row = next(item for item in found["configurations"] if item["number"] == winner)
    assert len(row["runs"]) == 3
    assert row["mean"] == pytest.approx(sum(row["runs"]) / 3)
    assert row["deviation"] > 0


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("winner", "stays"), [(0, True), (5, False)])
def test_the_final_choice_says_how_the_winner_was_chosen(winner, stays):
    material = materials.whole(materials.stored(repeats=(0, 0, 5, 5)), summary={"best_trial": winner})
    words = {}
    for language in ("en", "zh"):
        blocks = made(SECTIONS["repeats"](), material, language).blocks
        words[language] = next(block.text for block in blocks if isinstance(block, Paragraph))
    assert f"those of similar configurations, trial {winner} won" in words["en"]
    assert ("no trial was better by more than the noise" in words["en"]) is stays
    assert ("没有试验的优势超出噪声" in words["zh"]) is stays
    assert "decided" not in words["en"]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("front", [True, False])
def test_the_page_says_whether_the_winner_is_on_the_front(front):
    study = materials.stored(metrics=("accuracy", "latency_ms"))
    found = content_of("pareto", materials.whole(study))["configurations"]
    winner = next(item["number"] for item in found if item["front"] is front)
    material = materials.whole(study, summary={"best_trial": winner})
    text = made(SECTIONS["pareto"](), material, "en").blocks[0].text
    assert ("The winner is one of them." in text, "The winner is none of them" in text) == (front, not front)


@pytest.mark.usefixtures("undrawn")
def test_one_trial_and_failures_are_told():
    material = materials.whole(materials.stored(states=("complete", "failed", "failed")))
    report = Report("en")
    report.write(material)
    assert report.written["importance"].missing == (
        "The importance of decisions needs at least 10 trials with a result; there are 1."
    )
    texts = [block.text for block in report.written["history"].blocks if isinstance(block, Paragraph)]
    assert texts == ["2 trials failed; the most frequent reason: <b>out of memory</b>"]
    assert "2 failed" in report.written["overview"].blocks[0].text


@pytest.mark.usefixtures("undrawn")
def test_only_failures_leave_no_winner():
    material = materials.whole(materials.stored(states=("failed",) * 3), bundle=None, answers=None, summary={})
    report = Report("en")
    report.write(material)
    assert report.as_dict(material)["sections"]["overview"]["winner"] is None
    assert report.written["gain"].missing == "No trial has a result yet."
    assert report.written["parity"].missing == "No network was exported yet."


@pytest.mark.usefixtures("undrawn")
def test_without_a_test_split_the_report_warns():
    bundle = {**materials.bundle(), "metrics": {"validation": {"accuracy": 0.9}}}
    data = {**EVERYTHING.data, "test": 0}
    found = materials.answers(split="validation").model_dump(mode="json")
    material = materials.whole(bundle=bundle, data=data, answers=found)
    report = Report("en")
    report.write(material)
    assert "There is no test split" in report.written["overview"].blocks[0].text
    assert "somewhat too good" in report.written["scores"].blocks[0].text


def test_with_1000_classes_the_most_frequent_confusions_are_shown():
    names = [f"class {number}" for number in range(1000)]
    found = materials.answers(names, items=3000).model_dump(mode="json")
    written = made(SECTIONS["scores"](), materials.whole(names=names, answers=found), "en")
    grids = {block.title: block for block in written.blocks if isinstance(block, Grid)}
    assert len(grids["most frequent confusions"].rows) == 20
    assert not any(isinstance(block, Chart) for block in written.blocks)
    asked = made(SECTIONS["asked"](), materials.whole(names=names), "en")
    facts = dict(next(block for block in asked.blocks if isinstance(block, Facts)).rows)
    assert facts["classes, labels or columns"].endswith(", and 988 more")


def test_a_plugin_is_a_section_by_itself():
    report = Report("zh")
    assert [section.name for section in report.sections][:2] == ["overview", "asked"]
    assert [section.place for section in report.sections] == sorted(section.place for section in report.sections)


def test_common_texts_have_both_languages_with_the_same_values():
    for key, pair in COMMON.items():
        assert all(pair), key
        english, chinese = ({field for _, field, _, _ in string.Formatter().parse(text) if field} for text in pair)
        assert english == chinese, key


def test_missing_is_a_sentence_of_its_section():
    words = Words("zh", SECTIONS["importance"].texts)
    assert (
        Missing("few", least=10, count=3).sentence(words) == "决策的重要性至少需要 10 个有结果的试验；目前有 3 个。"
    )


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_follows_the_locale(monkeypatch, variables, language):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language_of() == language
    assert language_of("zh") == "zh"


@pytest.mark.usefixtures("undrawn")
def test_what_takes_long_is_left_out_of_a_quick_report_and_added_later():
    report = Report("en")
    report.write(EVERYTHING, quick=True)
    left_out = {name for name, item in report.written.items() if item.missing.startswith("Left out")}
    assert left_out == {"gain", "scores", "calibration", "mistakes"}
    history = report.written["history"]
    report.write(EVERYTHING)
    assert not [item for item in report.written.values() if item.missing.startswith("Left out")]
    assert report.written["history"] is history


def test_the_winner_is_the_one_that_the_search_chose():
    last = EVERYTHING.configurations[-1].first.number
    material = materials.whole(summary={**EVERYTHING.summary, "best_trial": last})
    assert content_of("overview", material)["winner"]["number"] == last
    others = [item.first.number for item in materials.whole().configurations if item.first.number != last]
    assert sorted(item.first.number for item in material.configurations[1:]) == sorted(others)


def test_a_trial_that_was_never_asked_is_not_in_the_history():
    """Its search was ended while it was proposed: none or only some of its choices are known."""
    study = materials.stored(states=("complete",) * 3)
    cut = create_trial(state=TrialState.FAIL, user_attrs={"reason": "interrupted"})
    content = SECTIONS["history"]().content(materials.whole(replace(study, trials=(*study.trials, cut))))
    assert [trial["number"] for trial in content["trials"]] == [0, 1, 2]


def test_the_report_tells_what_intervals_hold():
    record = {
        "target": 0.9,
        "items": 40,
        "held_out": False,
        "coverage": {"price": 0.925},
        "coverage_before": {"price": 0.3},
    }
    given = replace(
        EVERYTHING,
        bundle={**EVERYTHING.bundle, "intervals": record},
        answers={**EVERYTHING.answers, "data": {"per_column": [{"column": "price", "coverage": 0.85}]}},
    )
    section = SECTIONS["calibration"]()
    (paragraph,) = section.blocks(section.content(given), Words("en", COMMON, section.texts))
    text = str(paragraph)
    assert "0.9 of the true numbers are to lie in the intervals. Of 40 validation items 0.925 do" in text
    assert "fewer of new ones do. Of the 60 images of the split test 0.85 do." in text


def test_arrays_of_any_length_are_told_in_words():
    inputs = [{"name": "image", "shape": [3, 8, 8]}, {"name": "ngrams", "shape": [None]}]
    given = replace(EVERYTHING, data={**EVERYTHING.data, "inputs": inputs})
    section = SECTIONS["asked"]()
    text = str(section.blocks(section.content(given), Words("en", COMMON, section.texts)))
    assert "'image 3 x 8 x 8'" in text
    assert "'ngrams any number'" in text


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"kept": "ensemble/joined"}, "The exported network is made of the trials 3, 1: it"),
        ({}, "the standard error of the difference is 0.02. That is within the noise. Trial 2 could not be"),
        ({"choice": {"members": [3]}}, "exported alone. No other of the best trials improves the winner's answers"),
        ({"choice": None, "reason": "no time was left for it"}, "alone. The reason: no time was left for it."),
        ({"choice": {"members": [3, 1], "beyond": "latency_ms 9"}}, "would be beyond the limits: latency_ms 9."),
    ],
)
def test_an_ensemble_is_told_whether_it_was_kept_or_not(found, told):
    material = replace(EVERYTHING, ensemble={**EVERYTHING.ensemble, **found})
    section = SECTIONS["ensemble"]()
    (paragraph,) = section.blocks(section.content(material), Words("en", COMMON, section.texts))
    assert told in paragraph.text


def test_without_an_ensemble_it_is_told_whether_one_was_asked_for():
    with pytest.raises(Missing, match="none"):
        content_of("ensemble", replace(EVERYTHING, ensemble={}))
    with pytest.raises(Missing, match="unfinished"):
        content_of("ensemble", replace(EVERYTHING, ensemble={}, config={"ensemble": {"size": 3}}))
