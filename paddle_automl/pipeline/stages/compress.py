"""The chain of compression after a search."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from paddle_automl.compression.config import POST
from paddle_automl.core.errors import AutoMLError, MachineError, OutputError, TimeUpError
from paddle_automl.core.loading import load_config, validate
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.pipeline.commands import compress_job
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call
from paddle_automl.pipeline.jobs.compress import CompressResult
from paddle_automl.pipeline.runs.folder import RunFolder, name_of
from paddle_automl.pipeline.runs.sources import open_run
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.estimates import COMPRESS_FRACTION
from paddle_automl.pipeline.stages.export import deployed
from paddle_automl.pipeline.stages.run import Run

QUANTIZE_EXPORTS = 6.0
"""Time of quantization after training, its check and its bundle, in exports of the float network."""
LEAST_EXPORTS = 2.0
"""Time without which a chain is not begun, in exports: it could only use up what is left."""
NO_TIME = "no time was left to compress the network; the uncompressed bundle is kept"
SPARED = 0.03
"""Fraction of the budget left over at its end: it is killed when its time is up, on a machine that is busy then."""


@STAGES.register("compress")
class Compress(Stage):
    """Compresses the exported network if `compression.steps` is set."""

    place = 50

    def wanted(self, run: Run) -> bool:
        """Return whether there is a chain that does not run in the trials."""
        return bool(run.config.compression.chain()) and not run.config.compression.in_trials

    def seconds(self, run: Run) -> float:
        """Return a fraction of the budget, because the time of a chain is not known beforehand.

        8 bits after training take several exports: never more than that, and what the search leaves where the
        fraction is less than half of it.
        """
        share = COMPRESS_FRACTION * (run.config.budget.time or 0.0)
        if not _only_quantizes(run):
            return share
        needed = QUANTIZE_EXPORTS * run.estimates.export()
        return min(share, needed) if share >= needed / 2 else 0.0

    def inputs(self, run: Run) -> Any:
        """Return the chain, the state of the weights that it starts from, and what is new in the deployment."""
        source = run.folder.inside(run.results["export"]["source"])
        stat = source.weights.stat() if source.weights.is_file() else None
        deployment = _new_deployment(run, source)
        return {
            **({"deployment": deployment} if deployment else {}),
            "compression": run.config.compression.model_dump(mode="json"),
            "source": run.results["export"]["source"],
            "weights": None if stat is None else [stat.st_size, stat.st_mtime_ns],
        }

    def is_intact(self, run: Run, result: Any) -> bool:
        """Return whether all its bundles exist intact; a chain that was cut short is run again."""
        if result is None:
            return False
        try:
            known = validate(CompressResult, result)
            for bundle in known.bundles:
                Bundle.open(bundle.bundle)
        except AutoMLError:
            return False
        return not any(step.get("unrepaired") for step in known.steps)

    def work(self, run: Run, until: float | None) -> dict[str, Any] | None:
        """Return the chain's record, or None without time, or if it failed: the bundle is finished."""
        if until is not None and _only_quantizes(run):
            until -= SPARED * (run.config.budget.time or 0.0)
            if until - time.monotonic() < LEAST_EXPORTS * run.estimates.export():
                run.observer.on_message(NO_TIME)
                return None
        exported = run.results["export"]["source"]
        if not (exported and run.folder.inside(exported).weights.is_file()):
            run.observer.on_message(
                f"no compression: the weights of the network in {run.folder.bundle} are gone; once the final "
                "export succeeds, the same command compresses that network"
            )
            return None
        shown = run.observer.job("compressing")
        try:
            source = open_run(run.folder.inside(exported).path)
            source = replace(source, config=deployed(run, source.config))
            left = None if until is None else until - time.monotonic()
            job = compress_job(source, run.folder, run.folder.compressed.path, run.config.compression, left)
            return call(run.executor, job, CompressResult, shown, until).model_dump(mode="json")
        except TimeUpError:
            run.observer.on_message(NO_TIME)
        except (MachineError, OutputError):
            raise
        except AutoMLError as error:
            run.observer.on_message(
                f"no compression: {error}; the uncompressed bundle, of {name_of(exported)}, is kept in "
                f"{run.folder.bundle}. The same command tries the compression again"
            )
        return None


def _new_deployment(run: Run, source: RunFolder) -> dict[str, Any]:
    """Return the options of the deployment of bundles that are others than when the network was trained."""
    if not source.config.is_file():
        return {}
    # Tables are made smaller by the export alone. Compressed networks may have formats of their own.
    unused = {"tables"} if run.config.compression.formats is None else {"tables", "exporter", "formats"}
    then = load_config(RunConfig, source.config).deployment.model_dump(mode="json", exclude=unused)
    now = run.config.deployment.model_dump(mode="json", exclude=unused)
    return {key: value for key, value in now.items() if value != then[key]}


def _only_quantizes(run: Run) -> bool:
    """Return whether the chain is quantization after training alone: an extra, for which little time is given."""
    return [item.name for item in run.config.compression.chain()] == [POST]


def compression_of(run: Run) -> CompressResult | None:
    """Return the result of this run's chain, or None without one."""
    recorded = run.results.get(Compress.name)
    return None if recorded is None else validate(CompressResult, recorded)
