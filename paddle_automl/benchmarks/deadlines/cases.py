"""The searches whose deadline is measured: each one is a command of a user."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import digest
from paddle_automl.core.loading import read_config

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools" / "search.py"
MINUTES = (1, 2, 5)
TRIALS = 1000
"""Number of trials: so many that the time ends the search."""
PLUGIN = Path(__file__).with_name("hanging_trial.py")


@dataclass(frozen=True)
class Case:
    """One search with a time budget."""

    name: str
    """digits, photos or hanging trial."""
    budget_s: int
    config: str
    """Configuration below ``configs``."""
    photos: str = ""
    """The absolute path of the folder of photos, for the case that needs one."""
    hangs: bool = False
    """Whether trial 1 hangs."""

    @property
    def content(self) -> str:
        """Return a hash of what the configuration says, with its bases."""
        return digest(read_config(str(ROOT / "configs" / self.config), {})[0])

    @property
    def allowed_s(self) -> float:
        """Return the latest allowed end of the command: 2% or 10 s after its budget, whichever is later."""
        return self.budget_s + max(0.02 * self.budget_s, 10.0)

    def command(self, output: Path) -> list[str]:
        """Return the words of the command."""
        changes = {"output": str(output), "budget.time": f"{self.budget_s}s", "search.trials": str(TRIALS)}
        if self.photos:
            changes["data.dataset.root"] = self.photos
        if self.hangs:
            changes["plugins"] = f"['{self.plugin(output)}']"
            changes["data.augment"] = "[{name: random_crop, padding: 1}, hang_in_trial_1]"
        overrides = [word for key, value in changes.items() for word in ("-o", f"{key}={value}")]
        return [sys.executable, str(TOOL), "-c", str(ROOT / "configs" / self.config), *overrides]

    def prepare(self, output: Path) -> None:
        """Write the files that the command needs next to its output folder."""
        if self.hangs:
            shutil.copyfile(PLUGIN, self.plugin(output))

    def plugin(self, output: Path) -> Path:
        """Return the file of the plugin that hangs."""
        return output.with_name(f"{output.name}_plugin.py")

    def hung(self, output: Path) -> bool:
        """Return whether a trial did hang."""
        return self.plugin(output).with_suffix(".hangs").exists()


def cases(photos: Path | None, quick: bool) -> list[Case]:
    """Return the searches, shortest first; raises ConfigError if commands or photos are missing."""
    if not TOOL.is_file():
        raise ConfigError(f"deadlines: runs the commands of a checkout, but there is no {TOOL}; clone one")
    if photos is not None and not photos.is_dir():
        raise ConfigError(f"--photos: {photos} is not a folder; give one with a folder of images per class")
    budgets = [60 * minutes for minutes in (MINUTES[:1] if quick else MINUTES)]
    found = [Case("digits", budget, "digits.yaml") for budget in budgets]
    if photos is not None:
        root = str(photos.resolve())
        found += [Case("photos", budget, "image_folder.yaml", photos=root) for budget in budgets]
    return [*found, Case("hanging trial", budgets[0], "digits.yaml", hangs=True)]
