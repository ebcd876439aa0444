"""Imported once by the fork server, so that trials start without importing Paddle.

The settings of the process come first: Paddle reads them while it is imported.
"""

import gc

from paddle_automl.core.runtime import silence_known_warnings, tune_process

tune_process()
silence_known_warnings()

from paddle_automl.core import signals  # noqa: E402
from paddle_automl.models.backbones.base import BACKBONES  # noqa: E402
from paddle_automl.paddle_compat.device import disable_signal_handler  # noqa: E402
from paddle_automl.pipeline.jobs import check, evaluate, export, train  # noqa: E402, F401
from paddle_automl.tasks.base import TASKS  # noqa: E402
from paddle_automl.training.losses.base import LOSSES  # noqa: E402
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES  # noqa: E402
from paddle_automl.training.optimizers.base import OPTIMIZERS  # noqa: E402

for registry in (BACKBONES, LOSSES, LR_SCHEDULES, OPTIMIZERS, TASKS):
    # For any choice of a trial.
    registry.names()

# A system that ends a command (systemd, Slurm) asks all its processes; what becomes of trials the command decides.
disable_signal_handler()
signals.ignore_in_child()

# What is imported stays for good. Left to the collector, nearly half of a trial's start was one look at all of it,
# which also copied the memory that the trials share.
gc.collect()
gc.freeze()
