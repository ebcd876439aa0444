"""Which weights stay while a search runs, and which are exported."""

from types import SimpleNamespace

import pytest

from paddle_automl.core.errors import SearchFailedError
from paddle_automl.core.files import write_json
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.keeping import CheckpointKeeper
from paddle_automl.pipeline.stages.choice import best_run, chance_of, source_of, winner
from paddle_automl.pipeline.stages.interim import InterimBundle, write_interim
from paddle_automl.pipeline.stages.search import _tell_of_the_default
from paddle_automl.search.executors.base import Finished
from paddle_automl.search.limits import SearchLimits
from tests.unit.pipeline.runs import make_weights, result_of, run_of
from tests.unit.search.helpers import SMALL, controller, open_study, script, search


@pytest.mark.parametrize(("repeats", "kept"), [(0, {4, 5}), (3, {1, 2, 3, 4, 5})])
def test_weights_that_the_repeats_may_choose_stay_until_the_choice(tmp_path, repeats, kept):
    with open_study(tmp_path) as study:
        run = run_of(tmp_path, study, search={"keep_checkpoints": 2})
        keeper = CheckpointKeeper(run.config, study, repeats)

        def script_of(record):
            make_weights(run, record.number)
            return script(0.1 * record.number)

        def left():
            return {int(folder.path.name) for folder in run.folder.each_trial() if folder.weights.exists()}

        _, heard = search(study, script_of, limits=SearchLimits(trials=6))
        keeper.on_end(heard.ended[-1])
        assert left() == kept
        if repeats:
            # Trial 5 was luck, 4 is confirmed, and its repeat is the better run.
            for number, accuracy in ((5, 0.2), (4, 0.45)):
                study.repeat(number)
                record = study.ask(controller())
                script_of(record)
                study.complete(record.number, {"accuracy": accuracy}, {})
                keeper.on_end(record)
            assert left() == {1, 2, 3, 4, 5, 7}
            keeper.close()
            assert left() == {5, 7}


def test_the_weights_of_the_bundle_stay(tmp_path):
    """The final export may fail: then this network remains the exported one."""
    with open_study(tmp_path) as study:
        run = run_of(tmp_path, study, search={"keep_checkpoints": 1})
        run.folder.bundle.mkdir()
        run.folder.bundle_file.touch()
        write_interim(run.folder, 0, result_of(run))
        interim = InterimBundle(run, lambda: None)
        keeper = CheckpointKeeper(run.config, study, exported=lambda: interim.trials)

        def script_of(record):
            make_weights(run, record.number)
            run.folder.trial(record.number).write_config(run.config)
            return script(0.1 * record.number)

        def left():
            return {int(folder.path.name) for folder in run.folder.each_trial() if folder.weights.exists()}

        search(study, script_of, limits=SearchLimits(trials=4))
        keeper.close()
        assert left() == {0, 3}
        # The next one is being made of the best; then it is that of the bundle.
        interim.next()
        assert interim.trials == {0, 3}
        interim.on_end(Finished(-1, result_of(run).model_dump(mode="json")))
        assert interim.trials == {3}
        keeper.close()
        assert left() == {3}
        # A search that is continued keeps the network of its final bundle.
        run.folder.manifest("interim").unlink()
        assert InterimBundle(run, lambda: None).trials == set()
        for source, trials in (("trials/0002", {2}), ("refit", set()), ("", set())):
            write_json(run.folder.manifest("export"), {"result": {"source": source}})
            assert InterimBundle(run, lambda: None).trials == trials


def test_the_better_weights_on_validation_are_exported(tmp_path):
    with open_study(tmp_path) as study:
        run = run_of(tmp_path, study)
        assert best_run(run) is None
        search(study, lambda record: script(0.1 * (record.number + 1)), limits=SearchLimits(trials=3))
        assert best_run(run) is None, "weights are gone"
        make_weights(run, 2)
        best = winner(run)
        assert best_run(run).number == best.first.number == 2
        own = best_run(run).metrics["accuracy"]
        for accuracy, source in ((own - 0.01, "trials/0002"), (own + 0.01, "refit"), (own, "refit")):
            refit = SimpleNamespace(metrics={"accuracy": accuracy})
            assert run.folder.relative(source_of(run, best, refit)) == source
        assert run.folder.relative(source_of(run, best, None)) == "trials/0002"
        # Damaged weights are no better ones.
        whole = run.folder.trial(2).weights.read_bytes()
        run.folder.trial(2).weights.write_bytes(whole[:-9])
        assert (
            run.folder.relative(source_of(run, best, SimpleNamespace(metrics={"accuracy": own - 0.5}))) == "refit"
        )
        run.folder.trial(2).weights.write_bytes(b"")
        assert best_run(run) is None
        run.folder.trial(2).weights.unlink()
        with pytest.raises(SearchFailedError, match="its weights are gone"):
            source_of(run, best, None)


def test_nothing_within_the_limits_is_an_error_that_names_the_nearest(tmp_path):
    with open_study(tmp_path) as study:
        run = run_of(tmp_path, study, search={"objectives": [{"metric": "accuracy", "limit": 0.9}]})
        study.objectives = tuple(run.config.search.objectives)
        search(study, lambda record: script(0.1 * (record.number + 1)), limits=SearchLimits(trials=3))
        make_weights(run, 2)
        assert best_run(run) is None
        with pytest.raises(SearchFailedError, match=r"accuracy 0.9.*the nearest is trial 2 with accuracy 0.3"):
            winner(run)


@pytest.mark.parametrize(
    ("metric", "data", "expected"),
    [("accuracy", {}, 0.03), ("accuracy", {"folds": 4}, 0.01), ("macro_f1", {}, None), ("latency_ms", {}, None)],
)
def test_the_error_of_an_accuracy_follows_from_its_items(metric, data, expected):
    config = validate(RunConfig, {"data": data, "search": {"objectives": [{"metric": metric}]}})
    chance = chance_of(config, SimpleNamespace(train=800, validation=100))
    assert chance is None if expected is None else chance(0.9) == pytest.approx(expected)
    assert expected is None or chance(1.0) == 0.0


def test_the_default_wins_where_a_lead_may_be_chance(tmp_path):
    messages = []
    with open_study(tmp_path, space=SMALL) as study:
        run = run_of(tmp_path, study)
        run.observer.on_message = messages.append
        study.enqueue_first({"a": 2, "b": "y"})
        scripts = [script(accuracy) for accuracy in (0.87, 0.85, 0.873, 0.86)]
        search(
            study,
            lambda record: scripts[record.number],
            controller=controller(space=SMALL),
            limits=SearchLimits(trials=4),
        )
        assert winner(run).first.number == 2
        _tell_of_the_default(run)
        assert messages == []
        study.chance = lambda value: 0.005
        study._settled = None
        assert (winner(run).first.number, winner(run).first.baseline) == (0, True)
        _tell_of_the_default(run)
    assert messages == [
        "the configuration's own values stay (trial 0, accuracy 0.87): the lead of trial 2 (0.873) may be chance"
    ]
