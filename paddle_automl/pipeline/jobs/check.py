"""The check before the first trial: the data are read, and every option is built once."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from pydantic import Field

from paddle_automl.compression.candidate import check_candidate
from paddle_automl.compression.context import TrainedNetwork
from paddle_automl.core.errors import AutoMLError, ConfigError
from paddle_automl.core.files import digest
from paddle_automl.core.schema import Sequence
from paddle_automl.data.items import ItemList, targets_of
from paddle_automl.data.remembering import Remembered
from paddle_automl.data.splits import PreparedData
from paddle_automl.deployment.create import check_needs
from paddle_automl.deployment.formats import require_formats
from paddle_automl.deployment.paddlex import check_wanted
from paddle_automl.models.network import build_network
from paddle_automl.models.profile import flops_of_step
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import (
    Shared,
    arrays_of,
    changes,
    check_names,
    enter,
    load_data,
    notes,
    same_data,
)
from paddle_automl.pipeline.jobs.learning import tried_out
from paddle_automl.pipeline.jobs.networks import callbacks_of, context_of, goal_of_run, make_model
from paddle_automl.pipeline.runs.facts import ArrayFacts, DataFacts
from paddle_automl.pipeline.runs.remembered import data_of_teacher
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.precision import Precision
from paddle_automl.training.progressive import check_resolution
from paddle_automl.training.recipe import build_loss, build_optimizer, check_sampling

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckRequest:
    """Build each of the `candidates`, pairs of a label for messages and a configuration."""

    config: RunConfig
    candidates: tuple[tuple[str, RunConfig], ...]
    shared: Shared
    items: Path | None = None


class CheckResult(DataFacts):
    """The facts about the data, and warnings for the user before a search."""

    notes: Sequence[str] = ()
    """Warnings, each once."""
    items: dict[str, Any] = Field(default_factory=dict)
    """The items of the data by content, with the split of each (`data.items.ItemList`)."""


def run(request: CheckRequest, worker: Worker) -> CheckResult:
    """Load the data and build every candidate once; raise one ConfigError that names each bad option."""
    enter(worker)
    config = request.config
    check_needs(config.deployment)
    if request.items is None:
        remembered = data_of_teacher(config)
    else:
        remembered = Remembered(ItemList.read(request.items))
    others = [candidate for _, candidate in request.candidates]
    data = load_data(config, worker, remembered=remembered, others=others)
    check_names(data)
    check_wanted(config.deployment.paddlex, data.input, data.task, config.deployment.exporter.name)
    goal_of_run(config, data.task, request.shared)
    check_chain(config, others, data, worker)
    # An error that many candidates share is reported once, with the first of them.
    issues: dict[str, str] = {}
    # Each report says what is done; it is not for this job to know how much time the check may take.
    left = len(request.candidates) if worker.report(0, {}) else 0
    for number, (label, candidate) in enumerate(request.candidates[:left], start=1):
        try:
            try_out(candidate, config, data, worker)
        except AutoMLError as error:
            issues.setdefault(str(error), f"{label}: {error}")
        except (ValueError, RuntimeError) as error:
            # Paddle raises one of these two for a wrong shape or size; the last line holds the reason.
            text = str(error).strip().splitlines()[-1]
            issues.setdefault(text, f"{label}: cannot be built: {text}")
        if not worker.report(number, {}):
            break
    if issues:
        raise ConfigError(list(issues.values()))
    items = {} if data.items is None else data.items.as_dict()
    return CheckResult(**vars(data_facts(data)), notes=notes(least=logging.INFO), items=items)


def check_chain(config: RunConfig, candidates: Iterable[RunConfig], data: PreparedData, worker: Worker) -> None:
    """Raise the error of a chain after the search that fits none of its networks; nothing is trained or run.

    The search may end with any backbone of `candidates`: a chain that fits some of them is only a warning.
    """
    chain = config.compression
    if chain.in_trials or not chain.chain():
        return
    require_formats(chain.formats or ())
    own = config.model.backbone.name
    kinds = {own: config} | {
        item.model.backbone.name: item for item in candidates if item.model.backbone.name != own
    }
    errors: dict[str, AutoMLError] = {}
    for name, item in kinds.items():
        # Another kind of input would have to be read again.
        if item is not config and arrays_of(item) != arrays_of(config):
            continue
        try:
            # Weights make no difference, and reading them would take time.
            options = item.model.model_copy(update={"pretrained": None, "freeze": None})
            model = build_network(options, data.input, data.task.outputs, blank=True)
        except (AutoMLError, ValueError, RuntimeError):
            # Its own check tells why, where it is a candidate.
            continue
        context = context_of(item, data, model, worker)
        # There are no trials yet.
        teacher = TrainedNetwork(model, data.input, data.task)
        context = replace(context, best_networks=partial(_as_many, teacher))
        try:
            check_candidate(model, chain, context)
        except AutoMLError as error:
            errors[name] = error
        else:
            if not errors:
                return
            found = "; ".join(f"{other}: {error}" for other, error in errors.items())
            logger.warning("compression.steps: does not fit every backbone of the search space: %s", found)
            return
    if errors:
        first = next(iter(errors.values()))
        raise first if isinstance(first, ConfigError) else ConfigError(f"compression.steps: {first}")


def _as_many(network: TrainedNetwork, count: int) -> list[TrainedNetwork]:
    return [network] * count


def try_out(candidate: RunConfig, config: RunConfig, data: PreparedData, worker: Worker) -> None:
    """Build a candidate's data, network, loss and optimizer, and run one small batch through them."""
    if not same_data(candidate, config):
        data = load_data(candidate, worker)
    work, read = tried_out(candidate, data), data
    model, data = work.model, work.data
    training = candidate.training.for_items(len(data.train))
    loss = build_loss(training, task=data.task, codes=data.train.codes, feature_dim=model.feature_dim)
    loss.attach(model)
    check_sampling(training, data.task, data.train.codes)
    callbacks = callbacks_of(candidate, data, model, worker)
    if candidate.compression.in_trials:
        whole = make_model(candidate, read) if work.frozen else model
        check_candidate(whole, candidate.compression, context_of(candidate, read, whole, worker))
    build_optimizer(
        model,
        training,
        beside=[parameter for callback in callbacks for parameter in callback.parameters()],
    )
    check_resolution(model, data.input, training.progressive)
    Precision(training.amp, worker.device, flops_of_step(model, data.specs, training.batch_size))
    batch = next(data.train.batches(2, rng=np.random.default_rng(0), augment=work.augment))
    model.eval()
    with paddle.no_grad():
        features = model.features(*(paddle.to_tensor(array) for array in batch.inputs.values()))
        loss(model.head(features), features, paddle.to_tensor(batch.targets))


def data_facts(data: PreparedData) -> DataFacts:
    """Return sizes, task, arrays, skipped files and a fingerprint of the data's content."""
    return DataFacts(
        task=data.task.name,
        names=data.task.names,
        train=len(data.train),
        validation=len(data.validation),
        test=len(data.test),
        word=data.input.word,
        inputs=tuple(ArrayFacts(name=spec.name, shape=spec.shape, dtype=spec.dtype) for spec in data.specs),
        skipped_files=tuple((data.input.describe(item), reason) for item, reason in data.skipped),
        fingerprint=fingerprint(data),
        content=content_hash(data),
        changes=changes(),
    )


def fingerprint(data: PreparedData) -> str:
    """Return a hash of the targets, the names of the files and the statistics of the items of all splits."""
    hashed = hashlib.sha256()
    hashed.update("\n".join(data.task.names).encode("utf-8"))
    hashed.update(data.input.fitted.model_dump_json().encode("utf-8"))
    for split in (data.train, data.validation, data.test):
        hashed.update(np.ascontiguousarray(split.codes).tobytes())
        for source in split.sources or ():
            hashed.update(os.fsencode(os.path.basename(data.input.describe(source))))
    return hashed.hexdigest()[:16]


def content_hash(data: PreparedData) -> str:
    """Return a hash of the items that trials learn from and are compared on, whatever their files are called.

    Items of the test split are no part of it: trials are not compared on them.
    """
    everything = data.train.everything
    if everything.hashes is None:
        return ""
    found: list[Any] = [list(data.task.names), *([spec.name, spec.shape, spec.dtype] for spec in data.specs)]
    targets = targets_of(everything.targets)
    for split in (data.train, data.validation):
        rows = split.indices
        order = np.lexsort((targets[rows], everything.hashes[rows]))
        found.append([values[rows][order].tobytes().hex() for values in (everything.hashes, targets)])
    return digest(found)
