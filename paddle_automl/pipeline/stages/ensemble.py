"""The stage that joins the best trials in one network, and keeps that only where validation gains by it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paddle_automl.core.errors import AutoMLError, MachineError, OutputError, TrialError
from paddle_automl.core.loading import load_config, validate
from paddle_automl.core.paths import readable
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of
from paddle_automl.pipeline.jobs.choose_members import Choice, ChooseRequest
from paddle_automl.pipeline.jobs.join import Joined, JoinRequest
from paddle_automl.pipeline.joining import Trained
from paddle_automl.pipeline.runs.folder import JOINED, RunFolder
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.choice import (
    ENSEMBLE,
    FINE_TUNE,
    best_run,
    readable_weights,
    source_of,
    winner,
)
from paddle_automl.pipeline.stages.estimates import MARGIN, START_S
from paddle_automl.pipeline.stages.refit import Refit, refit_config, refit_of, train_again
from paddle_automl.pipeline.stages.run import Run
from paddle_automl.search.configurations import Configuration
from paddle_automl.search.objective import excess_of
from paddle_automl.search.records import TrialRecord

FRACTION = 0.25
"""Most of the budget that is reserved for it."""
ASKED = 0.25
"""Time of a candidate's answers on validation, in epochs of the slowest of the best trials."""
LEAST_S = 3.0
"""Seconds without which it is not begun: its processes start, and the data are read."""
JOIN_S = 2.0
"""Seconds kept back to write the network of all members."""


@dataclass(frozen=True)
class _Winner:
    """The winner's network as validation judges it, and as it is exported without an ensemble."""

    judged: RunFolder
    final: RunFolder

    @property
    def trained_again(self) -> bool:
        """Whether the exported network is another one, of a training of its own."""
        return self.judged != self.final


@STAGES.register(ENSEMBLE)
class EnsembleStage(Stage):
    """Joins the best trials in one network if `ensemble` is set, and keeps it if it gains enough over the winner.

    The members are chosen on the winner's validation items. Where the winner was trained again, the other members
    are too, and where they have not learned from the validation items they must gain enough there, too.
    """

    place = 37

    def wanted(self, run: Run) -> bool:
        """Return whether the configuration asks for it."""
        return run.config.ensemble is not None

    def seconds(self, run: Run) -> float:
        """Return the time for the candidates' answers, and for members that are trained again.

        After trials that took longer than planned the refit has its time first.
        """
        options, epoch_s = run.config.ensemble, run.estimates.epoch_s
        if options is None:
            return 0.0
        needed = LEAST_S + START_S + JOIN_S
        if epoch_s is not None:
            needed += MARGIN * ASKED * options.candidates * epoch_s
        needed += (options.size - 1) * run.estimates.refit()
        most, left = FRACTION * (run.config.budget.time or 0.0), run.deadline.left()
        if left is not None:
            refit = 0.0 if Refit.name in run.results else run.estimates.refit()
            most = min(most, max(0.0, left - refit - sum(run.reserved(self).values())))
        return min(most, needed)

    def inputs(self, run: Run) -> Any:
        """Return the options, the winner's weights, and the other best trials."""
        assert run.config.ensemble is not None
        source = source_of(run, winner(run), refit_of(run))
        stat = source.weights.stat()
        return {
            "ensemble": run.config.ensemble.model_dump(mode="json"),
            "source": run.folder.relative(source),
            "weights": [stat.st_size, stat.st_mtime_ns],
            "candidates": [item.first.number for item in _best(run)],
            "limits": [
                *(item.model_dump(mode="json") for item in run.config.search.objectives),
                *(str(item) for item in run.config.search.constraints),
            ],
            "on": run.config.refit.data,
        }

    def is_intact(self, run: Run, result: Any) -> bool:
        """Return whether the kept network exists; one that lacked time, or failed, is tried again."""
        if not isinstance(result, dict) or result.get("again"):
            return False
        if result["kept"] is None:
            return True
        folder = run.folder.inside(result["kept"])
        return folder.config.is_file() and folder.result.is_file() and readable_weights(folder)

    def work(self, run: Run, until: float | None) -> dict[str, Any]:
        """Return the members and their gain, and the folder of their network if it is kept."""
        result: dict[str, Any] = {"kept": None, "choice": None, "reason": "", "again": False}
        # That of an earlier start may be of other members.
        shutil.rmtree(run.folder.in_ensemble(JOINED).path, ignore_errors=True)
        try:
            self._work(run, until, result)
        except (MachineError, OutputError):
            raise
        except AutoMLError as error:
            result["reason"], result["kept"] = f"not possible: {error}", None
            # With more time, or with a mistake mended, the next start may do better.
            result["again"] = until is not None or not isinstance(error, TrialError)
        if result["kept"] is None:
            run.observer.on_message(f"no ensemble: {result['reason']}; the winner alone is exported")
        return result

    def _work(self, run: Run, until: float | None, result: dict[str, Any]) -> None:
        options = run.config.ensemble
        assert options is not None
        chosen = winner(run)
        first = _winner(run, chosen)
        rest = [best_run(run, item) for item in _best(run) if item.first.number != chosen.first.number]
        others = {record.number: record for record in rest if record is not None}
        if first is None or not others:
            result["reason"] = "it needs at least two finished trials whose weights are kept"
            return
        if until is not None and _left(until) < LEAST_S:
            result["reason"], result["again"] = "no time was left for it", True
            return
        found = self._choice(run, chosen, first, list(others.values()), until)
        result["choice"] = found.model_dump(mode="json")
        result["reason"] = _verdict(found, run)
        if not found.kept:
            return
        told = result["reason"]
        members = self._final(run, chosen, first, [others[number] for number in found.members[1:]], until)
        folder = run.folder.in_ensemble(JOINED)
        request = JoinRequest(members, folder.path, found.task, tuple(found.tuned), found.metrics)
        job = job_of("join", request, run.folder.log(ENSEMBLE), run.config)
        joined = call(run.executor, job, Joined, run.observer.job("joining the members of the ensemble"), until)
        gain = joined.gain
        if first.trained_again and gain is not None and not gain.convinces(options.standard_errors):
            result["reason"] = (
                f"{told.removesuffix('kept')}its members, trained again as the winner was, gain too little: "
                f"{gain.before:.4f} -> {gain.after:.4f}, standard error {gain.standard_error:.4f}"
            )
            return
        result["kept"] = run.folder.relative(folder)
        run.observer.on_message(told)

    def _choice(
        self, run: Run, chosen: Configuration, first: _Winner, others: Sequence[TrialRecord], until: float | None
    ) -> Choice:
        assert run.config.ensemble is not None
        trials, left_out = list[Trained](), dict[str, str]()
        for item in others:
            try:
                trials.append(_trained(item.number, run.folder.trial(item.number)))
            except AutoMLError as error:
                left_out[str(item.number)] = str(error)
        within_s = None if until is None else _left(until)
        request = ChooseRequest(
            (_trained(chosen.first.number, first.judged), *trials),
            run.config.ensemble,
            run.shared,
            tuple(run.config.search.objectives),
            within_s,
        )
        job = job_of("choose_members", request, run.folder.log(ENSEMBLE), run.config)
        found = call(run.executor, job, Choice, run.observer.job("choosing the members of an ensemble"), until)
        found = found.model_copy(update={"left_out": {**left_out, **found.left_out}})
        for number, reason in found.left_out.items():
            run.observer.on_message(f"ensemble: trial {number} cannot be a member: {reason}")
        return found

    def _final(
        self, run: Run, chosen: Configuration, first: _Winner, others: Sequence[TrialRecord], until: float | None
    ) -> tuple[Trained, ...]:
        """Return the members as they are joined: trained again where the winner was."""
        members = [_trained(chosen.first.number, first.final)]
        for place, record in enumerate(others):
            folder = run.folder.trial(record.number)
            if first.trained_again:
                end = None
                if until is not None:
                    share = (_left(until) - JOIN_S) / (len(others) - place)
                    end = time.monotonic() + max(0.0, share)
                folder = self._train_again(run, record, end)
            members.append(_trained(record.number, folder))
        return tuple(members)

    def _train_again(self, run: Run, record: TrialRecord, until: float | None) -> RunFolder:
        """Train a trial's configuration as the winner's was in the refit."""
        folder, planned = run.folder.in_ensemble(f"trial_{record.number:04d}"), run.estimates.planned_epochs
        config = refit_config(run, record, planned)
        config = config.model_copy(update={"output": readable(folder.path.resolve())})
        shown = run.observer.job(f"training trial {record.number} again for the ensemble", planned)
        train_again(run, record, config, folder, until, shown)
        return folder


def scores_of(run: Run) -> tuple[dict[str, float] | None, str]:
    """Return what the export says of the ensemble: validation scores that were measured before, and a note.

    The scores are None where they can still be measured on the exported network itself.
    """
    choice = validate(Choice, run.results[ENSEMBLE]["choice"])
    note = f"one network of the trials {_listed(choice.members)}, whose answers are averaged"
    if read_record(run.folder.in_ensemble(JOINED)).on == "train":
        return None, note
    scores = {key: choice.metrics[key] for key in run.config.epoch_metrics() if key in choice.metrics}
    return scores, (
        f"{note}; they were trained on train+validation, the validation scores are those of the trials' own "
        "networks together, measured before"
    )


def _best(run: Run) -> list[Configuration]:
    """Return the best configurations within the limits, the winner first."""
    assert run.config.ensemble is not None
    objectives = run.config.search.objectives
    found = [item for item in run.study.settled() if excess_of(item.values, objectives) == 0]
    return found[: run.config.ensemble.candidates]


def _winner(run: Run, chosen: Configuration) -> _Winner | None:
    """Return the winner's networks, or None if none is left that has not learned from the validation items."""
    final = source_of(run, chosen, refit_of(run))
    tuned = run.results.get(FINE_TUNE) or {}
    if tuned.get("kept") is not None:
        name = max(tuned["gains"], key=lambda name: tuned["gains"][name]["gain"])
        return _Winner(run.folder.fine_tuned(name), final)
    refitted = final.path == run.folder.refit.path
    if refitted:
        # Members are compared as trials were trained: a refit is better than trials without a refit of their own.
        own = best_run(run, chosen)
        if own is not None:
            return _Winner(run.folder.trial(own.number), final)
        if run.config.refit.data == "train+validation" or run.config.data.folds:
            return None
    return _Winner(final, final)


def _trained(number: int, folder: RunFolder) -> Trained:
    return Trained(number, load_config(RunConfig, folder.config), folder.path)


def _verdict(found: Choice, run: Run) -> str:
    """Return what the choice has shown, in a sentence."""
    assert run.config.ensemble is not None
    if found.gain is None:
        return "no other of the best trials improves the winner's answers on validation"
    gain = found.gain
    text = (
        f"ensemble of the trials {_listed(found.members)}: {gain.metric} on {gain.items} validation items "
        f"{gain.before:.4f} -> {gain.after:.4f}, standard error of the difference {gain.standard_error:.4f}; "
    )
    if found.kept:
        return f"{text}kept"
    if found.beyond:
        return f"{text}not kept: its network is beyond the limits, with {found.beyond}"
    return f"{text}not kept{': that is within the noise' if gain.gain > 0 else ''}"


def _listed(numbers: Sequence[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _left(until: float) -> float:
    return until - time.monotonic()
