"""The chain: each step starts from the last network that was kept; its result is measured, then kept or
rejected."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from paddle_automl.compression.base import STEPS, Form, Outcome, Step, check_steps
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.context import Context
from paddle_automl.compression.measuring import (
    Timings,
    export_network,
    exporter_for,
    formats_for,
    main_score,
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
from paddle_automl.training.evaluation import predict

logger = logging.getLogger(__name__)

ROUNDING = 1e-9
"""Tolerance, so that a drop of exactly the limit passes in spite of rounding."""
LEAST_GAIN = 0.02
"""Fraction by which three of four rounds must be faster for a gain: less is within the noise of a quiet machine."""


def compress(model: Network, config: CompressionConfig, context: Context) -> ChainResult:
    """Run the chain on `model`, which is not changed, and return the measured network of every step.

    A network that does not pass its gates is rejected, and so is a step that fails; the next step then starts from
    the last network that was kept. Raises ConfigError, before anything runs, for options that do not fit this
    network.
    """
    require_formats(config.formats or ())
    steps = [STEPS[item.name](item) for item in config.chain()]
    check_steps(steps, model, context)
    with tempfile.TemporaryDirectory(prefix="paddle_automl-compression-") as scratch:
        return _Chain(config, context, Path(scratch)).run(model, steps)


@dataclass
class _Chain:
    config: CompressionConfig
    context: Context
    scratch: Path
    results: list[StepResult] = field(default_factory=list)
    sessions: dict[int, dict[str, Session]] = field(default_factory=dict)
    """By position of the result, then by precision or format; a failed step has none."""

    def run(self, model: Network, steps: list[Step]) -> ChainResult:
        self._add_before(model)
        for step in steps:
            self._add(step)
        self._time_all()
        return ChainResult(self.results)

    def _add_before(self, model: Network) -> None:
        reason = "the network before compression"
        result = StepResult(BEFORE, True, reason, Form.DENSE, model, self.context.task)
        self._measure(result, model)
        self.sessions[0] |= self._measure_formats(result)
        self.results.append(result)

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
        result.kept, result.reason = self._gate(step, result, last)
        if result.repaired.layers:
            result.reason += f"; {result.repaired.describe()}"
        logger.info("compression: %s %s: %s", step.name, "kept" if result.kept else "rejected", result.reason)

    def _applied(self, step: Step, last: StepResult) -> StepResult:
        """Return the step's result for the last kept network, with all measurements except times."""
        assert last.model is not None
        if last.form not in step.accepts:
            raise AutoMLError(f"{step.name} does not support a {last.form.value} network")
        started = time.perf_counter()
        result = self._measured(step, step.apply(last.model, self.context), last)
        if self._loss_of(result) and step.leaves is Form.QUANTIZED:
            result = self._repaired(step, result, last)
        result.seconds = time.perf_counter() - started
        self.sessions[len(self.results)] |= self._measure_formats(result)
        return result

    def _measured(self, step: Step, outcome: Outcome, last: StepResult) -> StepResult:
        result = StepResult(
            step.name, False, "", step.leaves, outcome.model, self.context.task, last.model, facts=outcome.facts
        )
        self._measure(result, outcome.model, last)
        return result

    def _repaired(self, step: Step, broken: StepResult, last: StepResult) -> StepResult:
        """Return the result with the fewest layers left in float for which the accuracy is within the limits.

        If there is none, returns `broken`.
        """
        assert last.model is not None
        order = step.layers_by_damage(last.model, self.context, broken.facts)
        tried: dict[int, StepResult] = {}

        def works(count: int) -> bool:
            assert last.model is not None
            outcome = step.leaving(order[:count]).apply(last.model, self.context)
            tried[count] = self._measured(step, outcome, last)
            logger.info(
                "compression: %s with %d layers in float: %s", step.name, count, self._loss_of(tried[count])
            )
            return not self._loss_of(tried[count])

        count = fewest(len(order) - 1, works) if len(order) > 1 else None
        if count is None:
            self._measure(broken, broken.model or last.model, last)
            return broken
        result = self._measured(step, Outcome(tried[count].model or last.model, tried[count].facts), last)
        result.repaired = Repaired(tuple(order[:count]), len(order))
        result.facts = {**broken.facts, **result.facts, "float_layers": order[:count], "broken_by": broken.drop}
        return result

    def _measure(self, result: StepResult, model: Network, last: StepResult | None = None) -> None:
        """Export the network and fill in all measurements except times; keep the loaded export for timing."""
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
        # With the last step of the export, which may differ from that of the new task.
        expected = predict(model, self.context.data.validation)
        result.agreement = float(result.task.agree(expected, export.outputs).mean())
        self.sessions[position] = sessions_of(export, result.form, threads=threads)

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
        accept = acceptance(partial(predict, network, data.validation), data.validation, limits)
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

    def _gate(self, step: Step, result: StepResult, last: StepResult) -> tuple[bool, str]:
        """Return whether the network is kept, and the reason."""
        loss = self._loss_of(result)
        if loss:
            return False, loss
        if step.gain == "metric":
            if drop_of(result.metric, last.score, result.score) > 0:
                return (
                    False,
                    f"{result.metric} {result.score:.4f} is worse than the {last.score:.4f} before the step",
                )
            return True, f"{result.metric} {result.score:.4f} after {last.score:.4f}"
        if step.gain == "sparsity":
            return True, f"{100 * result.sparsity:.0f} % zeros; dense kernels do not run faster"
        return self._gate_cost(result, last)

    def _loss_of(self, result: StepResult) -> str:
        """Return in words what accuracy the network loses beyond the limits; empty: nothing."""
        limit, metric = self.config.max_drop, result.metric
        # Negated, so that NaN counts as above the limit.
        if not result.drop <= limit + ROUNDING:
            return f"{metric} is worse by {result.drop:.4f}, allowed is {limit:g}"
        needed = self.config.min_agreement
        if result.form is Form.QUANTIZED and result.agreement < needed:
            return (
                f"export and network give the same answer for {result.agreement:.4f} of the items, required is "
                f"{needed:g}"
            )
        return ""

    def _gate_cost(self, result: StepResult, last: StepResult) -> tuple[bool, str]:
        least, size = self.config.min_speedup, self.config.speed.gate_batch_size
        facts = f"{result.speedup:.2f} times as fast (batch {size}), files {result.export_ratio:.2f} of the size"
        if least is not None:
            if result.speedup < least:
                return False, f"{facts}; required is {least:g} times as fast"
            return True, facts
        if result.export_mb < last.export_mb:
            return True, facts
        if result.step_speedups[str(size)][0] < 1 + LEAST_GAIN:
            return False, f"{facts}: neither clearly faster nor smaller than before the step"
        slowest = result.step_speedups["1"][1]
        if slowest < 1 - LEAST_GAIN:
            return (
                False,
                f"{facts}: not smaller than before the step, and slower for one item ({slowest:.2f} times)",
            )
        return True, facts

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
