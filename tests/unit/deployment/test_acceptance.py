"""What the repair of a format in 8 bits accepts is what the parity check verifies."""

from functools import partial

import numpy as np
import pytest

from paddle_automl.data.running import run_split
from paddle_automl.deployment.acceptance import acceptance
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.network import as_trained
from paddle_automl.deployment.parity import ParityLimits, check_parity
from paddle_automl.deployment.predictor import Predictor, Raw
from paddle_automl.tasks.base import spread
from tests.unit.deployment.conftest import quick
from tests.unit.deployment.test_tasks import net_of, numbered

FILES = 20


class Wrong:
    """A loaded network that names another class for some items of a split."""

    def __init__(self, run, split, positions):
        self.run = run
        self.wrong = {self.key(item) for item in split.input.batch(split.raw(positions))["image"]}

    @staticmethod
    def key(item):
        return np.ascontiguousarray(item).tobytes()

    def __call__(self, arrays):
        outputs = self.run(arrays)
        for row, item in enumerate(arrays["image"]):
            if self.key(item) in self.wrong:
                outputs[row] = np.roll(outputs[row], 1)
        return outputs

    def all_outputs(self, arrays):
        return [self(arrays)]


@pytest.fixture
def judged(net, data, bundle, monkeypatch):
    """A function from positions with wrong answers, to what repair and parity check say."""
    split, run = data.validation, as_trained(net, data.task.final)

    def judge(positions, **limits):
        session, wanted = Wrong(run, split, np.asarray(positions)), ParityLimits(None, **limits)
        accepted = acceptance(partial(run_split, split, run), split, wanted)(session)
        monkeypatch.setattr(Predictor, "_session_here", lambda self: session)
        predictor = Predictor(bundle, reject=False)
        return accepted, check_parity(net, predictor, split, limits=wanted, raw_files=FILES)

    return judge


def places(data):
    """Return the positions that are also read from files, and the others."""
    split = data.validation
    files = spread(data.task.strata(split.codes), len(split), FILES)
    return files, np.setdiff1d(np.arange(len(split)), files)


def test_the_border_is_the_same_with_wrong_files(judged, data):
    files, others = places(data)
    # 4 of 80 are allowed, of which 2 are also among the 20 files: 6 of 100.
    accepted, record = judged([*files[:2], *others[:2]], min_agreement=0.95)
    assert record.agreement == 0.95
    assert (accepted, record.verified) == (True, True)
    accepted, record = judged([*files[:2], *others[:3]], min_agreement=0.95)
    assert record.agreement == 75 / 80
    assert (accepted, record.verified) == (False, False)


def test_the_drop_has_the_same_border(judged, data):
    files, others = places(data)
    _, record = judged(others[:3], min_agreement=0.9)
    for allowed, good in ((record.drop, True), (record.drop - 1e-3, False)):
        accepted, found = judged(others[:3], min_agreement=0.9, max_drop=allowed)
        assert (accepted, found.verified) == (good, good)
    assert len(files) == FILES


def test_files_that_are_read_wrongly_fail_in_8_bits_too(net, data, bundle, monkeypatch):
    kept = Predictor.predict_items
    # Only the items of files come this way.
    monkeypatch.setattr(Predictor, "predict_items", lambda self, items: np.roll(kept(self, items), 1, axis=1))
    limits = ParityLimits(None, min_agreement=0.95)
    record = check_parity(net, Predictor(bundle, reject=False), data.validation, limits=limits)
    assert record.agreement == 0.0
    assert record.largest_difference < 1e-5
    assert not record.verified


def test_intervals_that_are_garbage_in_8_bits_fail(tmp_path, monkeypatch):
    data = numbered("price", interval=0.8)
    net = net_of(data)
    bundle = create_bundle(net, folder=tmp_path / "b", data=data, deployment=quick(), config={}, metrics={})
    limits = ParityLimits(None, min_agreement=0.95, max_drop=0.01)
    assert check_parity(net, Predictor(bundle), data.validation, limits=limits).verified
    kept = Predictor.run_items
    swapped = [0, 2, 1]
    monkeypatch.setattr(
        Predictor, "run_items", lambda self, *items, **words: Raw(kept(self, *items, **words).outputs[:, swapped])
    )
    record = check_parity(net, Predictor(bundle), data.validation, limits=limits)
    assert record.drop == pytest.approx(0, abs=1e-6)
    assert record.agreement < 0.95
    assert not record.verified
