"""Another rejection score is used where the exported one differs, not where the outputs do."""

from paddle_automl.deployment import create
from paddle_automl.deployment.config import RejectionConfig
from paddle_automl.deployment.predictor import Predictor, Raw
from paddle_automl.deployment.refusal import Refusal
from paddle_automl.deployment.rejection.base import SCORES
from paddle_automl.deployment.rejection_records import ScoreRecord
from paddle_automl.deployment.samples import write_samples
from tests.unit.deployment.test_refusal import choice_of, made


def test_outputs_that_differ_are_not_blamed_on_the_score(data, tmp_path, monkeypatch, caplog):
    written, kept = [], Predictor.run_items

    def other(self, items, **options):
        found = kept(self, items, **options)
        outputs = found.outputs * 0.9 + 0.1 / 3
        return found if found.known is None else Raw(outputs, self.bundle.info.rejection.scores([outputs]))

    monkeypatch.setattr(Predictor, "run_items", other)
    monkeypatch.setattr(
        create, "write_samples", lambda *args, **words: written.append(args) or write_samples(*args, **words)
    )
    bundle = made("gen", tmp_path / "b", data)
    assert bundle.info.parity.outputs_differ
    assert bundle.info.parity.scores_differ
    assert not bundle.verified
    assert bundle.info.rejection.score.name == "gen"
    assert len(written) == 1
    assert caplog.records == []


def test_another_score_is_another_one():
    tried = {
        name: ScoreRecord(auroc=value, refused=0.5) for name, value in (("gen", 0.9), ("max_probability", 0.8))
    }
    choice = choice_of("gen").model_copy(update={"tried": tried})
    refusal = Refusal(choice, SCORES["gen"](choice.score), {}, 0.95)
    other = refusal.by_outputs(RejectionConfig())
    assert other.score.name == other.choice.score.name == "max_probability"
    assert refusal.by_outputs(RejectionConfig(scores=[choice.score])) is None


def test_without_another_score_no_item_is_refused(data, tmp_path, monkeypatch, caplog):
    kept = Predictor.run_items

    def noisy(self, items, **options):
        found = kept(self, items, **options)
        return found if found.known is None else Raw(found.outputs, found.known + len(items))

    monkeypatch.setattr(Predictor, "run_items", noisy)
    rejection = {"scores": ["class_similarity"]}
    bundle = made("class_similarity", tmp_path / "b", data, rejection=rejection)
    assert bundle.verified
    assert bundle.info.rejection is None
    assert "computes another class_similarity; no item is refused" in caplog.text
