"""Plans: the networks, the data, the recipe of the first training, and the chains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import make_output_folder, replacing
from paddle_automl.data.datasets.idx import Idx
from paddle_automl.data.samples import Samples

NETWORKS: dict[str, dict[str, Any]] = {
    "resnet": {"name": "resnet", "width": 32, "blocks": [1, 1, 1]},
    "mobilenet": {"name": "mobilenet", "width": 24, "growth": 1.5, "blocks": [1, 2, 2, 2]},
}
IMAGE_SIZE = 32
FASHION_IMAGES = {"train": 8_000, "validation": 2_000}
QUICK_IMAGES = {"train": 1_500, "validation": 500}
CHAIN = "chain"
INT8_CASES = ("quantize_post", "quantize_aware")


@dataclass(frozen=True)
class Plan:
    """One network on one data set."""

    network: str
    dataset: str
    output: Path
    data: Path | None = None
    """Folder with the idx files of Fashion-MNIST."""
    quick: bool = False
    """Few images and epochs: the results are meaningless, but everything has run."""
    formats: tuple[str, ...] = ()
    """Further formats of each exported network, measured together with Paddle's."""

    @property
    def key(self) -> str:
        """The name in the JSON file and of the folder."""
        return f"{self.network}_{self.dataset}{'_quick' if self.quick else ''}"

    @property
    def folder(self) -> Path:
        """Folder of the trained network and its compressed bundles."""
        return self.output / self.key

    def run(self) -> dict[str, Any]:
        """Return the configuration of the first training."""
        digits = self.dataset == "digits"
        epochs = (24 if digits else 6) if not self.quick else 2
        return {
            "output": str(self.folder),
            "visualdl": False,
            "data": {
                "dataset": "digits" if digits else {"name": "npz", "path": str(self.archive.resolve())},
                "input": {"name": "image", "size": IMAGE_SIZE},
                "augment": [{"name": "random_crop", "padding": 2}] if digits else ["horizontal_flip"],
            },
            "model": {"backbone": NETWORKS[self.network]},
            "training": {
                "epochs": epochs,
                "batch_size": 64 if digits else 128,
                "optimizer": {"name": "momentum", "learning_rate": 0.05 if digits else 0.1, "weight_decay": 1e-4},
                "lr_schedule": {"name": "cosine", "warmup_epochs": 1},
                "loss": {"name": "cross_entropy", "label_smoothing": 0.05},
                "clip_global_norm": 5.0,
                "ema": {"decay": 0.99},
                "amp": {"dtype": "bfloat16"},
            },
        }

    def cases(self) -> dict[str, dict[str, Any]]:
        """Return the section `compression` of each case: three single steps, and the chain of all.

        Single steps have no gates, so that a drop is measured instead of rejected.
        """
        digits = self.dataset == "digits"
        epochs = (10 if digits else 4) if not self.quick else 1
        rounds = 20 if not self.quick else 2
        prune = {"name": "prune_filters", "flops": 0.5, "tune": {"epochs": epochs, "rate": 1.0}}
        distill = {
            "name": "distill",
            "tune": {"epochs": (3 if digits else 2) if not self.quick else 1, "rate": 0.1},
            "method": {"hints": "attention"},
        }
        aware = {"name": "quantize_aware", "tune": {"epochs": 2 if digits else 1, "rate": 0.02, "average": False}}
        post = {"name": "quantize_post", "analysis": False}
        speed = {"batch_sizes": [1, 8, 32], "gate_batch_size": 8, "rounds": rounds}
        open_gates = {"max_drop": 1.0, "min_agreement": 0.0}
        chains: dict[str, dict[str, Any]] = {
            "prune_filters": {"steps": [prune], **open_gates},
            "quantize_post": {"steps": [post], **open_gates},
            "quantize_aware": {"steps": [aware], **open_gates},
            CHAIN: {"steps": [prune, distill, aware]},
        }
        formats: dict[str, Any] = {"formats": list(self.formats)} if self.formats else {}
        return {name: {**chain, "speed": speed, **formats} for name, chain in chains.items()}

    @property
    def archive(self) -> Path:
        """The used items of Fashion-MNIST, as a NumPy archive."""
        return self.output / f"fashion_mnist{'_quick' if self.quick else ''}.npz"

    def prepare(self) -> None:
        """Write the archive if it is needed and missing; raises ConfigError without --data."""
        make_output_folder(self.output)
        if self.dataset == "digits" or self.archive.is_file():
            return
        if self.data is None:
            raise ConfigError("--data: is needed for fashion_mnist: the folder of its four idx files")
        samples = Idx(Idx.Config(name="idx", root=str(self.data))).load()
        arrays = _part_of(samples, QUICK_IMAGES if self.quick else FASHION_IMAGES)
        with replacing(self.archive) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)


def _part_of(samples: Samples, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Return the first images of the training file, and the whole test file, as the arrays of an archive."""
    assert samples.items is not None
    rows, start = {"test": samples.splits["test"]}, 0
    for split, size in sizes.items():
        rows[split] = samples.splits["train"][start : start + size]
        start += size
    images = {f"x_{split}": samples.items[chosen] for split, chosen in rows.items()}
    return {**images, **{f"y_{split}": samples.targets.values[chosen] for split, chosen in rows.items()}}
