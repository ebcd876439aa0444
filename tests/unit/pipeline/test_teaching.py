"""Teachers of plain training: found, refused, left out, and part of what a study is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml

from paddle_automl.compression.distillation import Distillation
from paddle_automl.compression.teachers import Ensemble, NetworkTeacher
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json
from paddle_automl.core.loading import validate
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.networks import callbacks_of, trained_network
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.trials import identity, trial_config
from paddle_automl.pipeline.space import baseline_of, make_space
from paddle_automl.search.executors.base import Worker
from tests.unit.compression.small import digits, images, network

MODEL = {"backbone": {"name": "resnet", "width": 8, "blocks": [1]}}


def write_run(folder: Path, seed: int = 0, accuracy: float = 0.5, **facts) -> Path:
    """Write what a trained run leaves behind."""
    data = digits()
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": MODEL}), encoding="utf-8")
    save_weights(folder / "best.pdparams", network(seed, **MODEL).state_dict())
    recorded = {
        "metrics": {"accuracy": accuracy},
        "best_epoch": 1,
        "epochs_run": 1,
        "seconds": 1.0,
        "task": data.task.fitted.model_dump(mode="json"),
        "input": data.input.fitted.model_dump(mode="json"),
    }
    write_json(folder / "result.json", {**recorded, **facts})
    return folder


def classes(names: str) -> dict:
    """Return the record of a task with classes of one letter each."""
    return {"task": {"name": "single_label", "names": list(names)}}


def open_network(run: Path):
    return trained_network(validate(RunConfig, {"model": MODEL}), RunFolder(run))


@pytest.fixture
def search(tmp_path) -> Path:
    for number in range(3):
        write_run(tmp_path / f"search/trials/{number:04d}", seed=number, accuracy=0.5 + 0.1 * number)
    (tmp_path / "search/study.db").touch()
    return tmp_path / "search"


def callbacks(tmp_path, **distillation):
    config = validate(RunConfig, {"model": MODEL, "distillation": distillation})
    worker = Worker("cpu", 1, tmp_path, lambda epoch, metrics: True)
    return callbacks_of(config, digits(), network(seed=7, **MODEL), worker)


@pytest.mark.parametrize("hints", ["fitnets", "attention"])
def test_maps_cannot_be_compared_while_the_student_sees_smaller_images(hints):
    cheap = {"training": {"epochs": 3, "progressive": {"epochs": 1, "resolution": 0.5}}}
    with pytest.raises(ConfigError, match=rf"distillation\.hints: {hints} compares maps of equal size"):
        validate(RunConfig, {**cheap, "distillation": {"teacher": "run", "hints": hints}})
    assert validate(RunConfig, {**cheap, "distillation": {"teacher": "run", "hints": "relations"}})


def test_a_run_teaches_with_its_own_images_and_classes(tmp_path):
    run = write_run(tmp_path / "run", **classes("9876543210"))
    trained = open_network(run)
    (callback,) = callbacks(tmp_path, teacher=str(run))
    assert isinstance(callback, Distillation)
    x = paddle.to_tensor(images(3))
    found = callback.teacher.soft_targets([x], 1.0).numpy()
    own = paddle.nn.functional.softmax(trained.network(x)).numpy()
    np.testing.assert_allclose(found, own[:, ::-1], atol=1e-5)


def test_without_a_weight_in_the_loss_no_teacher_is_opened(tmp_path):
    assert callbacks(tmp_path, teacher="nowhere", weight=0.0) == []


def test_the_best_trials_of_a_search_teach_together(tmp_path, search):
    (callback,) = callbacks(tmp_path, teacher=[str(search)], best_trials=2)
    assert isinstance(callback.teacher, Ensemble)
    best = open_network(search / "trials/0002").network
    x = paddle.to_tensor(images(2))
    first = callback.teacher.members[0].soft_targets([x], 1.0).numpy()
    np.testing.assert_allclose(first, paddle.nn.functional.softmax(best(x)).numpy(), atol=1e-5)
    run = write_run(tmp_path / "run")
    (callback,) = callbacks(tmp_path, teacher=[str(search), str(run)], best_trials=3)
    assert [type(member) for member in callback.teacher.members] == [NetworkTeacher] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher": "nowhere"}, "distillation.teacher: 'nowhere' is not a folder"),
        (
            {"teacher": "{here}/empty"},
            "distillation.teacher: .* holds no bundle.yaml, and no run that can be",
        ),
        ({"teacher": "{here}/unweighted"}, r"distillation.teacher: .*its weights \(best.pdparams\) are gone"),
        ({"teacher": "{here}/letters"}, "distillation.teacher: the run .* knows 3 classes, not the 10 of the data"),
        ({"teacher": "{here}/unknown"}, "distillation.teacher: .*does not contain the network's input and task"),
        ({"teacher": "{here}/search", "best_trials": 5}, "needs 5 trials, but the weights of 3 trials were kept"),
        ({"teacher": "{here}/empty", "best_trials": 1}, "none of the teachers is the output folder of a search"),
        ({"teacher": "{here}/search", "best_trials": 2, "hints": "fitnets"}, "distillation.hints: .*one network"),
    ],
)
def test_teachers_that_cannot_teach_are_one_message(options, message, tmp_path, search):
    (tmp_path / "empty").mkdir()
    (write_run(tmp_path / "unweighted") / "best.pdparams").unlink()
    (write_run(tmp_path / "unknown") / "result.json").unlink()
    write_run(tmp_path / "letters", **classes("abc"))
    three = build_network(validate(ModelConfig, MODEL), digits().input, 3)
    save_weights(tmp_path / "letters/best.pdparams", three.state_dict())
    options = {**options, "teacher": options["teacher"].format(here=tmp_path)}
    with pytest.raises(ConfigError, match=message) as caught:
        callbacks(tmp_path, **options)
    assert len(caught.value.issues) == 1


def test_a_teacher_is_searched_and_may_be_switched_off(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    space = {"distillation": {"choice": [None, {"teacher": ["a"]}, {"teacher": ["b"], "temperature": 2.0}]}}
    config = validate(RunConfig, {"search": {"space": space}})
    tree = make_space(config)
    off = trial_config(config, tree, baseline_of(config, tree), Path("x"))
    assert off.distillation is None
    on = trial_config(config, tree, {"distillation": tree.decisions[0].domain.stored[2]}, Path("x"))
    assert on.distillation.teacher == (str(tmp_path / "b"),)
    assert on.distillation.temperature == 2.0
    space = {"distillation.weight": {"float": [0.0, 1.0]}}
    config = validate(RunConfig, {"search": {"space": space}})
    tree = make_space(config)
    with pytest.raises(ConfigError, match=r"varies distillation\.weight, but the configuration has no such key"):
        baseline_of(config, tree)


def test_the_teacher_belongs_to_what_a_study_is():
    plain = identity(validate(RunConfig, {}))
    taught = identity(validate(RunConfig, {"distillation": {"teacher": "a"}}))
    assert not any(key.startswith("distillation") for key in plain)
    assert taught["distillation.weight"] == 0.7
