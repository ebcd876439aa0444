"""Every stage against its contract, all of them in one search; one from outside the package; wrong ones."""

import time
from typing import ClassVar

import pytest

from paddle_automl.core.loading import validate
from paddle_automl.models.network import build_network
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.stages.base import STAGES, Stage, in_order
from paddle_automl.pipeline.stages.ensemble import EnsembleStage
from paddle_automl.testing import stages
from paddle_automl.testing.backbones import image_input
from paddle_automl.testing.stages import SEARCH, StageContract, check_at_work, check_late, small_search

COMPRESSED = {
    "compression.steps": [{"name": "quantize_post", "analysis": False, "images": 64}],
    "compression.speed": {"batch_sizes": [1], "gate_batch_size": 1, "rounds": 4, "runs": 2},
}
"""A chain of compression; with a frozen backbone too each stage of the package is wanted, but not that of
ensembles, whose members are whole networks."""


@pytest.mark.parametrize("name", STAGES.names())
def test_every_stage_is_described(name):
    StageContract().test_it_has_a_place_and_a_description(STAGES[name])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A search whose stages have run, each checked at its turn."""
    folder = tmp_path_factory.mktemp("stages")
    config = validate(RunConfig, {"model": SEARCH["model"]})
    save_weights(folder / "w.pdparams", build_network(config.model, image_input(1, 8, 8), 10, seed=0).state_dict())
    frozen = {
        "model.pretrained": str(folder / "w.pdparams"),
        "model.freeze": "backbone",
        "fine_tuning.recipes": [{"name": "low_rate", "epochs": 1}],
    }
    with small_search(folder, {**COMPRESSED, **frozen}) as search:
        for stage in in_order():
            if stage.name != EnsembleStage.name:
                check_at_work(stage, search)
        yield search


@pytest.mark.timeout(300)
def test_every_stage_keeps_its_laws_in_a_search(finished):
    assert not finished.waiting
    names = ["check", "features", "search", "refit", "fine_tune", "export", "compress", "report"]
    assert list(finished.run.results) == names
    assert finished.run.results["report"].bundle.verified


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [EnsembleStage])
class TestEnsemble(StageContract):
    overrides: ClassVar = {"ensemble": {"standard_errors": 0.0}, "refit.data": "train+validation"}


class Card(Stage):
    """Writes a line about the bundle into a file."""

    name, place = "card", 60

    def inputs(self, run):
        return {"metrics": run.results["export"]["metrics"]}

    def outputs(self, run):
        return (run.folder.path / "card.txt",)

    def work(self, run, until):
        text = f"accuracy {run.results['export']['metrics']['test']['accuracy']:.3f}\n"
        self.outputs(run)[0].write_text(text)
        return {"text": text}


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [Card])
class TestOfOnesOwn(StageContract):
    pass


class Unwanted(Card):
    def wanted(self, run):
        return bool(run.config.plugins)


class Moody(Card):
    def inputs(self, run):
        return {"now": time.monotonic()}


class Rich(Card):
    def inputs(self, run):
        return {"folder": run.folder.path}


class Silent(Card):
    def work(self, run, until):
        return {}


class Outside(Card):
    def outputs(self, run):
        return (run.folder.path.parent / "card.txt",)


class Blind(Card):
    def is_intact(self, run, result):
        return True


class Restless(Card):
    def is_intact(self, run, result):
        return False


class Tupled(Card):
    def work(self, run, until):
        return (super().work(run, until),)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (Unwanted, "card is not wanted here; set overrides"),
        (Moody, r"a second call of inputs\(\) returns something else"),
        (Rich, "inputs cannot be written as JSON"),
        (Silent, r"outputs: .*card\.txt was not written"),
        (Outside, "is outside of the output folder"),
        (Blind, r"is_intact\(\) accepts the result without .*card\.txt"),
        (Restless, r"work\(\) ran again although nothing has changed"),
        (Tupled, "the result changes when it is written as JSON"),
    ],
)
def test_a_wrong_stage_is_caught(finished, stage, message):
    (finished.run.folder.path / "card.txt").unlink(missing_ok=True)
    finished.run.folder.manifest("card").unlink(missing_ok=True)
    with pytest.raises(AssertionError, match=message):
        check_at_work(stage(), finished)


def test_a_stage_that_does_not_mind_the_time_is_caught(finished, monkeypatch):
    class Slow(Card):
        def work(self, run, until):
            time.sleep(0.3)

    monkeypatch.setattr(stages, "LATE_S", 0.1)
    with pytest.raises(AssertionError, match="work continued for 0 s although its time was up"):
        check_late(Slow(), finished.run)


def test_a_stage_without_a_place_is_caught():
    class Nowhere(Stage):
        """Is nowhere."""

        name, place = "nowhere", "last"

    with pytest.raises(AssertionError, match="place: a whole number"):
        StageContract().test_it_has_a_place_and_a_description(Nowhere)
