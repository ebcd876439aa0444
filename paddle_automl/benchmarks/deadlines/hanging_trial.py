"""A plugin that makes one trial of a search hang. It is copied and loaded from a file, never imported.

The trial is identified by the name of its process, set by the local executor. A file next to the plugin shows that
it hung: without it nothing was tested.
"""

import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation

TRIAL = "job-1"


@AUGMENTATIONS.register("hang_in_trial_1")
class HangInTrial1(Augmentation):
    """Changes nothing; in trial 1 it never returns."""

    def __init__(self, config: PluginConfig) -> None:
        self.config = config

    def __call__(
        self, values: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return the arguments, or sleep forever."""
        if multiprocessing.current_process().name == TRIAL:
            Path(__file__).with_suffix(".hangs").touch()
            while True:
                time.sleep(3600)
        return values, targets
