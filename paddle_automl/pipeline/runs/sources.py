"""What ``-m PATH`` may name: a bundle, a search's output folder, a training run or one trial."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import BundleError
from paddle_automl.core.loading import load_config
from paddle_automl.core.paths import located
from paddle_automl.pipeline.config import GOALS, RunConfig
from paddle_automl.pipeline.runs.folder import STUDY_FILE
from paddle_automl.pipeline.runs.trials import CONFIG_FILE, RESULT_FILE, WEIGHTS_FILE

BUNDLE_FOLDER = "model"
BUNDLE_FILE = "bundle.yaml"
FINAL_FOLDER = "final"


@dataclass(frozen=True)
class TrainedRun:
    """A folder with a trained network: its configuration and its weights."""

    folder: Path
    config: RunConfig
    weights: Path

    @property
    def learned_validation(self) -> bool:
        """Return whether the network was trained on the validation part, too."""
        return self.result.get("on") == "train+validation"

    @property
    def result(self) -> dict[str, Any]:
        """Return what the training recorded: metrics, best epoch, seconds."""
        try:
            data: dict[str, Any] = json.loads((self.folder / RESULT_FILE).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return {}
        return data


def is_search(path: str | Path) -> bool:
    """Return whether a path is the output folder of a search."""
    return (located(path) / STUDY_FILE).is_file()


def find_bundle(path: str | Path) -> Path | None:
    """Return the bundle that a path names, itself or the one in its ``model`` folder, or None."""
    folder = located(path)
    for candidate in (folder, folder / BUNDLE_FOLDER):
        if (candidate / BUNDLE_FILE).is_file():
            return candidate
    return None


def open_run(path: str | Path) -> TrainedRun:
    """Return the trained run that a path names; raises BundleError saying what is missing.

    A search's output folder stands for its last training, the one that was exported.
    """
    folder = located(path)
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such folder; -m takes a bundle, a run or a trial folder")
    exported = folder / "stages" / "export.json"
    if exported.is_file():
        chosen = json.loads(exported.read_text(encoding="utf-8"))["result"]["source"]
        folder = folder / chosen if (folder / chosen).is_dir() else folder
    config, weights = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    if not config.is_file():
        raise BundleError(
            f"{folder}: holds neither {BUNDLE_FILE} nor {CONFIG_FILE}; -m takes a bundle, a run or a trial folder"
        )
    if not weights.is_file():
        raise BundleError(
            f"{folder}: its weights ({WEIGHTS_FILE}) are gone; a search keeps those of its best trials "
            f"(search.keep_checkpoints). Train it again: python tools/train.py -c {config}"
        )
    return TrainedRun(folder, load_config(RunConfig, config), weights)


def best_trials(search: str | Path, metric: str) -> list[Path]:
    """Return the trials of a search whose weights were kept, best first."""
    found = []
    for weights in (located(search) / "trials").glob(f"*/{WEIGHTS_FILE}"):
        try:
            result = json.loads((weights.parent / RESULT_FILE).read_text(encoding="utf-8"))
            score = float(result["metrics"][metric])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.append((-score if GOALS[metric] == "maximize" else score, weights.parent))
    return [folder for _, folder in sorted(found)]
