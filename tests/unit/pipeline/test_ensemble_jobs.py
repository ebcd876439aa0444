"""The jobs of an ensemble: members are chosen by their answers, and joined in one network that gives the mean."""

import numpy as np
import pytest

from paddle_automl.core.errors import BundleError, DataError
from paddle_automl.core.loading import load_config, validate
from paddle_automl.pipeline.config import Ensemble, RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of, shared_of, start_executor
from paddle_automl.pipeline.jobs.choose_members import Choice, ChooseRequest, tempered
from paddle_automl.pipeline.jobs.export import BundleResult, ExportRequest
from paddle_automl.pipeline.jobs.join import Joined, JoinRequest
from paddle_automl.pipeline.jobs.networks import trained_network, trained_with_data
from paddle_automl.pipeline.jobs.train import TrainRequest, TrainResult
from paddle_automl.pipeline.joining import Trained
from paddle_automl.pipeline.runs.fold_answers import read_answers, write_answers
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.search.executors.base import Worker
from paddle_automl.search.objective import Objective
from paddle_automl.tasks.base import Final
from paddle_automl.tasks.metrics.spelling import goal_of
from paddle_automl.training.evaluation import predict

SMALL = {
    "device": "cpu",
    "training": {
        "epochs": 1,
        "steps_per_epoch": 8,
        "batch_size": 128,
        "optimizer": {"name": "adamw", "learning_rate": 0.02},
    },
    "deployment": {"latency": {"batch_sizes": []}, "samples": 2, "parity": {"raw_files": 2}},
}
WIDTHS = (4, 6, 8)
TASKS = {"digit": "single_label", "digit_and_parity": "multi_label", "value": "regression"}


@pytest.fixture(scope="module")
def executor():
    with start_executor(validate(RunConfig, SMALL), 1, caching=False) as local:
        yield local


def train(executor, folder, number, target="digit", size="auto", folds=None):
    backbone = {"name": "resnet", "width": WIDTHS[number % 3], "blocks": [1]}
    data = {"dataset": {"name": "digits", "target": target}, "input": {"size": size}, "folds": folds}
    given = {**SMALL, "task": TASKS[target], "model": {"backbone": backbone}, "data": data}
    config = validate(RunConfig, given)
    RunFolder(folder).write_config(config)
    request = TrainRequest(config, folder, shared_of(config), answers=folds is not None)
    call(executor, job_of("train", request, folder / "log", config), TrainResult)
    return Trained(number, load_config(RunConfig, RunFolder(folder).config), folder)


@pytest.fixture(scope="module")
def classes(executor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    return [train(executor, folder / str(number), number) for number in range(3)]


def choose(executor, folder, candidates, objectives=("accuracy",), **options):
    config = candidates[0].config
    request = ChooseRequest(
        tuple(candidates),
        validate(Ensemble, {"standard_errors": 0, **options}),
        shared_of(config),
        tuple(map(Objective.model_validate, objectives)),
    )
    return call(executor, job_of("choose_members", request, folder / "log", config), Choice)


def join(executor, folder, members, task, metrics, tuned=()):
    request = JoinRequest(tuple(members), folder, task, tuple(tuned), metrics)
    job = job_of("join", request, folder.parent / "log", members[0].config)
    joined = call(executor, job, Joined)
    return joined, read_record(RunFolder(folder))


@pytest.mark.parametrize("target", ["digit", "digit_and_parity", "value"])
def test_the_joined_network_answers_the_mean(executor, classes, tmp_path, target):
    members = classes[:2]
    if target != "digit":
        members = [train(executor, tmp_path / str(number), number, target) for number in range(2)]
    record = read_record(RunFolder(members[0].folder))
    folder = tmp_path / "joined"
    found, record = join(executor, folder, members, record.task, {"loss": 0.5})
    assert record.metrics == {"loss": 0.5}
    sign = 1 if goal_of(found.gain.metric) == "maximize" else -1
    assert found.gain.gain == pytest.approx(sign * (found.gain.after - found.gain.before))
    worker = Worker("cpu", 1, None, lambda epoch, metrics: True)
    config = load_config(RunConfig, RunFolder(folder).config)
    joined, data = trained_with_data(config, RunFolder(folder), worker)
    own = []
    for member in members:
        found = trained_network(member.config, RunFolder(member.folder))
        own.append(predict(found.network, data.validation.with_task(found.task)))
    np.testing.assert_allclose(predict(joined.network, data.validation), np.mean(own, axis=0), atol=1e-6, rtol=1e-5)


def test_members_are_chosen_and_their_network_is_exported(executor, classes, tmp_path):
    choice = choose(executor, tmp_path, classes)
    assert choice.members[0] == 0
    assert choice.kept
    assert len(choice.members) in (2, 3)
    gain = choice.gain
    assert gain.after - gain.before == pytest.approx(gain.gain)
    assert (gain.gain > 0, gain.items) == (True, 359)
    members = [classes[number] for number in choice.members]
    folder = tmp_path / "joined"
    assert set(choice.tuned) <= {"temperature"}
    found, record = join(executor, folder, members, choice.task, choice.metrics, choice.tuned)
    assert found.gain.after == pytest.approx(choice.metrics["accuracy"], abs=1e-6)
    assert record.task == choice.task
    parts = [read_record(RunFolder(member.folder)).metrics["parameters"] for member in members]
    assert record.metrics["parameters"] == sum(parts)
    config = load_config(RunConfig, RunFolder(folder).config)
    request = ExportRequest(config, folder, tmp_path / "model", shared_of(config))
    bundle = call(executor, job_of("export", request, tmp_path / "log", config), BundleResult)
    assert bundle.verified
    assert bundle.metrics["validation"]["accuracy"] == pytest.approx(choice.metrics["accuracy"], abs=0.003)


def test_an_ensemble_beyond_a_limit_is_smaller_or_none(executor, classes, tmp_path):
    parameters = [read_record(RunFolder(member.folder)).metrics["parameters"] for member in classes]

    def limited(most):
        return choose(executor, tmp_path, classes, ["accuracy", {"metric": "parameters", "limit": most}])

    small = limited(parameters[0] + max(parameters[1:]) + 1)
    assert (small.kept, len(small.members), small.beyond) == (True, 2, "")
    none = limited(parameters[0] + 1)
    assert not none.kept
    assert none.beyond.startswith("parameters ")
    assert none.beyond.endswith(f"(limit {parameters[0] + 1:g})")


def test_who_cannot_be_a_member_is_told(executor, classes, tmp_path):
    larger = train(executor, tmp_path / "larger", 7, size=[12, 12])
    gone = Trained(8, classes[1].config, tmp_path / "gone")
    choice = choose(executor, tmp_path, [classes[0], larger, gone])
    assert choice.members == (0,)
    assert (choice.gain, choice.kept) == (None, False)
    assert choice.left_out["7"] == "data.input.size is [12, 12], not auto as for trial 0"
    assert "result.json" in choice.left_out["8"]


def test_a_gain_within_the_noise_is_not_kept(executor, classes, tmp_path):
    choice = choose(executor, tmp_path, classes, standard_errors=1000.0)
    assert choice.gain.gain > 0
    assert not choice.kept


def test_without_the_winner_there_is_no_ensemble(executor, classes, tmp_path):
    gone = Trained(8, classes[1].config, tmp_path / "gone")
    with pytest.raises(BundleError, match=r"result\.json"):
        choose(executor, tmp_path, [gone, *classes])


def test_the_answers_of_all_folds_choose_the_members(executor, classes, tmp_path):
    first, second = (train(executor, tmp_path / str(number), number, folds=2) for number in (0, 1))
    rows, outputs = read_answers(RunFolder(first.folder).fold_answers)
    assert (len(rows), outputs.shape) == (1438, (1438, 10))
    assert len(set(rows)) == 1438
    choice = choose(executor, tmp_path, [first, second, classes[2]])
    assert (choice.members, choice.gain.items) == ((0, 1), 1438)
    assert choice.left_out["2"] == "it was validated on another fold than trial 0"
    RunFolder(second.folder).fold_answers.unlink()
    alone = choose(executor, tmp_path, [first, second])
    assert alone.members == (0,)
    assert alone.left_out["1"].startswith("it was not judged by all folds")
    RunFolder(first.folder).fold_answers.unlink()
    of_one = choose(executor, tmp_path, [first, second])
    assert of_one.gain.items == 719


def test_a_temperature_is_that_of_the_raw_outputs():
    raw = np.random.default_rng(0).normal(0, 3, (20, 4))
    softmax = Final("softmax")
    np.testing.assert_allclose(tempered(softmax(raw), "softmax", 2.5), softmax(raw / 2.5), atol=1e-6)
    assert np.array_equal(tempered(raw, "identity", 2.5), raw)


def test_damaged_answers_are_refused(tmp_path):
    file = tmp_path / "fold_answers.npz"
    write_answers(file, [(np.array([3, 1]), np.ones((2, 4))), (np.array([0]), np.zeros((1, 4)))])
    rows, outputs = read_answers(file)
    assert (rows.tolist(), outputs[:, 0].tolist()) == ([0, 1, 3], [0, 1, 1])
    np.savez(file, rows=rows, outputs=outputs[:2])
    with pytest.raises(DataError, match=r"fold_answers\.npz: is damaged: answers \[2, 4\] for items \[3\]"):
        read_answers(file)
    np.savez(file, rows=rows)
    with pytest.raises(DataError, match="lacks the array 'outputs'"):
        read_answers(file)
    write_answers(tmp_path / "none.npz", [(rows, None)])
    assert not (tmp_path / "none.npz").exists()
