"""The chain: each step starts from the last network that was kept; its result is measured, then kept or
rejected."""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from paddle_automl.compression.base import STEPS, Form, Outcome, Repair, Step, check_steps
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.context import Context
from paddle_automl.compression.gates import gate, loss_of, too_large_drop
from paddle_automl.compression.measuring import (
    Timings,
    export_network,
    exporter_for,
    formats_for,
    main_score,
    predict_fast,
    sessions_of,
    time_networks,
    weights_mb,
)
from paddle_automl.compression.results import BEFORE, ChainResult, StepResult
from paddle_automl.core.errors import AutoMLError
from paddle_automl.deployment.acceptance import acceptance
from paddle_automl.deployment.create import calibration_arrays
from paddle_automl.deployment.exporters.base import Session
from paddle_automl.deployment.formats import require_formats
from paddle_automl.deployment.parity import ParityLimits
from paddle_automl.deployment.repair import Repaired, fewest
from paddle_automl.models.network import Network
from paddle_automl.tasks.metrics.spelling import drop_of

logger = logging.getLogger(__name__)

FOLLOWING = 2.5
"""Time of what follows a repair, its comparison, timing and bundle, in those of measuring the float network."""
RANKING = 1.0
"""Time in which layers are ranked for a repair, in the same."""


class _NoTimeError(Exception):
    """The time is up; says for what."""


def compress(
    model: Network, config: CompressionConfig, context: Context, until: float | None = None
) -> ChainResult:
    """Run the chain on `model`, which is not changed, and return the measured network of every step.

    A network that does not pass its gates is rejected, and so is a step that fails; the next step then starts from
    the last network that was kept. A repair is only begun, and goes on, while time is left for what follows until
    `until`, on the monotonic clock. Raises ConfigError, before anything runs, for options that do not fit this
    network.
    """
    require_formats(config.formats or ())
    steps = [STEPS[item.name](item) for item in config.chain()]
    check_steps(steps, model, context)
    with tempfile.TemporaryDirectory(prefix="paddle_automl-compression-") as scratch:
        return _Chain(config, context, Path(scratch), until).run(model, steps)


@dataclass
class _Chain:
    config: CompressionConfig
    context: Context
    scratch: Path
    until: float | None = None
    results: list[StepResult] = field(default_factory=list)
    sessions: dict[int, dict[str, Session]] = field(default_factory=dict)
    """By position of the result, then by precision or format; a failed step has none."""
    before_s: float = 0.0
    """Seconds in which the network before the chain was exported, measured and compared, in all its formats."""
    trying_s: float = 0.0
    """Seconds in which the last network was exported and measured."""

    def run(self, model: Network, steps: list[Step]) -> ChainResult:
        self._add_before(model)
        for step in steps:
            self._add(step)
        self._time_all()
        return ChainResult(self.results)

    def _add_before(self, model: Network) -> None:
        started, reason = time.monotonic(), "the network before compression"
        result = StepResult(BEFORE, True, reason, Form.DENSE, model, self.context.task, agreement=math.nan)
        self._measure(result, model)
        self._measure_agreement(result)
        self.sessions[0] |= self._measure_formats(result)
        self.results.append(result)
        self.before_s = time.monotonic() - started

    def _add(self, step: Step) -> None:
        last = ChainResult(self.results).best
        logger.info("compression: %s", step.name)
        started = time.perf_counter()
        try:
            result = self._applied(step, last)
        except AutoMLError as error:
            logger.warning("compression: %s failed: %s", step.name, error)
            result = StepResult(step.name, False, f"failed: {error}", step.leaves, None, self.context.task)
            result.seconds = time.perf_counter() - started
            self.results.append(result)
            return
        self.results.append(result)
        self._compare_speed(result, last)
        result.kept, result.reason = gate(self.config, step.gain, result, last)
        if result.repaired.layers:
            result.reason += f"; {result.repaired.describe()}"
        if result.unrepaired:
            result.reason += f"; {result.unrepaired}"
        logger.info("compression: %s %s: %s", step.name, "kept" if result.kept else "rejected", result.reason)

    def _applied(self, step: Step, last: StepResult) -> StepResult:
        """Return the step's result for the last kept network, with all measurements except times."""
        assert last.model is not None
        if last.form not in step.accepts:
            raise AutoMLError(f"{step.name} does not support a {last.form.value} network")
        started = time.perf_counter()
        outcome = step.apply(last.model, self.context)
        result = self._measured(step, outcome, last)
        if outcome.repair is None or not too_large_drop(self.config, result):
            self._measure_agreement(result)
        if loss_of(self.config, result) and outcome.repair is not None:
            result = self._repaired(step, outcome.repair, result, last)
        result.seconds = time.perf_counter() - started
        self.sessions[len(self.results)] |= self._measure_formats(result)
        return result

    def _measured(self, step: Step, outcome: Outcome, last: StepResult) -> StepResult:
        """Return the result with all measurements except times and agreement."""
        result = StepResult(
            step.name, False, "", step.leaves, outcome.model, self.context.task, last.model, facts=outcome.facts
        )
        result.agreement = math.nan
        self._measure(result, outcome.model, last)
        return result

    def _repaired(self, step: Step, repair: Repair, broken: StepResult, last: StepResult) -> StepResult:
        """Return the result with the fewest layers left in float for which the accuracy is within the limits.

        With little time it is the one with the fewest that was found; if there is none, returns `broken`.
        """
        position, order = len(self.results), list[str]()
        found = [(broken, self.sessions[position])]
        # It takes longer than all the rest, so it is measured of what is chosen alone if it was not too low before.
        agreeing = not too_large_drop(self.config, broken)

        def works(count: int) -> bool:
            self._require_time()
            tried = self._measured(step, repair.leaving(order[:count]), last)
            if agreeing and not too_large_drop(self.config, tried):
                self._measure_agreement(tried)
            loss = loss_of(self.config, tried)
            logger.info("compression: %s with %d layers in float: %s", step.name, count, loss or "works")
            if not loss:
                tried.repaired = Repaired(tuple(order[:count]), len(order))
                found.append((tried, self.sessions[position]))
            return not loss

        try:
            self._require_time(RANKING * self.before_s)
            order += repair.layers_by_damage()
            if len(order) > 1 and fewest(len(order) - 1, works) is not None:
                self._measure_agreement(found[-1][0])
                if loss_of(self.config, found[-1][0]):
                    del found[1:]
                    agreeing = True
                    fewest(len(order) - 1, works)
        except _NoTimeError as error:
            broken.unrepaired = str(error)
        result, self.sessions[position] = found[-1]
        self._measure_agreement(result)
        if result is not broken:
            facts = {"float_layers": list(result.repaired.layers), "broken_by": broken.drop}
            result.facts = {**broken.facts, **result.facts, **facts}
        return result

    def _require_time(self, further_s: float = 0.0) -> None:
        """Raise _NoTimeError unless time is left to try a network, for what follows, and `further_s` more."""
        needed = further_s + self.trying_s + FOLLOWING * self.before_s
        if self.until is not None and self.until - time.monotonic() < needed:
            raise _NoTimeError(f"no time was left to return layers to float: {needed:.0f} s are needed")

    def _measure(self, result: StepResult, model: Network, last: StepResult | None = None) -> None:
        """Export the network and fill in all measurements except times and agreement; keep the loaded export."""
        started = time.monotonic()
        data, threads = self.context.data, self.config.speed.threads
        position, exporter = len(self.results), exporter_for(result.form)
        export = export_network(model, exporter, self._folder(f"{position}"), data, threads=threads)
        if last is not None:
            # For the outputs of the export: in 8 bits they differ from those of the network.
            result.task = self.context.tuned(export.outputs)
            data = data.with_task(result.task)
        result.score = main_score(export.outputs, data.validation)
        result.weights_mb, result.export_mb = weights_mb(export.folder), weights_mb(export.folder, "*")
        if self.results:
            before = self.results[0]
            result.drop = drop_of(result.metric, before.score, result.score)
            result.weights_ratio = result.weights_mb / before.weights_mb
            result.export_ratio = result.export_mb / before.export_mb
        result.count(model, data.specs, last)
        self.sessions[position] = sessions_of(export, result.form, threads=threads)
        result.outputs = export.outputs
        self.trying_s = time.monotonic() - started

    def _measure_agreement(self, result: StepResult) -> None:
        """Fill in the fraction of validation items for which the network and its export give the same answer."""
        assert result.model is not None
        if not math.isnan(result.agreement):
            return
        # With the last step of the export, which may differ from that of the new task.
        expected = predict_fast(result.model, self.context.data.validation)
        result.agreement = float(result.task.agree(expected, result.outputs).mean())

    def _folder(self, name: str) -> Path:
        """Return the path of a new folder; a step that is repaired exports several networks."""
        return self.scratch / f"{name}_{len(list(self.scratch.iterdir()))}"

    def _measure_formats(self, result: StepResult) -> dict[str, Session]:
        """Fill in the measurements of the further formats and return their sessions; one that fails is left out."""
        data = self.context.data.with_task(result.task)
        formats = formats_for(result.form, self.config.formats or ())
        network = result.source if result.form is Form.QUANTIZED else result.model
        assert network is not None
        calibration = calibration_arrays(data, formats)
        limits = ParityLimits(None, self.config.min_agreement, self.config.max_drop)
        accept = acceptance(partial(predict_fast, network, data.validation), data.validation, limits)
        threads = self.config.speed.threads
        sessions = {}
        for config in formats:
            folder = self._folder(f"{len(self.results)}_{config.name}")
            try:
                export = export_network(
                    network, config, folder, data, threads=threads, calibration=calibration, accept=accept
                )
            except AutoMLError as error:
                logger.warning("compression: %s as %s failed: %s", result.name, config.name, error)
                continue
            sessions[config.name] = export.session
            score = main_score(export.outputs, data.validation)
            result.formats[config.name] = {"score": score, "weights_mb": weights_mb(folder, "*")}
            if export.repaired.layers:
                result.formats[config.name]["float_layers"] = list(export.repaired.layers)
        return sessions

    def _time(self, sessions: Mapping[str, Session], batch_size: int) -> dict[str, Timings]:
        data, speed = self.context.data, self.config.speed
        return time_networks(sessions, data.input, batch_size, speed, lock=self.context.lock)

    def _compare_speed(self, result: StepResult, last: StepResult) -> None:
        """Fill in the speed-up over the networks before the chain and before the step; `result` is the newest."""
        places = {"first": 0, "last": self.results.index(last), "new": len(self.results) - 1}
        sessions = {name: next(iter(self.sessions[place].values())) for name, place in places.items()}
        if last is self.results[0]:
            del sessions["last"]
        gate = self.config.speed.gate_batch_size
        for size in {gate, 1}:
            found = self._time(sessions, size)
            result.step_speedups[str(size)] = found["new"].quartiles_over(found.get("last", found["first"]))
            if size == gate:
                result.speedup = found["new"].speedup_over(found["first"])

    def _time_all(self) -> None:
        """Time all networks together, in all precisions and formats and with all batch sizes."""
        sessions = {
            f"{position} {precision}": session
            for position, loaded in self.sessions.items()
            for precision, session in loaded.items()
        }
        for size in self.config.speed.sizes():
            timings = self._time(sessions, size)
            base = timings["0 float32"]
            for key, found in timings.items():
                position, precision = key.split()
                result = self.results[int(position)]
                result.latency.setdefault(precision, {})[str(size)] = {
                    "p50_ms": found.p50_ms,
                    "p95_ms": found.p95_ms,
                    "speedup": round(base.p50_ms / found.p50_ms, 3),
                    "undisturbed_speedup": round(found.speedup_over(base), 3),
                }
