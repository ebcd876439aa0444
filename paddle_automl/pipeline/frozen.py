"""Features of a frozen backbone: computed once for each item, stored by content, shared by all trials.

With `model.freeze: backbone` a backbone is a fixed function of the items. Its features [N, F] are computed without
augmentation and kept in the folder ``features`` of the output's cache, under a key made from everything that they
depend on: the content of all items, the weights, the backbone, and how items are read. Every process maps the same
file into memory. A training then sees only features, as data whose input is a vector.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import paddle

from paddle_automl.core.errors import ConfigError, DataError, OutputError
from paddle_automl.core.files import reason_of, sha256_of, write_json
from paddle_automl.core.paths import located
from paddle_automl.core.version import VERSION
from paddle_automl.data.augment.base import Augmenter
from paddle_automl.data.items import NOWHERE, UNREADABLE
from paddle_automl.data.splits import PreparedData, Split
from paddle_automl.data.stores import ArrayStore
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.inputs.features import FeatureInput
from paddle_automl.models import kernels
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import Network
from paddle_automl.models.profile import Profile, profile
from paddle_automl.models.published import KEY
from paddle_automl.models.views import views_of
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.pipeline.feature_files import locked, part_of, parts_of, save
from paddle_automl.pipeline.runs.starting import run_of_weights, weights_of_run

logger = logging.getLogger(__name__)

BATCH = 16
"""Items in one forward pass: more are not faster on a CPU, and need more memory."""

FEATURE_OPTIONS = frozenset({"backbone", "activation", "norm", "test_time_augmentation"})
"""Options of `model` that the features depend on, besides the weights."""

Progress = Callable[[int, int], bool]
"""Called with the number of items that are done and of all; returns whether to go on."""


@dataclass(frozen=True)
class Features:
    """Features of all items of a data set, and the size and cost of the backbone that computed them.

    `values` float32 ``[N, F]``, in the order of the data set; rows of unreadable items are zero.
    """

    values: np.ndarray
    backbone: Profile

    def data(self, data: PreparedData) -> PreparedData:
        """Return `data` with the features in place of the items, in the same splits and with the same task."""
        given = FeatureInput.of(self.values.shape[1])
        everything = replace(data.train.everything, store=ArrayStore(self.values), input=given)
        return data.with_items(Split(everything, data.train.indices))

    def whole(self, head: Network) -> Profile:
        """Return size and cost of the backbone with a head."""
        own = profile(head, FeatureInput.of(self.values.shape[1]).specs)
        return Profile(
            self.backbone.parameters + own.parameters,
            self.backbone.flops + own.flops,
            self.backbone.size_mb + own.size_mb,
        )


def backbone_profile(model: Network, specs: Sequence[TensorSpec]) -> Profile:
    """Return size and cost of a network's backbone for one item, in all views of test-time augmentation."""
    views = views_of(model.test_time_augmentation, paddle.to_tensor(specs[0].zeros()))
    once = profile(model.backbone, specs)
    return replace(once, flops=once.flops * len(views))


def weights_key(config: ModelConfig) -> str:
    """Return the SHA-256 of the weights that `config.pretrained` names; raises ConfigError if there are none."""
    published = config.published()
    if published is not None:
        return published.digest
    run = run_of_weights(config)
    if run is not None:
        return weights_of_run(run)
    try:
        return sha256_of(located(str(config.pretrained)))
    except OSError as error:
        raise ConfigError(f"{KEY}: {config.pretrained}: cannot read the weights: {reason_of(error)}") from None


def backbone_key(config: ModelConfig) -> str:
    """Return a text that tells frozen backbones apart whose features differ, with the name of their weights."""
    return config.model_dump_json(include={*FEATURE_OPTIONS, "pretrained"})


def features_key(config: ModelConfig, data: PreparedData, content: np.ndarray | None = None) -> str:
    """Return a hash of everything that the features of `data` depend on, or of other items with this content."""
    settings = (
        VERSION,
        weights_key(config),
        config.model_dump_json(include=set(FEATURE_OPTIONS)),
        data.input.name,
        data.input.fitted.model_dump_json(),
    )
    digest = hashlib.sha256(repr(settings).encode("utf-8"))
    digest.update(np.ascontiguousarray(content_now(data) if content is None else content).tobytes())
    return digest.hexdigest()[:32]


def content_now(data: PreparedData) -> np.ndarray:
    """Return the content of all items in the order of the data set as it is now, uint64 ``[N]``.

    `data.items` would be wrong: where a search goes on, it is the list of its beginning, and items may have come or
    gone, or have another place, since.
    """
    found = data.train.everything.hashes
    assert found is not None, "prepared data know the content of their items"
    return found


class FeatureStore:
    """A folder of features; processes that need the same ones wait for the first."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = None if folder is None else folder / "features"

    def get(
        self, config: ModelConfig, data: PreparedData, make: Callable[[], Network], progress: Progress | None = None
    ) -> Features:
        """Return the features of all items, computed with the network that `make` returns unless they are stored.

        `progress` is asked after each batch; the rest is computed all the same if it says no. A folder that cannot
        be written leads to a warning, and nothing is stored.
        """
        if self.folder is None:
            return _computed(make(), data, progress)
        file = self.folder / f"{features_key(config, data)}.npy"
        try:
            with locked(file):
                known = _stored(file, data)
                if known is None:
                    known = _store(file, _joined(file, data, make) or _computed(make(), data, progress))
                return known
        except (OSError, OutputError) as error:
            logger.warning("%s: features cannot be stored (%s)", self.folder, error)
            return _computed(make(), data, progress)

    def compute(
        self,
        config: ModelConfig,
        data: PreparedData,
        make: Callable[[], Network],
        part: tuple[int, int],
        progress: Progress | None = None,
    ) -> None:
        """Compute one of several parts, ``(index, number of parts)``, from which `get` takes them, if it is new."""
        if self.folder is None or self.holds(config, data):
            return
        file = part_of(self.folder / f"{features_key(config, data)}.npy", part)
        if file.exists():
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        save(file, forward(make(), data, np.array_split(readable_rows(data), part[1])[part[0]], progress))

    def take_over(
        self,
        config: ModelConfig,
        data: PreparedData,
        make: Callable[[], Network],
        earlier: Path,
        content: np.ndarray,
    ) -> None:
        """Take the features of items from the cache `earlier` of a training on items with this `content`.

        Those of other items are computed. Without features of the same weights there, nothing is done.
        """
        if self.folder is None or self.holds(config, data):
            return
        try:
            stored = np.load(earlier / "features" / f"{features_key(config, data, content)}.npy", mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return
        if stored.ndim != 2 or len(stored) != len(content):
            return
        places = {item: row for row, item in enumerate(content.tolist()) if item != UNREADABLE}
        found = np.array([places.get(item, NOWHERE) for item in content_now(data).tolist()], dtype=np.int64)
        known, model = found != NOWHERE, make()
        values = np.zeros((len(found), stored.shape[1]), dtype=np.float32)
        values[known] = stored[found[known]]
        rest = np.setdiff1d(readable_rows(data), np.flatnonzero(known))
        if len(rest):
            values[rest] = forward(model, data, rest, None)
        file = self.folder / f"{features_key(config, data)}.npy"
        with locked(file):
            _store(file, Features(values, backbone_profile(model, data.specs)))
        logger.info("features of %d items taken from %s, of %d computed", known.sum(), earlier, len(rest))

    def holds(self, config: ModelConfig, data: PreparedData) -> bool:
        """Return whether the features are stored."""
        if self.folder is None:
            return False
        return _stored(self.folder / f"{features_key(config, data)}.npy", data) is not None


def _computed(model: Network, data: PreparedData, progress: Progress | None) -> Features:
    """Compute the features of all items that can be read."""
    rows = readable_rows(data)
    values = np.zeros((len(content_now(data)), model.feature_dim), dtype=np.float32)
    values[rows] = forward(model, data, rows, progress)
    return Features(values, backbone_profile(model, data.specs))


def readable_rows(data: PreparedData) -> np.ndarray:
    """Return the rows of the data set whose items can be read, int64."""
    return np.flatnonzero(content_now(data) != UNREADABLE)


def forward(
    model: Network,
    data: PreparedData,
    rows: np.ndarray,
    progress: Progress | None,
    augment: Augmenter | None = None,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Return the features of the items at `rows` of the data set, float32 ``[len(rows), F]``.

    With `augment`, which draws from `rng`, they are those of changed items.
    """
    split = data.train.with_indices(rows)
    values = np.zeros((len(rows), model.feature_dim), dtype=np.float32)
    done = 0
    with evaluating(model), paddle.no_grad(), kernels.use("float32"):
        for batch in split.batches(BATCH, rng=rng, augment=augment):
            found = model.features(*(paddle.to_tensor(array) for array in batch.inputs.values()))
            values[batch.rows] = kernels.plain(found).astype("float32").numpy()
            done += len(batch.rows)
            if progress is not None:
                progress(done, len(rows))
    if not np.isfinite(values).all():
        raise DataError(f"{KEY}: the features of some items are not finite; the weights do not fit this input")
    return values


def _joined(file: Path, data: PreparedData, make: Callable[[], Network]) -> Features | None:
    """Return the features whose parts are all stored, and delete the parts; None if some are missing."""
    with parts_of(file) as parts:
        if not parts:
            return None
        try:
            stored = np.concatenate([np.load(path) for path in parts])
            values = np.zeros((len(content_now(data)), stored.shape[1]), dtype=np.float32)
            values[readable_rows(data)] = stored
        except (OSError, ValueError, IndexError, EOFError):
            return None
    return Features(values, backbone_profile(make(), data.specs))


def _stored(file: Path, data: PreparedData) -> Features | None:
    """Return stored features, or None if there are none, or damaged ones."""
    facts = file.with_suffix(".json")
    if not (file.exists() and facts.exists()):
        return None
    try:
        known = Profile(**json.loads(facts.read_text("utf-8")))
        values = np.load(file, mmap_mode="r")
    except (ValueError, TypeError, EOFError) as error:
        logger.warning("%s: is damaged (%s); the features are computed again", file, error)
        return None
    if values.dtype != np.float32 or values.ndim != 2 or len(values) != len(content_now(data)):
        logger.warning("%s: does not hold the features of these items; they are computed again", file)
        return None
    return Features(values, known)


def _store(file: Path, found: Features) -> Features:
    save(file, found.values)
    write_json(file.with_suffix(".json"), asdict(found.backbone))
    return Features(np.load(file, mmap_mode="r"), found.backbone)
