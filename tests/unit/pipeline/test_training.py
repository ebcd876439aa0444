"""The command train: what is finished in a folder stays until its successor is."""

import pytest

from paddle_automl.core.errors import DataError, InterruptedRunError, OutputError, TrialError
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.place import LockedFolder
from paddle_automl.pipeline.training import train_run

TINY = {
    "data": {"dataset": "digits"},
    "model": {"backbone": {"name": "resnet", "width": 4, "blocks": [1]}},
    "training": {"epochs": 2, "batch_size": 128},
    "visualdl": False,
    "report": "none",
}


def config_of(folder, **training) -> RunConfig:
    sections = {**TINY, "output": str(folder), "training": {**TINY["training"], **training}}
    return validate(RunConfig, sections)


class Heard(Observer):
    """Notes messages; interrupts after an epoch."""

    def __init__(self, interrupt_after=None):
        self.texts = []
        self.interrupt_after = interrupt_after

    def on_message(self, message):
        self.texts.append(message)

    def job(self, name, epochs=None):
        def on_report(epoch, metrics):
            if epoch == self.interrupt_after:
                raise KeyboardInterrupt

        return on_report


def state(folder):
    """What is in a folder, byte for byte, but for logs and caches."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".log" and "cache" not in path.parts
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished training with an exported network."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_run(config_of(folder, epochs=1))
    (folder / "model").mkdir()
    (folder / "model" / "bundle.yaml").write_text("exported")
    return folder


@pytest.fixture
def run(finished, tmp_path):
    import shutil

    return shutil.copytree(finished, tmp_path / "run")


def beside(folder):
    return sorted(path.name for path in folder.parent.iterdir() if path != folder)


def test_a_training_that_cannot_begin_touches_nothing(run, tmp_path):
    before = state(run)
    root = {"data": {"dataset": {"name": "image_folder", "root": str(tmp_path / "nowhere")}}}
    with pytest.raises(DataError, match="does not exist"):
        train_run(validate(RunConfig, {**TINY, **root, "output": str(run)}))
    with pytest.raises(DataError):
        train_run(validate(RunConfig, {**TINY, **root, "output": str(tmp_path / "new")}))
    assert state(run) == before
    assert beside(run) == []


def test_one_that_diverges_or_is_interrupted_costs_the_finished_one_nothing(run):
    before = state(run)
    with pytest.raises(TrialError, match="diverged"):
        train_run(config_of(run, optimizer={"name": "momentum", "learning_rate": 1e30}, clip_global_norm=None))
    assert state(run) == before
    assert beside(run) == []
    assert "diverged" in RunFolder(run).log("training").read_text()
    with pytest.raises(
        InterruptedRunError, match=r"is unchanged, and the best epoch so far is kept in .*-unfinished"
    ):
        train_run(config_of(run, epochs=50), Heard(interrupt_after=2))
    assert state(run) == before
    (unfinished,) = beside(run)
    assert {"best.pdparams", "config.yaml"} <= set(state(run.parent / unfinished))


def test_a_complete_one_takes_the_place_and_the_old_one_is_named(run):
    before = state(run)
    heard = Heard()
    outcome = train_run(config_of(run), heard)
    assert outcome.folder == run
    assert not (run / "model").exists()
    assert set(state(run)) == {"best.pdparams", "config.yaml", "metrics.jsonl", "result.json", "splits.json"}
    assert f"output: {run}\n" in (run / "config.yaml").read_text()
    assert (run / "train.log").is_file()
    (aside,) = beside(run)
    assert state(run.parent / aside) == before
    assert heard.texts == [f"the earlier results in '{run}' are now in '{run.parent / aside}'"]


def test_an_interrupted_one_is_kept_when_it_is_started_again(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(InterruptedRunError, match="the best epoch so far is kept in"):
        train_run(config_of(run, epochs=50), Heard(interrupt_after=2))
    before = state(run)
    assert {"best.pdparams", "config.yaml", "metrics.jsonl"} <= set(before)
    train_run(config_of(run, epochs=1))
    (aside,) = beside(run)
    assert state(tmp_path / aside) == before


def test_one_interrupted_before_its_first_epoch_leaves_nothing_that_looks_like_one(tmp_path, monkeypatch):
    from paddle_automl.pipeline import training

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "call", interrupted)
    with pytest.raises(InterruptedRunError, match="nothing was written"):
        train_run(config_of(tmp_path / "run"))
    assert beside(tmp_path / "run") == []
    with LockedFolder(tmp_path / "run", "x") as place:
        assert place.is_empty


def test_files_of_something_else_stay(tmp_path):
    own = tmp_path / "config.yaml"
    own.write_text("the user's own", encoding="utf-8")
    with pytest.raises(OutputError, match="holds files, but no training"):
        train_run(config_of(tmp_path))
    assert own.read_text(encoding="utf-8") == "the user's own"


def test_the_record_of_a_search_is_put_aside_only_when_asked(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.trial(0).path.mkdir(parents=True)
    run.study.write_text("study")
    for path in (run.path, run.trial(0).path):
        with pytest.raises(OutputError, match="belongs to a search"):
            train_run(config_of(path))
    with pytest.raises(OutputError, match="belongs to a search"):
        train_run(config_of(run.trial(0).path), fresh=True)
    train_run(config_of(run.path, epochs=1), fresh=True)
    (aside,) = beside(run.path)
    assert (tmp_path / aside / "study.db").read_text() == "study"


@pytest.fixture
def photos(tmp_path):
    """Class folders, and beside them an empty folder for the results."""
    from PIL import Image

    for number in range(20):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 10 * number).save(folder / f"{number}.png")
    (tmp_path / "photos" / "run").mkdir()
    return tmp_path / "photos"


def photo_config(photos, **sections):
    dataset = {"name": "image_folder", "root": str(photos)}
    return validate(RunConfig, {**TINY, "output": str(photos / "run"), "data": {"dataset": dataset}, **sections})


def test_an_empty_output_folder_among_the_class_folders_is_no_class(photos):
    assert train_run(photo_config(photos)).task.names == ("a", "b")
    # And neither are earlier results beside it.
    assert train_run(photo_config(photos)).task.names == ("a", "b")


@pytest.mark.slow
def test_nor_is_it_one_for_a_search_or_a_dry_run(photos):
    from paddle_automl.pipeline.commands import dry_run
    from paddle_automl.pipeline.stages.run import run_search

    space = {"training.optimizer.learning_rate": {"choice": [0.05]}}
    search = {"space": space, "trials": 1, "workers": 1, "controller": "random_search"}
    config = photo_config(photos, search=search)
    assert dry_run(config).times.data.names == ("a", "b")
    assert list((photos / "run").iterdir()) == []
    assert run_search(config).data.names == ("a", "b")
