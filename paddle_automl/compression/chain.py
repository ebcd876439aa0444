"""The chain: each step on what the last good one left, each link measured and let through or not."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from paddle_automl.compression.base import STEPS, Form, Step
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.context import Context
from paddle_automl.compression.measuring import (
    Exported,
    drop_of,
    export_format,
    export_network,
    formats_for,
    race,
)
from paddle_automl.compression.results import BEFORE, ChainResult, Link
from paddle_automl.core.errors import AutoMLError
from paddle_automl.deployment.create import calibration_arrays
from paddle_automl.deployment.formats import require_formats
from paddle_automl.models.network import Network
from paddle_automl.training.evaluation import predict

logger = logging.getLogger(__name__)


def compress(model: Network, config: CompressionConfig, context: Context) -> ChainResult:
    """Run the chain on `model`, which is left as it is, and return every link with its measurements.

    What does not pass its gate, or fails, is a rejected link, and the next step goes on from the last one
    kept. Raises ConfigError, before anything runs, for options that cannot work on this network.
    """
    require_formats(config.formats or ())
    steps = [STEPS[item.name](item) for item in config.chain()]
    for step in steps:
        step.check_input(context)
        step.check(model, context)
    with tempfile.TemporaryDirectory(prefix="paddle_automl-compression-") as scratch:
        return _Chain(config, context, Path(scratch)).run(model, steps)


@dataclass
class _Chain:
    config: CompressionConfig
    context: Context
    scratch: Path
    links: list[Link] = field(default_factory=list)
    exports: dict[int, Exported] = field(default_factory=dict)
    """By position of the link; a step that failed has none."""

    def run(self, model: Network, steps: list[Step]) -> ChainResult:
        self._add_before(model)
        for step in steps:
            self._add(step)
        self._time_all()
        return ChainResult(self.links)

    def _add_before(self, model: Network) -> None:
        link = Link(BEFORE, True, "the network before compression", Form.DENSE, model)
        self.exports[0] = self._measure(link, model)
        self.links.append(link)

    def _add(self, step: Step) -> None:
        last = self._last_kept()
        assert last.model is not None
        form = step.leaves
        logger.info("compression: %s", step.name)
        started = time.perf_counter()
        try:
            if last.form not in step.accepts:
                raise AutoMLError(f"{step.name} cannot work on a {last.form.value} network")
            outcome = step.apply(last.model, self.context)
            link = Link(step.name, False, "", form, outcome.model, source=last.model, facts=outcome.facts)
            link.seconds = time.perf_counter() - started
            self.exports[len(self.links)] = self._measure(link, outcome.model)
        except AutoMLError as error:
            link = Link(step.name, False, f"failed: {error}", form, None, seconds=time.perf_counter() - started)
            self.links.append(link)
            logger.warning("compression: %s failed: %s", step.name, error)
            return
        self.links.append(link)
        self._race(link)
        link.kept, link.reason = self._gate(step, link, last)
        logger.info("compression: %s %s: %s", step.name, "kept" if link.kept else "rejected", link.reason)

    def _last_kept(self) -> Link:
        return ChainResult(self.links).best

    def _measure(self, link: Link, model: Network) -> Exported:
        """Fill in what can be told without timing; return the export."""
        context, split = self.context, self.context.data.validation
        folder = self.scratch / f"{len(self.links)}"
        export = export_network(model, link.form, folder, split, threads=self.config.speed.threads)
        link.metric, link.score = context.task.metrics[0], export.score
        link.weights_mb = export.bytes / 1e6
        if self.links:
            link.drop = drop_of(context.task, self.links[0].score, link.score)
            link.weights_ratio = link.weights_mb / self.links[0].weights_mb
        link.count(model, context.specs, self._last_kept() if self.links else None)
        link.agreement = float(context.task.agree(predict(model, split), export.outputs).mean())
        self._measure_formats(link, export)
        return export

    def _measure_formats(self, link: Link, export: Exported) -> None:
        """Add the further formats' sessions to the export, and their facts to the link."""
        formats = formats_for(link.form, self.config.formats or ())
        data, network = self.context.data, link.source if link.form is Form.QUANTIZED else link.model
        calibration = calibration_arrays(data, formats)
        for config in formats:
            folder = self.scratch / f"{len(self.links)}_{config.name}"
            try:
                found = export_format(
                    network, config, folder, data, threads=self.config.speed.threads, calibration=calibration
                )
            except AutoMLError as error:
                logger.warning("compression: %s as %s failed: %s", link.name, config.name, error)
                continue
            export.sessions[config.name] = found.session
            link.formats[config.name] = {"score": found.score, "weights_mb": found.bytes / 1e6}

    def _race(self, link: Link) -> None:
        runners = {"before": self.exports[0].session, "link": self.exports[len(self.links) - 1].session}
        speed = self.config.speed
        paces = race(runners, self.context.data.input, speed.gate_batch_size, speed, lock=self.context.lock)
        link.speedup = paces["link"].speedup_over(paces["before"])

    def _gate(self, step: Step, link: Link, last: Link) -> tuple[bool, str]:
        """Return whether the link may be shipped, and why."""
        limit, metric = self.config.max_drop, link.metric
        if link.drop > limit + 1e-9:
            return False, f"{metric} is worse by {link.drop:.4f}, allowed are {limit:g}"
        agreement = self.config.min_agreement
        if link.form is Form.QUANTIZED and link.agreement < agreement:
            return False, f"export and network agree on {link.agreement:.4f}, needed are {agreement:g}"
        if step.gain == "accuracy":
            if drop_of(self.context.task, last.score, link.score) > 0:
                return False, f"{metric} {link.score:.4f} is worse than the {last.score:.4f} before the step"
            return True, f"{metric} {link.score:.4f} after {last.score:.4f}"
        if step.gain == "sparsity":
            return True, f"{100 * link.sparsity:.0f} % zeros; dense kernels run no faster for it"
        return self._gate_cost(link, last)

    def _gate_cost(self, link: Link, last: Link) -> tuple[bool, str]:
        least, size = self.config.min_speedup, self.config.speed.gate_batch_size
        facts = f"{link.speedup:.2f} times as fast (batch {size}), weights {link.weights_ratio:.2f} of the size"
        if least is not None:
            if link.speedup < least:
                return False, f"{facts}; needed is {least:g} times as fast"
            return True, facts
        if link.speedup <= last.speedup and link.weights_mb >= last.weights_mb:
            return False, f"{facts}: neither faster nor smaller than before the step"
        return True, facts

    def _time_all(self) -> None:
        """Time all links together, in all their precisions and all batch sizes."""
        runners = {
            f"{position} {precision}": session
            for position, export in self.exports.items()
            for precision, session in export.sessions.items()
        }
        speed = self.config.speed
        for size in speed.sizes():
            paces = race(runners, self.context.data.input, size, speed, lock=self.context.lock)
            base = paces["0 float32"].p50_ms
            for key, pace in paces.items():
                position, precision = key.split()
                self.links[int(position)].latency.setdefault(precision, {})[str(size)] = {
                    "p50_ms": pace.p50_ms,
                    "p95_ms": pace.p95_ms,
                    "speedup": round(base / pace.p50_ms, 3),
                    "undisturbed_speedup": round(pace.speedup_over(paces["0 float32"]), 3),
                }
