"""Folders of results: the only place with the names of their files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paddle_automl.core.files import digest, write_text
from paddle_automl.core.paths import readable
from paddle_automl.core.yaml_io import dump_yaml

if TYPE_CHECKING:
    from paddle_automl.core.schema import PluginConfig
    from paddle_automl.pipeline.config import RunConfig

BUNDLE_FILE = "bundle.yaml"
"""File that identifies a bundle; see `deployment.bundle.INFO`."""
SPLITS_FILE = "splits.json"
"""File with the items of the data; see `data.items.FILE`."""
FINE_TUNED = "fine_tuned"
"""Folder of a search with the networks of its stage `fine_tune`."""
ENSEMBLE = "ensemble"
"""Folder of a search with the networks of its stage of this name."""
JOINED = "joined"
"""Name in that folder of the network of all members."""
SEARCH_ONLY = ("search", "budget", "fine_tuning", "ensemble", "compression", "report")
"""Sections that the configuration of a single training does not have."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of a training (a run, a trial, a refit) or of a search, which contains those of its trials.

    Reading a name creates nothing.
    """

    path: Path

    # -- of a training ---------------------------------------------------------------------------------------------
    @property
    def config(self) -> Path:
        """The configuration: of a training or of a search."""
        return self.path / "config.yaml"

    @property
    def weights(self) -> Path:
        """The weights that were kept; `training.loop` writes them."""
        return self.path / "best.pdparams"

    @property
    def metrics(self) -> Path:
        """A line of metrics per epoch; `training.loop` writes it."""
        return self.path / "metrics.jsonl"

    @property
    def result(self) -> Path:
        """The result of the training; see `runs.record.TrainResult`."""
        return self.path / "result.json"

    @property
    def comparison(self) -> Path:
        """What a refit with new data has changed; see `jobs.compare.CompareResult`."""
        return self.path / "comparison.json"

    @property
    def fold_answers(self) -> Path:
        """The answers of the networks of a cross-validation; see `runs.fold_answers`."""
        return self.path / "fold_answers.npz"

    @property
    def rejection(self) -> Path:
        """The rejection score that was chosen for the network; see `jobs.withheld`."""
        return self.path / "rejection.json"

    @property
    def splits(self) -> Path:
        """The items of the data by content, with the split of each; the trials of a search share its list."""
        return self.path / SPLITS_FILE

    def input(self, fitted: PluginConfig) -> Path:
        """Return the folder with what an input has learned and is too large for a record, such as a vocabulary.

        The trainings of a search share it where they have learned the same.
        """
        return (self.search or self).path / "input" / digest(fitted.model_dump(mode="json"))

    @property
    def alone(self) -> Path:
        """Folder for the results of a trial's configuration that is trained by itself, apart from the search's
        record."""
        return self.path / "alone"

    # -- of a training or a search ---------------------------------------------------------------------------------
    @property
    def bundle(self) -> Path:
        """The folder of the exported network."""
        return self.path / "model"

    @property
    def bundle_file(self) -> Path:
        """The file that says that there is a bundle."""
        return self.bundle / BUNDLE_FILE

    @property
    def compressed(self) -> RunFolder:
        """The bundles of a chain of compression."""
        return RunFolder(self.path / "compressed")

    @property
    def cache(self) -> Path:
        """Decoded items, and the lock for measurements, of jobs on this machine."""
        return self.path / "cache"

    @property
    def visualdl(self) -> Path:
        """The logs of VisualDL."""
        return self.path / "visualdl"

    def log(self, name: str) -> Path:
        """Return the log of a job: that of the training in its own folder, others in ``logs``."""
        return self.path / "train.log" if name == "train" else self.path / "logs" / f"{name}.log"

    # -- of a search -----------------------------------------------------------------------------------------------
    @property
    def study(self) -> Path:
        """The record of the trials."""
        return self.path / "study.db"

    @property
    def data(self) -> Path:
        """The facts about the data of the search."""
        return self.path / "data.json"

    @property
    def best(self) -> Path:
        """The configuration of the best trial, for a training by itself."""
        return self.path / "best.yaml"

    @property
    def summary(self) -> Path:
        """The result of the search, for programs."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The report: one page for people."""
        return self.path / "report.html"

    @property
    def report_data(self) -> Path:
        """The report for programs."""
        return self.path / "report.json"

    @property
    def answers(self) -> Path:
        """The exported network's answers on the test split, for the report; see `reporting.answers`."""
        return self.path / "answers.json"

    @property
    def history_picture(self) -> Path:
        """Plot of the values of the trials."""
        return self.path / "search_history.png"

    @property
    def curves_picture(self) -> Path:
        """Plot of the learning curves of the trials."""
        return self.path / "learning_curves.png"

    @property
    def refit(self) -> RunFolder:
        """The refit of the winner; ``final`` in the folders of earlier versions."""
        new, old = self.path / "refit", self.path / "final"
        return RunFolder(old if old.is_dir() and not new.is_dir() else new)

    def fine_tuned(self, name: str) -> RunFolder:
        """Return the folder of the winner's network, trained further by a recipe of this name."""
        return RunFolder(self.path / FINE_TUNED / name)

    def in_ensemble(self, name: str) -> RunFolder:
        """Return the folder of the ensemble (JOINED), or of a member that was trained for it."""
        return RunFolder(self.path / ENSEMBLE / name)

    def trial(self, number: int) -> RunFolder:
        """Return the folder of a trial, such as ``trials/0007``."""
        return RunFolder(self.trials / f"{number:04d}")

    @property
    def trials(self) -> Path:
        """The folder of the trials' folders."""
        return self.path / "trials"

    def each_trial(self) -> list[RunFolder]:
        """Return the folders of all trials, by number."""
        return [RunFolder(path) for path in sorted(self.trials.glob("*")) if path.is_dir()]

    def manifest(self, stage: str) -> Path:
        """Return the record of a stage."""
        return self.path / "stages" / f"{stage}.json"

    def relative(self, other: RunFolder) -> str:
        """Return the name of a trial's or the refit's folder for `inside`, such as ``trials/0007``."""
        return other.path.relative_to(self.path).as_posix()

    def inside(self, relative: str) -> RunFolder:
        """Return the folder of a trial or of the refit from its name made by `relative`."""
        return RunFolder(self.path / relative)

    # -- questions and writing -------------------------------------------------------------------------------------
    @property
    def is_search(self) -> bool:
        """Whether it is the output folder of a search."""
        return self.study.is_file()

    @property
    def search(self) -> RunFolder | None:
        """The search that this folder of a trial or of the refit belongs to, or None."""
        above, parent = RunFolder(self.path.parent.parent), RunFolder(self.path.parent)
        places = (above.trials, above.path / FINE_TUNED, above.path / ENSEMBLE)
        if self.path.parent in places and above.is_search:
            return above
        return parent if self.path == parent.refit.path and parent.is_search else None

    @property
    def remembered(self) -> Path | None:
        """The list of the items that belongs to this folder: its own, or that of its search."""
        search = self.search
        found = [self.splits] if search is None else [self.splits, search.splits]
        return next((file for file in found if file.is_file()), None)

    def find_bundle(self) -> Path | None:
        """Return the bundle that this folder is or contains, or None."""
        for candidate in (self.path, self.bundle):
            if (candidate / BUNDLE_FILE).is_file():
                return candidate
        return None

    def write_config(self, config: RunConfig, *, clear: bool = False) -> None:
        """Write the configuration of a training, without the sections that only a search has.

        The folder is created if it is missing; with `clear` everything in it is deleted first.
        """
        if clear:
            shutil.rmtree(self.path, ignore_errors=True)
        write_text(self.config, dump_yaml(config_alone(config)))

    def write_search(self, config: RunConfig) -> None:
        """Write the whole configuration of a search."""
        write_text(self.config, dump_yaml(config.as_dict()))

    def write_best(self, config: RunConfig) -> None:
        """Write the configuration of the best trial, with an output folder next to the search's results."""
        again = readable((self.path / "best_again").resolve())
        write_text(self.best, dump_yaml({**config_alone(config), "output": again}))

    def drop_cached_items(self) -> None:
        """Delete decoded items: they can be large, with a file for each size that was searched."""
        for decoded in self.cache.glob("*.npy"):
            decoded.unlink(missing_ok=True)


def config_alone(config: RunConfig) -> dict[str, object]:
    """Return the configuration of one training as plain values, without the sections that only a search has.

    These include the chain of compression, unless each trial is compressed.
    """
    data = config.as_dict()
    compressed = data["compression"]["in_trials"]
    return {key: data[key] for key in data if key not in SEARCH_ONLY or (key == "compression" and compressed)}


def name_of(source: str) -> str:
    """Return a name of an exported network for a sentence, from its folder relative to the output."""
    if not source:
        return "a network whose weights are gone"
    folder, _, name = source.partition("/")
    if folder == FINE_TUNED:
        return f"the fine-tuned network ({name})"
    if folder == ENSEMBLE:
        return "the ensemble"
    return f"trial {int(name)}" if name.isdigit() else "the refit"
