"""The root of the configuration: it composes the sections and checks what lies between them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.distillation import TeachingConfig
from paddle_automl.core.paths import located
from paddle_automl.core.schema import Duration, Section
from paddle_automl.data.config import DataConfig
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.models.config import ModelConfig
from paddle_automl.search.config import SearchConfig
from paddle_automl.training.config import TrainingConfig

EpochMetric = Literal["accuracy", "macro_f1", "loss"]
EPOCH_METRICS: tuple[EpochMetric, ...] = ("accuracy", "macro_f1", "loss")
GOALS: dict[str, str] = {"accuracy": "maximize", "macro_f1": "maximize", "loss": "minimize"}
_DEVICE = re.compile(r"auto|cpu|gpu(:\d+(,\d+)*)?")


class Budget(Section):
    """How long a command may take."""

    time: Duration | None = None
    """Time for the whole command, from its start to the verified bundle: 90s, 3min, 1h30min.
    None: no limit."""


class Final(Section):
    """The last training of the winner, from scratch, before it is exported."""

    epochs: int | None = Field(default=None, ge=1)
    """Epochs of the last training. None: as many as a trial."""
    data: Literal["train", "train+validation"] = "train"
    """What it trains on. With train+validation no epoch can be chosen any more: their number is fixed
    beforehand, and the scores shown are those measured before."""
    progressive: bool = False
    """Whether it begins with the cheap epochs of training.progressive, as the trials do; otherwise it sees all data
    at full size from its first epoch."""


class RunConfig(Section):
    """A whole configuration: without `search.space` it describes one training run, with it a search."""

    output: str = "output/run"
    """Folder of the results, relative to the working directory."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random: splits, weights, order, augmentation, controllers."""
    device: str = "auto"
    """auto (a GPU where Paddle sees one), cpu, gpu, gpu:0 or gpu:0,1 (a device per worker in turn)."""
    metric: EpochMetric | None = None
    """Validation metric that decides which epoch is best. None: the first objective where it is measured
    each epoch, else accuracy."""
    visualdl: bool = True
    """Write VisualDL logs to OUTPUT/visualdl."""
    budget: Budget = Budget()
    """Limits of time."""
    data: DataConfig = DataConfig()
    """The data, its splits and its augmentation."""
    model: ModelConfig = ModelConfig()
    """The network."""
    training: TrainingConfig = TrainingConfig()
    """The recipe of training."""
    distillation: TeachingConfig | None = None
    """A teacher for every training of the configuration: a trained run, a bundle or a search's trials; none: the
    labels alone teach."""
    search: SearchConfig = SearchConfig()
    """The search over the options of the other sections."""
    final: Final = Final()
    """The last training of the winner."""
    compression: CompressionConfig = CompressionConfig()
    """The chain of compression, after a search or in each of its trials; without steps there is none."""
    deployment: DeploymentConfig = DeploymentConfig()
    """Export, proof and measurement."""

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        if not _DEVICE.fullmatch(value):
            raise ValueError("must be auto, cpu, gpu, gpu:N or gpu:N,M")
        return value

    @field_validator("output")
    @classmethod
    def _check_output(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must name a folder")
        return value

    @model_validator(mode="after")
    def _validation_stays_unseen(self) -> RunConfig:
        if self.compression.in_trials and self.final.data != "train":
            raise ValueError(
                "final.data: must be train with compression.in_trials: what it makes is measured on validation"
            )
        return self

    @model_validator(mode="after")
    def _maps_have_one_size(self) -> RunConfig:
        teaching, cheap = self.distillation, self.training.progressive
        if (
            teaching is not None
            and teaching.hints in ("fitnets", "attention")
            and cheap.epochs
            and cheap.resolution < 1
        ):
            raise ValueError(
                f"distillation.hints: {teaching.hints} compares maps of equal size, which a teacher lacks with "
                "training.progressive.resolution below 1; use hints: relations, or resolution: 1"
            )
        return self

    @property
    def folder(self) -> Path:
        """Return the output folder, as the system spells its name."""
        return located(self.output)

    def epoch_metric(self) -> EpochMetric:
        """Return the validation metric by which epochs are compared."""
        if self.metric is not None:
            return self.metric
        first = self.search.objectives[0].metric
        return next((name for name in EPOCH_METRICS if name == first), "accuracy")

    def as_dict(self) -> dict[str, Any]:
        """Return the whole configuration, defaults included, as plain mappings, lists and scalars."""
        return self.model_dump(mode="json")
