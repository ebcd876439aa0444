"""How much time the compression after a search is given, and what happens if it fails."""

import time
from types import SimpleNamespace

import pytest

from paddle_automl.core.errors import AutoMLError, ConfigError, MachineError, OutputError, TrialError
from paddle_automl.core.loading import validate
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.compress import CompressResult
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.sources import TrainedRun
from paddle_automl.pipeline.stages import compress
from paddle_automl.pipeline.stages.compress import NO_TIME, SPARED, Compress
from paddle_automl.pipeline.stages.estimates import Estimates

RESULT = {"best": "before", "steps": [{"name": "before"}], "table": [], "bundles": [], "best_bundle": None}


def run_of(minutes, steps, export_s=None):
    config = validate(
        RunConfig,
        {"data": {"dataset": "digits"}, "budget": {"time": f"{minutes}min"}, "compression": {"steps": steps}},
    )
    heard = []
    observer = SimpleNamespace(on_message=heard.append)
    return SimpleNamespace(
        config=config, estimates=Estimates(config, export_s=export_s), observer=observer, heard=heard
    )


@pytest.mark.parametrize(
    ("minutes", "export_s", "seconds"), [(2, None, 0), (2, 5, 30), (2, 20, 0), (10, None, 72), (60, 20, 138)]
)
def test_8_bits_get_some_exports_or_a_quarter_of_the_time_if_that_is_half_of_them(minutes, export_s, seconds):
    assert Compress().seconds(run_of(minutes, ["quantize_post"], export_s)) == pytest.approx(seconds)


def test_a_chain_with_trainings_gets_a_quarter():
    assert Compress().seconds(run_of(2, ["prune_filters", "quantize_post"])) == 30


def test_8_bits_are_not_begun_without_time_for_them():
    run = run_of(2, ["quantize_post"], export_s=10)
    assert Compress().work(run, time.monotonic() + 20) is None
    assert run.heard == [NO_TIME]


@pytest.mark.parametrize("source", ["trials/0002", ""])
def test_a_network_whose_weights_are_gone_is_not_compressed(tmp_path, source):
    run = run_of(60, ["quantize_post"])
    run.folder, run.results = RunFolder(tmp_path), {"export": {"source": source}}
    assert Compress().inputs(run)["weights"] is None
    assert Compress().work(run, None) is None
    (said,) = run.heard
    assert said.startswith(f"no compression: the weights of the network in {tmp_path / 'model'} are gone; ")


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({"formats": ["onnx"]}, (True, False)),
        ({"exporter": "onnx"}, (True, False)),
        ({"parity": {"raw_files": 3}}, (True, True)),
        ({"latency": {"batch_sizes": [1, 8]}}, (True, True)),
        ({"tables": "plain"}, (False, False)),
    ],
)
def test_another_deployment_is_a_reason_to_compress_again(tmp_path, options, counts):
    """Formats are none where compressed networks have formats of their own."""

    def inputs(own, **deployment):
        run = run_of(60, ["quantize_post"])
        changed = validate(DeploymentConfig, deployment)
        chain = run.config.compression.model_copy(update={"formats": own})
        run.config = run.config.model_copy(update={"deployment": changed, "compression": chain})
        run.folder, run.results = RunFolder(tmp_path), {"export": {"source": "trials/0002"}}
        return run, Compress().inputs(run)

    for own, counted in zip(
        (None, (EXPORTERS["paddle_program"].Config(name="paddle_program"),)), counts, strict=True
    ):
        run, before = inputs(own)
        run.folder.trial(2).write_config(run.config)
        assert inputs(own)[1] == before
        assert (inputs(own, **options)[1] != before) is counted
        assert "deployment" not in before


def test_a_chain_without_time_for_a_repair_is_run_again():
    assert Compress().is_intact(None, RESULT)
    broken = {"name": "quantize_post", "unrepaired": "no time was left"}
    assert not Compress().is_intact(None, {**RESULT, "steps": [broken]})


def test_a_chain_is_told_its_time(started):
    assert started(until=None) is None
    # Less the part of the budget that is left over.
    assert started(until=time.monotonic() + 1000) == pytest.approx(1000 - SPARED * 3600, abs=5)


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Return what the stage asks of a chain: a function from the end of its time to the seconds that it gives."""

    def work(until):
        asked = []
        run = run_of(60, ["quantize_post"], export_s=5)
        run.folder, run.results = RunFolder(tmp_path), {"export": {"source": "trials/0002"}}
        run.folder.trial(2).path.mkdir(parents=True, exist_ok=True)
        run.folder.trial(2).weights.touch()
        run.executor, run.observer.job = None, lambda text: None
        monkeypatch.setattr(compress, "open_run", lambda path: TrainedRun(run.folder.trial(2), run.config))
        monkeypatch.setattr(compress, "compress_job", lambda *args: asked.append(args[-1]))
        monkeypatch.setattr(compress, "call", lambda *_: validate(CompressResult, RESULT))
        Compress().work(run, until)
        return asked[0]

    return work


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """Return what a chain leaves that ends with an error, and the messages."""

    def work(error):
        def call(*_):
            raise error

        run = run_of(60, ["prune_filters"])
        run.folder, run.results = RunFolder(tmp_path), {"export": {"source": "trials/0002"}}
        run.folder.trial(2).path.mkdir(parents=True)
        run.folder.trial(2).weights.touch()
        run.executor, run.observer.job = None, lambda text: None
        monkeypatch.setattr(compress, "open_run", lambda path: TrainedRun(run.folder.trial(2), run.config))
        monkeypatch.setattr(compress, "compress_job", lambda *_: None)
        monkeypatch.setattr(compress, "call", call)
        return Compress().work(run, None), run.heard

    return work


@pytest.mark.parametrize(
    "error", [TrialError("killed by signal 9"), ConfigError("no layer is called 'x'"), AutoMLError("OSError")]
)
def test_a_chain_that_fails_leaves_the_search_its_end(failing, error, tmp_path):
    result, heard = failing(error)
    assert result is None
    assert heard == [
        f"no compression: {error}; the uncompressed bundle, of trial 2, is kept in {tmp_path / 'model'}. The "
        "same command tries the compression again"
    ]


@pytest.mark.parametrize("error", [MachineError("no space left"), OutputError("read-only")])
def test_a_fault_of_the_machine_is_none_of_the_chain(failing, error):
    with pytest.raises(type(error)):
        failing(error)
