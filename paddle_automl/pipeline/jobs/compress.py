"""Compressing a trained run: the command's configuration, its job, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_automl.compression.config import CompressionConfig
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import make_output_folder, write_json
from paddle_automl.core.loading import validate
from paddle_automl.core.schema import Section
from paddle_automl.pipeline.jobs.base import call, returning_errors
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.machine import start_executor
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.sources import best_trials, open_run
from paddle_automl.pipeline.runs.trials import WEIGHTS_FILE, payload_of

COMPRESSED_FOLDER = "compressed"
REPORT_FILE = "compression.json"

Report = Callable[[int, Mapping[str, float]], bool]


class CompressFile(Section):
    """The whole configuration of a compression; data, network and recipe come from the run."""

    compression: CompressionConfig = CompressionConfig()
    """The chain of steps and its gates."""


@dataclass(frozen=True)
class CompressionOutcome:
    """The table of the chain and the bundles of the links that were kept.

    `best` is the bundle of the last of them, or None if the network before compression is still the best.
    """

    folder: Path
    table: tuple[Mapping[str, str], ...]
    links: tuple[Mapping[str, Any], ...]
    bundles: tuple[Mapping[str, Any], ...]
    best: Path | None


def compress_run(
    config: CompressFile, path: str | Path, target: Path | None = None, observer: Observer | None = None
) -> CompressionOutcome:
    """Compress a run or a search's result into bundles below `target` (by default its ``compressed`` folder).

    Raises ConfigError for a chain without steps or for options that do not fit the network.
    """
    if not config.compression.chain():
        raise ConfigError("compression.steps: is empty; name at least one step, such as quantize_post")
    stable_hashing()
    run = open_run(path)
    folder = make_output_folder(target or Path(path) / COMPRESSED_FOLDER)
    payload = payload_of(run.config, run.config, folder=run.folder)
    payload |= {
        "compression": config.compression.model_dump(mode="json"),
        "run": str(run.folder),
        "target": str(folder.resolve()),
        "best_trials": [str(trial) for trial in best_trials(path, run.config.epoch_metric())],
    }
    observer = observer or Observer()
    with start_executor(run.config, workers=1) as executor, observer:
        told = observer.job("compressing")
        result = call(executor, compress, payload, folder / "compression.log", told)
    return CompressionOutcome(
        folder=folder,
        table=tuple(result["table"]),
        links=tuple(result["links"]),
        bundles=tuple(result["bundles"]),
        best=Path(result["best_bundle"]) if result["best_bundle"] else None,
    )


@returning_errors
def compress(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Run the chain on a trained network, in the worker; write a bundle per kept link and a report.

    Payload: `config`, `compression`, `run` (folder with the weights), `target` (folder of the bundles),
    `best_trials` (folders of trained trials, best first), `cache`, `lock`, `device`, `threads`.
    """
    from paddle_automl.compression.bundling import create_link_bundle
    from paddle_automl.compression.chain import compress as run_chain
    from paddle_automl.pipeline.jobs.export import describe_bundle
    from paddle_automl.pipeline.jobs.networks import context_of, load_trained
    from paddle_automl.pipeline.jobs.train import enter_worker, load_data

    config = enter_worker(payload)
    chain = validate(CompressionConfig, payload["compression"])
    if chain.formats is None:
        chain = chain.model_copy(update={"formats": config.deployment.formats})
    data = load_data(config, payload)
    original = load_trained(config, data, Path(payload["run"]) / WEIGHTS_FILE)
    trials = [Path(trial) for trial in payload["best_trials"]]
    context = context_of(config, data, original, payload, report=report, trials=trials)
    result = run_chain(context.original, chain, context)
    target = Path(payload["target"])
    bundles = []
    for position, link in enumerate(result.links):
        if position and link.kept:
            bundle = create_link_bundle(
                link,
                folder=target / f"{position}_{link.name}",
                context=context,
                compression=chain,
                deployment=config.deployment,
                config=payload["config"],
                metrics={},
            )
            bundles.append(describe_bundle(bundle))
    outcome = {
        **result.as_dict(),
        "table": result.table(),
        "bundles": bundles,
        "best_bundle": bundles[-1]["bundle"] if bundles else None,
    }
    write_json(target / REPORT_FILE, outcome)
    return outcome
