"""What a search's configuration makes of its parts, and which weights stay."""

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.core.seeds import integer_seed
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.keeping import CheckpointKeeper
from paddle_automl.pipeline.runs.trials import WEIGHTS_FILE, identity, trial_config, trial_folder
from paddle_automl.pipeline.stages.search_run import SearchRun
from paddle_automl.search.limits import Limits
from tests.unit.search.helpers import controller, open_study, script, search

SPACE = {"training.optimizer.learning_rate": {"log": [0.001, 0.5]}}


def run_of(tmp_path, space=SPACE, **options) -> SearchRun:
    data = {"output": str(tmp_path / "out"), "training": {"epochs": 9}, "visualdl": False}
    return SearchRun(validate(RunConfig, {**data, "search": {"space": space, **options}}))


def test_controllers_know_the_proposals_and_schedulers_the_epochs(tmp_path):
    run = run_of(tmp_path, controller={"name": "q_learning", "variant": "metaqnn"}, trials=100)
    own = run._controller(Limits(trials=100, repeats="auto"))
    assert (own.planned, own._schedule) == (80, 80)
    given = run_of(tmp_path, controller={"name": "q_learning", "schedule_trials": 50}, cost_aware=True)
    own = given._controller(Limits(trials=20))
    assert (own._schedule, own.cost_aware) == (50, True)
    assert run_of(tmp_path, scheduler="hyperband")._scheduler().bracket(0) == 2
    varied = run_of(tmp_path, {**SPACE, "training.epochs": {"int": [1, 81]}}, scheduler="hyperband")
    assert varied._scheduler().bracket(0) == 4


def test_a_repeat_has_a_seed_of_its_own_and_the_same_split(tmp_path):
    run = run_of(tmp_path)
    params = {"training.optimizer.learning_rate": 0.1}
    first, again = (trial_config(run.config, run.space, params, tmp_path, repeat) for repeat in (0, 1))
    assert (first.seed, again.seed) == (0, integer_seed(0, "repeat", 1))
    assert again.seed != run.config.seed + 1
    assert first.data.split.seed == again.data.split.seed == 0
    assert again.model_copy(update={"seed": 0}) == first


def test_a_search_cannot_start_from_itself_or_from_nothing(tmp_path):
    with pytest.raises(ConfigError, match="is the output folder of this search itself"):
        run_of(tmp_path, warm_start=[str(tmp_path / "out")]).run()
    with pytest.raises(ConfigError, match="there is no study"):
        run_of(tmp_path, warm_start=[str(tmp_path / "other")]).run()
    assert not (tmp_path / "out" / "study.db").exists()
    assert "search.warm_start" not in identity(run_of(tmp_path).config)
    assert identity(run_of(tmp_path, warm_start=["a"]).config)["search.warm_start"] == ["a"]


@pytest.mark.parametrize(("repeats", "kept"), [(0, {4, 5}), (3, {1, 2, 3, 4, 5})])
def test_weights_that_the_repeats_may_choose_stay_until_the_choice(tmp_path, repeats, kept):
    run = run_of(tmp_path, keep_checkpoints=2)
    with open_study(tmp_path) as study:
        keeper = CheckpointKeeper(run.config, study, repeats)

        def script_of(record):
            folder = trial_folder(run.config, record.number)
            folder.mkdir(parents=True)
            (folder / WEIGHTS_FILE).touch()
            return script(0.1 * record.number)

        def left():
            return {int(file.parent.name) for file in run.config.folder.glob(f"trials/*/{WEIGHTS_FILE}")}

        _, heard = search(study, script_of, limits=Limits(trials=6))
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
