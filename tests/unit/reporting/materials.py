"""Material of searches that never ran: any number of trials, classes and objectives, in a moment."""

from __future__ import annotations

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from paddle_automl.reporting.answers import Answers, MistakeRecord, TableRecord
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.reliability import reliability
from paddle_automl.search.objective import Objective
from paddle_automl.search.reading import StoredStudy
from paddle_automl.search.records import History
from paddle_automl.space import SearchSpace
from paddle_automl.tasks.base import RawTargets
from paddle_automl.tasks.single_label import SingleLabel

SPEC = {
    "model.backbone": {"resnet": {"width": {"choice": [8, 16, 32]}}, "vgg": {"depth": {"int": [1, 3]}}},
    "training.optimizer.learning_rate": {"log": [0.001, 0.1]},
}
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def stored(states=("complete",) * 20, metrics=("accuracy",), spec=SPEC, repeats=(), value_of=None) -> StoredStudy:
    """Return a study with a trial per state; `repeats` are numbers of trials that are run again."""
    space = SearchSpace.parse(spec)
    objectives = tuple(Objective.model_validate(metric) for metric in metrics)
    rng = np.random.default_rng(1)
    study = optuna.create_study(directions=[goal.goal for goal in objectives])
    chosen: list[dict] = []
    for number, state in enumerate([*states, *["complete"] * len(repeats)]):
        first = repeats[number - len(states)] if number >= len(states) else None
        params = space.sample(rng) if first is None else chosen[first]
        chosen.append(params)
        value = (value_of or quality)(params, rng)
        values = [value if goal.goal == "maximize" else 1 / value for goal in objectives]
        marks = {"seconds": 1.5, "baseline": number == 0}
        if state == "failed":
            marks["reason"] = "<b>out of memory</b>"
        else:
            marks |= {"metrics": dict(zip((goal.metric for goal in objectives), values, strict=True))}
            marks |= {"curve": {epoch: value * epoch / 4 for epoch in range(1, 5)}}
        if first is not None:
            marks |= {"repeat_of": first, "repeat": 1 + list(repeats[: number - len(states)]).count(first)}
        study.add_trial(
            create_trial(
                state=STATES[state],
                values=values if state == "complete" else None,
                params=params,
                distributions={name: space.distributions[name] for name in params},
                user_attrs=marks,
            )
        )
    trials = tuple(study.get_trials(deepcopy=False))
    return StoredStudy(space, objectives, History.of(trials, objectives), trials)


def quality(params, rng) -> float:
    """The backbone and the learning rate matter, the rest does not."""
    rate = np.log10(params["training.optimizer.learning_rate"])
    return float(0.6 + 0.2 * (params["model.backbone"] == "vgg") - 0.1 * abs(rate + 2) + rng.normal(0, 0.005))


def answers(names=("cat", "dog", "cow"), items=60, split="test", place="a.png", picture=None) -> Answers:
    """Return the answers of a network that is wrong now and then."""
    rng = np.random.default_rng(2)
    names = tuple(names)
    raw = RawTargets("classes", np.arange(len(names)), names)
    task = SingleLabel.fit(SingleLabel.Config(name="single_label"), raw)
    codes = np.arange(items) % len(names)
    outputs = rng.dirichlet(np.full(len(names), 0.3), items).astype(np.float32)
    outputs[np.arange(items), (codes + (np.arange(items) % 5 == 0)) % len(names)] += 1.2
    outputs /= outputs.sum(axis=1, keepdims=True)
    found = task.evaluation(outputs, codes)
    return Answers(
        bundle="0" * 64,
        split=split,
        items=items,
        evaluated=items,
        word="image",
        task="single_label",
        metrics={"accuracy": 0.9, "auc": None},
        tables=tuple(
            TableRecord(title=t.title, columns=t.columns, rows=tuple(tuple(row) for row in t.rows))
            for t in found.tables
        ),
        data={} if len(names) > 100 else dict(found.data),
        mistakes=tuple(
            MistakeRecord(
                place=place,
                truth=item.truth,
                answer=item.answer,
                detail=dict(item.detail),
                picture=picture,
                text=None,
            )
            for item in task.worst(outputs, codes, 4)
        ),
        reliability=reliability(task, outputs, codes),
    )


def bundle(names=("cat", "dog", "cow")) -> dict:
    """Return the content of a ``bundle.yaml``."""
    parity = {
        "samples": 20, "agreement": 1.0, "largest_difference": 1e-6, "raw_files": 5, "raw_largest_difference": 1e-7,
        "max_difference": 1e-5, "min_agreement": 1.0, "worst": f"image 3, '{names[0]}'", "verified": True,
    }  # fmt: skip
    latency = {
        "batch_size": 1,
        "p50_ms": 0.5,
        "p95_ms": 0.7,
        "runs": 50,
        "threads": 1,
        "processor": "a",
        "runtime": "b",
    }
    record = {"error_before": 0.05, "error_after": 0.02, "temperature": 1.2, "items": 20, "held_out": True}
    rejection = {
        "score": {"name": "energy"}, "keep": 0.95, "kept": {"paddle_inference": 0.95}, "items": 20, "auroc": 0.9,
        "refused": 0.6, "withheld": list(names[:1]), "tried": {"energy": {"auroc": 0.9}, "gen": {"auroc": 0.8}},
    }  # fmt: skip
    return {
        "exporter": {"name": "paddle_inference"},
        "metrics": {"test": {"accuracy": 0.9}, "costs": {"parameters": 1000.0}},
        "parity": parity,
        "latency": [latency, {**latency, "batch_size": 8}],
        "formats": [{"exporter": {"name": "onnx"}, "parity": {**parity, "verified": False}, "latency": [latency]}],
        "fastest": "onnx",
        "calibration": record,
        "rejection": rejection,
        "versions": {"paddle": "3.3.1"},
    }


def whole(study=None, names=("cat", "dog", "cow"), **changes) -> Material:
    """Return the material of a search that has everything."""
    study = study or stored(repeats=(3, 3, 5))
    given = {
        "name": "out",
        "config": {"output": "out", "budget": {"time": 60.0}, "search": {"trials": 20}, "seed": 0},
        "data": {"task": "single_label", "names": list(names), "train": 60, "validation": 20, "test": 20},
        "study": study,
        "objectives": study.objectives,
        "summary": {"seconds": 50.0, "ended": "done", "stage_seconds": {"check": 1.0, "search": 40.0}},
        "source": "trials/0003",
        "refit_curve": [{"epoch": epoch, "accuracy": 0.2 * epoch} for epoch in range(1, 5)],
        "ensemble": {
            "kept": None,
            "choice": {
                "members": [3, 1], "kept": False, "beyond": "", "left_out": {"2": "data.input.size is 8, not 9"},
                "gain": {"metric": "accuracy", "before": 0.9, "after": 0.91, "gain": 0.01, "standard_error": 0.02,
                         "items": 20},
            },
            "reason": "within the noise",
        },
        "bundle": bundle(names),
        "bundle_mb": 0.2,
        "compression": {
            "best": "prune", "best_bundle": "1_prune", "table": [{"step": "prune", "kept": "kept", "why": "small"}],
            "steps": [{"name": "before"}, {"name": "prune", "kept": True, "reason": "smaller"}],
        },
        "answers": answers(names).model_dump(mode="json"),
        "machine": {"python": "3.11"},
        "commands": {"search": "python -m paddle_automl search -c out/config.yaml"},
    }  # fmt: skip
    return Material(**{**given, **changes})
