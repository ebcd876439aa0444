"""A run remembers its data: what it was trained on is never its test, whatever was added or moved since."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import DataError, StudyError
from paddle_automl.core.loading import validate
from paddle_automl.data.items import FILE, ItemList
from paddle_automl.deployment.bundle import SPLITS, Bundle
from paddle_automl.pipeline.commands import CompressFile, compress_run, export_run
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.evaluation import evaluation_of
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import SPLITS_FILE, RunFolder
from paddle_automl.pipeline.stages.run import run_search
from paddle_automl.pipeline.training import train_run

TINY = {
    "model": {"backbone": {"name": "resnet", "width": 4, "blocks": [1]}},
    "training": {"epochs": 1, "batch_size": 16, "optimizer": {"learning_rate": 0.1}},
    "deployment": {"latency": {"runs": 2, "warmup": 1}},
    "visualdl": False,
    "report": "none",
}
SEARCH = {
    "space": {"training.optimizer.learning_rate": {"choice": [0.1, 0.05, 0.02]}},
    "controller": "grid",
    "trials": 2,
    "workers": 1,
}


PLUGIN = """
from paddle_automl.models.activations import ACTIVATIONS
import paddle

@ACTIVATIONS.register("test_remembered_own")
class Own(paddle.nn.ReLU):
    pass
"""


def photo(folder, number):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{number:03d}.png")


def add(photos, numbers):
    for number in numbers:
        photo(photos / "ab"[number % 2], number)


def config_of(photos, output, **sections) -> RunConfig:
    dataset = {"name": "image_folder", "root": str(photos)}
    return validate(RunConfig, {**TINY, "data": {"dataset": dataset}, "output": str(output), **sections})


class Heard(Observer):
    def __init__(self):
        self.texts = []

    def on_message(self, message):
        self.texts.append(message)


def files_of(outcome) -> set[str]:
    """The files of an evaluation in which all are listed as mistakes or right: by the list of the worst ones."""
    return {item["file"] for item in outcome.result.worst_mistakes}


def at(folder):
    """Where the data of a bundle are that is in no run."""
    return {"data.dataset.root": str(folder / "photos")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training on sixty photos, exported; then thirty photos were added and one removed."""
    folder = tmp_path_factory.mktemp("photos")
    add(folder / "photos", range(60))
    train_run(config_of(folder / "photos", folder / "run"))
    export_run(folder / "run", folder / "bundle")
    before = {part: evaluation_of(folder / "run", part).result for part in ("train", "validation", "test")}
    bundle = evaluation_of(folder / "bundle", "test", overrides=at(folder)).result
    add(folder / "photos", range(100, 130))
    gone = next(iter(sorted((folder / "photos" / "a").iterdir())))
    gone.unlink()
    return folder, before, bundle, gone


def test_names_of_the_list_are_those_that_other_packages_write():
    assert FILE == SPLITS == SPLITS_FILE


def test_an_evaluation_keeps_to_the_items_of_the_training(trained):
    folder, before, bundle, _ = trained
    counts = []
    for part, known in before.items():
        outcome = evaluation_of(folder / "run", part)
        counts.append(known.items - outcome.result.items)
        assert (
            "30 images were added (for example a/100.png), 1 image was removed (for example a/000.png)"
            in outcome.note
        )
    assert sorted(counts) == [0, 0, 1], "the one that is gone"
    after = evaluation_of(folder / "bundle", "test", overrides=at(folder))
    assert bundle.items - after.result.items in (0, 1)
    assert (
        "30 images were added (for example a/100.png), 1 image was removed; every image keeps its split"
        in after.note
    )
    everything = evaluation_of(folder / "bundle", "all", overrides=at(folder))
    assert everything.result.items == 89
    assert "of 89 images were in the training split of this network" in everything.note


def test_other_fractions_or_another_seed_bring_no_trained_item_back(trained):
    folder, _, _, _ = trained
    listed = ItemList.read(RunFolder(folder / "run").splits)
    known = {name for name, split in zip(listed.names, listed.splits, strict=True) if split == 0}
    outcome = evaluation_of(folder / "run", "test", mistakes=100, overrides={"seed": 9, "data.split.test": 0.7})
    assert outcome.result.worst_mistakes
    assert not {"/".join(name.split("/")[-2:]) for name in files_of(outcome)} & known
    assert "are left out" in outcome.note


def test_an_export_and_a_compression_keep_to_them_too(trained):
    folder, before, _, _ = trained
    outcome = export_run(folder / "run", folder / "again")
    assert "30 images were added" in outcome.notes[0]
    listed = ItemList.read(folder / "again" / SPLITS)
    own = ItemList.read(RunFolder(folder / "run").splits)
    assert np.array_equal(listed.content, own.content)
    assert np.array_equal(listed.splits, own.splits)
    assert listed.names is None
    assert SPLITS in Bundle.open(folder / "again").info.files
    assert outcome.metrics["validation"]["accuracy"] == pytest.approx(
        before["validation"].metrics["accuracy"], abs=0.1
    )
    chain = validate(
        CompressFile, {"compression": {"steps": [{"name": "quantize_post", "analysis": False}], "max_drop": 1.0}}
    )
    found = compress_run(chain, folder / "run", folder / "compressed")
    assert "30 images were added" in found.notes[0]


def test_a_student_keeps_to_the_splits_of_its_teacher(trained):
    folder, _, _, _ = trained
    teaching = {"distillation": {"teacher": [str(folder / "run")]}}
    outcome = train_run(config_of(folder / "photos", folder / "student", **teaching))
    assert any("30 images were added" in note and "are for training" in note for note in outcome.notes)
    teacher, student = (ItemList.read(RunFolder(folder / name).splits) for name in ("run", "student"))
    tested = set(teacher.content[teacher.splits == 2].tolist())
    assert set(student.content[student.splits == 2].tolist()) <= tested
    assert (student.splits == 0).sum() >= (teacher.splits == 0).sum() + 29


def test_a_damaged_list_is_told_and_none_is_no_error(trained):
    folder, _, _, _ = trained
    copy = shutil.copytree(folder / "run", folder / "copy")
    RunFolder(copy).splits.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"splits\.json: is no list of items"):
        evaluation_of(copy, "test")
    RunFolder(copy).splits.unlink()
    assert evaluation_of(copy, "test").note == ""


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_search_has_one_list_and_goes_on_with_its_items(tmp_path):
    photos, output = tmp_path / "photos", RunFolder(tmp_path / "out")
    add(photos, range(60))
    config = config_of(photos, output.path, search=SEARCH, refit={"epochs": 1})
    first = run_search(config)
    listed = output.splits.read_bytes()
    assert [folder.splits.exists() for folder in (*output.each_trial(), output.refit)] == [False] * 3
    assert ItemList.read(output.bundle / SPLITS).learned == ("train",)
    assert "items" not in json.loads(output.summary.read_text(encoding="utf-8"))["data"]
    tested = evaluation_of(output.path).result
    add(photos, range(100, 130))
    heard = Heard()
    more = config_of(photos, output.path, search={**SEARCH, "trials": 3}, refit={"epochs": 1})
    again = run_search(more, heard)
    assert any("30 images were added (for example a/100.png)" in text for text in heard.texts)
    assert len(again.trials) == 3
    assert (again.data.train, again.data.test) == (first.data.train, first.data.test)
    assert output.splits.read_bytes() == listed
    after = evaluation_of(output.path)
    assert after.result.items == tested.items
    assert "30 images were added" in after.note
    assert evaluation_of(output.trial(0).path).result.items == first.data.validation

    # Other names are the same data; another class of a trained image is not.
    (photos / "a" / "000.png").rename(photos / "a" / "renamed.png")
    assert len(run_search(more).trials) == 3
    moved = next(name for name, split in zip(*_listed(output), strict=True) if split == 0 and name[0] == "b")
    (photos / moved).rename(photos / "a" / "moved.png")
    with pytest.raises(StudyError, match=r"1 image has another target \(for example a/moved\.png\); new trials"):
        run_search(more)


def _listed(output):
    listed = ItemList.read(output.splits)
    return listed.names, listed.splits


@pytest.mark.slow
def test_a_trial_that_splits_in_its_own_way_has_a_list_of_its_own(tmp_path):
    photos, output = tmp_path / "photos", RunFolder(tmp_path / "out")
    add(photos, range(60))
    space = {"data.split.validation": {"choice": [0.2, 0.3]}}
    run_search(config_of(photos, output.path, search={**SEARCH, "space": space}, refit={"epochs": 1}))
    has = {json.dumps(ItemList.read(f.splits).key) for f in output.each_trial() if f.splits.exists()}
    assert len(has) == 1
    assert [folder.splits.exists() for folder in output.each_trial()].count(True) == 1


def test_the_bundle_in_a_run_knows_the_names_of_the_run(tmp_path):
    add(tmp_path / "photos", range(60))
    train_run(config_of(tmp_path / "photos", tmp_path / "run"))
    export_run(tmp_path / "run")
    photo(tmp_path / "photos" / "a", 0)
    Image.new("L", (8, 8), 90).save(tmp_path / "photos" / "a" / "000.png")
    note = evaluation_of(RunFolder(tmp_path / "run").bundle).note
    assert "1 image was changed (for example a/000.png); every image keeps its split" in note


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_results_that_can_be_moved_say_nothing_of_the_machine(tmp_path):
    add(tmp_path / "photos", range(60))
    (tmp_path / "photos" / "a" / "broken.png").write_bytes(b"x")
    (tmp_path / "my_own.py").write_text(PLUGIN, encoding="utf-8")
    output = RunFolder(tmp_path / "out")
    config = config_of(
        tmp_path / "photos", output.path, search={**SEARCH, "trials": 1}, refit={"epochs": 1},
        plugins=[str(tmp_path / "my_own.py")],
    )  # fmt: skip
    config = config.model_copy(update={"data": config.data.model_copy(update={"on_error": "skip"})})
    run_search(config)
    steps = [{"name": "quantize_post", "analysis": False}]
    chain = validate(CompressFile, {"compression": {"steps": steps, "min_speedup": 0.01, "max_drop": 1.0}})
    compress_run(chain, output.path)
    written = [output.summary, *(path for path in output.bundle.rglob("*") if path.suffix != ".png")]
    written += [path for path in (output.path / "compressed").rglob("*") if path.suffix not in (".png", ".log")]
    assert len([path for path in written if path.name in ("bundle.yaml", "compression.json")]) >= 2
    for path in written:
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path
    facts = json.loads(output.summary.read_text(encoding="utf-8"))
    assert facts["bundle"] == "model"
    assert facts["data"]["skipped_files"][0][0] == "a/broken.png"
    kept = Bundle.open(output.bundle).info.config
    assert (kept["data"]["dataset"]["root"], kept["plugins"]) == ("photos", ["my_own.py"])
    # In its run the bundle finds the data; elsewhere the user says where they are.
    tested = evaluation_of(output.path).result.metrics
    moved = shutil.copytree(output.bundle, tmp_path / "elsewhere" / "model")
    with pytest.raises(DataError, match=r"by name and content only: .* -o data\.dataset\.root=PATH --split test"):
        evaluation_of(moved)
    again = evaluation_of(moved, "test", overrides={"data.dataset.root": str(tmp_path / "photos")})
    assert again.result.metrics == tested
