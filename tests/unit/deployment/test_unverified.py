"""A format that failed its parity check is not chosen where another one passed, and never run without a word."""

import logging

import pytest

from paddle_automl.cli import predict
from paddle_automl.deployment import formats
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle, time_formats
from paddle_automl.deployment.parity_record import ParityRecord
from paddle_automl.deployment.predictor import Predictor
from tests.unit.deployment.conftest import quick, tampered

FIRST, OTHER = "paddle_inference", "paddle_program"


@pytest.fixture(scope="module")
def failed(net, data, tmp_path_factory) -> Bundle:
    """A bundle whose formats both failed, as its limit is too strict."""
    deployment = quick(formats=[OTHER], parity={"max_difference": 1e-12})
    folder = tmp_path_factory.mktemp("unverified") / "b"
    return create_bundle(net, folder=folder, data=data, deployment=deployment, config={}, metrics={})


def loosened(parity: ParityRecord) -> ParityRecord:
    found = parity.model_copy(update={"max_difference": 1e-5})
    return found.model_copy(update={"verified": found.within_limits})


def with_one_verified(bundle: Bundle, folder) -> Bundle:
    copy = Bundle.open(tampered(bundle, folder))
    (record,) = copy.info.formats
    return copy.updated(formats=[record.model_copy(update={"parity": loosened(record.parity)})])


def said(caplog) -> list[str]:
    return [item.getMessage() for item in caplog.records if "verified" in item.getMessage()]


def test_a_verified_format_is_the_fastest(failed, tmp_path):
    assert failed.info.fastest == FIRST
    one = with_one_verified(failed, tmp_path / "b")
    assert not one.verified
    assert time_formats(one, quick(), None).info.fastest == OTHER


def test_a_verified_format_is_run_whatever_the_record_calls_the_fastest(failed, tmp_path, caplog):
    one = with_one_verified(failed, tmp_path / "b")
    assert one.info.fastest == FIRST
    with caplog.at_level(logging.WARNING):
        assert Predictor(one).format == OTHER
        assert said(caplog) == []
        assert Predictor(one, runtime="paddle").format == FIRST
    (text,) = said(caplog)
    assert text.startswith(
        f"{one.folder}: the format {FIRST} may give other answers than the trained network: NOT v"
    )


def test_the_first_format_is_the_last_resort_and_it_is_said_once(failed, caplog):
    with caplog.at_level(logging.WARNING):
        assert Predictor(failed).format == Predictor(failed).format == FIRST
    assert len(said(caplog)) == 1


def test_a_bundle_that_was_never_compared(failed, tmp_path, caplog):
    bundle = Bundle.open(tampered(failed, tmp_path / "b")).updated(parity=None, formats=[], fastest=None)
    with caplog.at_level(logging.WARNING):
        # As the export does, to compare it.
        Predictor(bundle, runtime=FIRST)
        assert caplog.records == []
        Predictor(bundle)
    assert "was never compared with the trained network" in caplog.text


def test_predict_says_it(failed, capsys):
    formats._warn_once.cache_clear()
    assert predict.main(["-m", str(failed.folder), str(failed.folder / "samples" / "0.png")]) == 0
    assert capsys.readouterr().err.count("NOT verified") == 1


def test_a_verified_bundle_gives_no_warning(bundle, caplog):
    with caplog.at_level(logging.WARNING):
        Predictor(bundle)
        Predictor(bundle, runtime=FIRST)
    assert caplog.records == []
