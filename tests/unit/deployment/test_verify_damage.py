"""A verification of a bundle that is damaged, or was made on a larger machine, ends in a report."""

import json
import shutil
from pathlib import Path

import pytest

from paddle_automl.deployment.integrity import file_record
from paddle_automl.deployment.samples import EXPECTED, SAMPLES
from paddle_automl.deployment.verify import Checks, verify_bundle
from tests.unit.deployment.conftest import edited, tampered

QUICK = Checks(latency=False)
SECOND = Path(__file__).parents[2] / "data" / "bundle_format2"


def with_expected(folder: Path, change) -> Path:
    """Change the text of the expected outputs, with a fitting hash."""
    path = folder / SAMPLES / EXPECTED
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    name = f"{SAMPLES}/{EXPECTED}"
    return edited(folder, lambda facts: facts["files"].update({name: file_record(path).model_dump()}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"threads": 100_000}, "threads: must be at most"),
        ({"runs": 0}, "runs: input should be greater than or equal to 1"),
        ({"batch_size": 2**40}, "batch_size: 1099511627776 items are too many"),
    ],
)
def test_times_that_this_machine_cannot_repeat(bundle, tmp_path, change, reason):
    def more(facts):
        first = facts["latency"][0]
        facts["latency"] = [first, {**first, "threads": 2, **change}]

    found = verify_bundle(edited(tampered(bundle, tmp_path / "b"), more))
    assert found.passed, found.problems
    assert [item.threads for item in found.speed] == [1]
    (place, text), *others = found.skipped.items()
    assert others == []
    assert place == f"latency with {change.get('threads', 2)} threads at batch {change.get('batch_size', 1)}"
    assert text.startswith(reason)
    assert f"not run: {place}: {reason}" in found.describe()


def other_names(text):
    return json.dumps({**json.loads(text), "names": ["a", "b", "c"]})


def huge(text):
    found = json.loads(text)
    found["samples"][0]["outputs"][0] = 10**400
    return json.dumps(found)


def one_output_less(text):
    found = json.loads(text)
    found["samples"][1]["outputs"].pop()
    return json.dumps(found)


def own_of_another(text):
    return json.dumps({**json.loads(text), "formats": {"paddle_inference": [[0.5, 0.5, 0.0]]}})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_names, "belongs to another task"),
        (huge, "is damaged"),
        (one_output_less, "is damaged"),
        (own_of_another, "belongs to another task"),
        (lambda text: "[" * 100_000, "is damaged"),
        (lambda text: json.dumps({"names": [1, "a"], "samples": []}), "belongs to another task"),
    ],
    ids=["names", "huge", "short", "own", "deep", "kinds"],
)
def test_damaged_expected_outputs_are_one_problem(bundle, tmp_path, change, reason):
    found = verify_bundle(with_expected(tampered(bundle, tmp_path / "b"), change), QUICK)
    (problem,) = found.problems
    assert reason in problem
    assert "export the bundle again" in problem
    assert found.samples == {}


@pytest.mark.parametrize("place", ["../labels.txt", "{outside}", "0.png/../1.png", "unrecorded.png", "", "."])
def test_a_sample_is_a_recorded_file_of_the_bundle(bundle, tmp_path, place):
    folder = tampered(bundle, tmp_path / "b")
    outside = tmp_path / "secret.png"
    shutil.copy(folder / SAMPLES / "0.png", outside)
    name = place.format(outside=outside)

    def elsewhere(text):
        found = json.loads(text)
        found["samples"][0]["file"] = name
        return json.dumps(found)

    found = verify_bundle(with_expected(folder, elsewhere), QUICK)
    assert [text for text in found.problems if f"names a sample that is no file of the bundle, '{name}'" in text]
    assert found.samples == {}


def test_samples_of_earlier_bundles_are_recorded(tmp_path):
    assert verify_bundle(shutil.copytree(SECOND, tmp_path / "b"), QUICK).samples["paddle_inference"].samples == 5
