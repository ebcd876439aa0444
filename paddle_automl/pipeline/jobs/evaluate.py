"""Evaluation of a bundle or a run on one split of its data, or on all items of other data."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.schema import Section, Sequence
from paddle_automl.data.prepare import read_all
from paddle_automl.data.remembering import Remembered
from paddle_automl.data.splits import Split
from paddle_automl.deployment.explanation import telling
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.inputs.base import Input
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import changes, enter, load_data
from paddle_automl.pipeline.jobs.costs import rounded
from paddle_automl.pipeline.jobs.networks import trained_network
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import Figure, read_record
from paddle_automl.pipeline.runs.remembered import data_of_bundle, data_of_run
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import Evaluation, Mistake, Table, Task
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import epoch_metrics, measure
from paddle_automl.training.evaluation import predict

TELLING = 12
"""Most telling parts that are listed for each class or label."""
ALL = "all"
"""Instead of the name of a split: all items, regardless of splits."""


@dataclass(frozen=True)
class EvaluateRequest:
    """Evaluate `bundle`, or else the trained `run`, on the split `split` of the data of `config`, or on all of it.

    `mistakes` is how many of the worst ones to list; `runtime` is who runs a bundle (see `Predictor`). With
    `reads_alike` other data are read with the options that the network's own were read with.
    """

    config: RunConfig
    split: str
    bundle: Path | None = None
    run: Path | None = None
    mistakes: int = 10
    runtime: str = "auto"
    reads_alike: bool = True


class TableResult(Section):
    """One table of an evaluation; see `tasks.base.Table`."""

    title: str
    """What it shows."""
    columns: Sequence[str]
    """Names of its columns."""
    rows: Sequence[Sequence[Any]]
    """Its rows: texts, numbers, None for an empty cell."""


class EvaluateResult(Section):
    """Results of an evaluation."""

    items: int
    """Number of evaluated items."""
    word: str
    """The word for one of them."""
    metrics: dict[str, Figure]
    """Metrics of the task."""
    data: dict[str, Any]
    """The contents of the tables, for programs."""
    tables: Sequence[TableResult]
    """The tables, for people."""
    worst_mistakes: Sequence[dict[str, Any]]
    """The worst mistakes, for programs."""
    notes: Sequence[str] = ()
    """What has changed in the data since the training."""
    points: dict[str, list[list[float]]]
    """Arrays for plots, such as true and predicted values of a regression, by name."""


def run(request: EvaluateRequest, worker: Worker) -> EvaluateResult:
    """Return metrics, tables and the worst mistakes."""
    enter(worker)
    if request.bundle is not None:
        predictor = Predictor(request.bundle, threads=worker.threads, runtime=request.runtime)
        remembered = data_of_bundle(request.bundle, predictor.bundle.info.config)
        split = _split(request, predictor.input, predictor.task, worker, remembered)
        found = result_of(predictor.predict_split(split), split, request)
        return _with_telling(found, predictor, split)
    assert request.run is not None
    folder = RunFolder(request.run)
    trained, record = trained_network(request.config, folder), read_record(folder)
    remembered = data_of_run(folder, record)
    split = _split(request, trained.input, trained.task, worker, remembered, record.fold)
    return result_of(predict(trained.network, split), split, request)


def _split(
    request: EvaluateRequest,
    taken: Input,
    task: Task,
    worker: Worker,
    remembered: Remembered | None,
    fold: int | None = None,
) -> Split:
    """Return the items to evaluate, batched by the network's own input, their targets encoded by its own task."""
    config = request.config
    stated = taken.stated()
    if request.reads_alike and stated is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"input": stated})})
    if request.split == ALL:
        return read_all(config.data, input=taken, task=task, cache_dir=worker.scratch, remembered=remembered)
    split: Split = getattr(load_data(config, worker, fold=fold, remembered=remembered), request.split)
    if not len(split):
        why = "".join(f": {text}" for text in changes())
        raise DataError(f"data: has no {request.split} split{why}; choose another one with --split")
    return split.with_input(taken).with_task(task)


def result_of(outputs: np.ndarray, split: Split, request: EvaluateRequest) -> EvaluateResult:
    """Return the results of an evaluation for outputs [N, K] of the items of a split."""
    task, codes = split.task, split.codes
    keys = epoch_metrics(task, [request.config.metric] if request.config.metric else [])
    found: Evaluation = task.evaluation(outputs, codes)
    worst = task.worst(outputs, codes, request.mistakes)
    names = _names(split, worst)
    tables = [*found.tables]
    if worst:
        places = [name or f"number {item.index}" for item, name in zip(worst, names, strict=True)]
        tables.append(task.mistakes(worst, places, word=split.input.word))
    return EvaluateResult(
        items=len(split),
        word=split.input.word,
        metrics=rounded(measure(keys, Predictions(outputs, codes, task))),
        data=dict(found.data),
        tables=tuple(_table(table) for table in tables),
        notes=changes(),
        worst_mistakes=tuple(item.as_dict(name) for item, name in zip(worst, names, strict=True)),
        points={name: np.asarray(points).tolist() for name, points in found.points.items()},
    )


def _with_telling(result: EvaluateResult, predictor: Predictor, split: Split) -> EvaluateResult:
    """Return the result with the parts of items, such as n-grams, that say most for each class or label."""
    found = telling(predictor, split, TELLING)
    if not found:
        return result
    rows = tuple((name, "  ".join(repr(part) for part, _ in parts)) for name, parts in found.items())
    table = _table(Table("most telling parts, by what they add to the score on average", ("for", "parts"), rows))
    data = {"telling": {name: {part: round(value, 6) for part, value in parts} for name, parts in found.items()}}
    return result.model_copy(update={"tables": (*result.tables, table), "data": {**result.data, **data}})


def _names(split: Split, worst: Items[Mistake]) -> list[str | None]:
    """Return the names of the items of mistakes, texts themselves; None for items of arrays."""
    sources = split.sources
    media = split.input.media
    if sources is None and media is not None and media.kind == "text":
        return [split.input.describe(str(split.raw([item.index])[0])) for item in worst]
    return [None if sources is None else split.input.describe(sources[item.index]) for item in worst]


def _table(table: Table) -> TableResult:
    return TableResult(title=table.title, columns=table.columns, rows=tuple(tuple(row) for row in table.rows))
