"""The options of `serve` that the network's predictor gets."""

import argparse

import pytest

from paddle_automl.cli import serve


class StartedError(Exception):
    """Ends the command where the network's process would start."""


@pytest.mark.parametrize(("words", "reject"), [((), True), (("--no-unknown",), False)])
def test_the_server_can_always_name_a_class(predictor, monkeypatch, words, reject):
    given = {}

    def started(bundle, **options):
        given.update(options)
        raise StartedError

    monkeypatch.setattr("paddle_automl.serving.server.bind", lambda address: None)
    monkeypatch.setattr("paddle_automl.serving.network.ServedPredictor", started)
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    args = parser.parse_args(["-m", str(predictor.bundle.folder), "--port", "0", *words])
    with pytest.raises(StartedError):
        serve.run(args)
    assert given["reject"] is reject
