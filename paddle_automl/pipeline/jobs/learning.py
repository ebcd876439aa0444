"""What a training works on: a network and items, or a head and the features of a frozen backbone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import paddle

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmenter, build_augmenter
from paddle_automl.data.splits import PreparedData
from paddle_automl.models.feature_norms import Standard
from paddle_automl.models.network import Network, build_head
from paddle_automl.models.profile import Profile, profile
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.feature_views import ViewStore, has_views, with_views
from paddle_automl.pipeline.frozen import Features, FeatureStore, backbone_key, backbone_profile, weights_key
from paddle_automl.pipeline.jobs.base import Shared
from paddle_automl.pipeline.jobs.costs import network_costs
from paddle_automl.pipeline.jobs.networks import make_model
from paddle_automl.search.executors.base import Worker

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Learnable:
    """The network to train, the data to train it on, and the augmentation of its batches.

    `profile` is that of the whole network, also where only a head is trained (`frozen`).
    """

    model: Network
    data: PreparedData
    augment: Augmenter | None
    profile: Profile
    frozen: bool = False


def learnable(config: RunConfig, data: PreparedData, worker: Worker) -> Learnable:
    """Return what a training of `config` on `data` works on; computes features that are not stored yet."""
    if config.model.freeze is None:
        model = make_model(config, data)
        return Learnable(model, data, build_augmenter(config.data.augment, data.input), profile(model, data.specs))
    found = FeatureStore(worker.scratch).get(config.model, data, lambda: make_model(config, data))
    views: list[np.ndarray] = []
    if has_views(config):
        views = ViewStore(worker.scratch, config, data).get(lambda: make_model(config, data))
    return _on_features(config, data, found, views)


def tried_out(config: RunConfig, data: PreparedData) -> Learnable:
    """Return the same for a check of the options: without features, which are zeros here.

    A frozen backbone is built once for all options that use it.
    """
    if config.model.freeze is None:
        model = make_model(config, data)
        return Learnable(model, data, build_augmenter(config.data.augment, data.input), profile(model, data.specs))
    features, cost = _facts(_Setting(config, data))
    items = len(data.train.everything.codes)
    return _on_features(config, data, Features(np.zeros((items, features), dtype=np.float32), cost))


def _on_features(
    config: RunConfig, data: PreparedData, found: Features, views: Sequence[np.ndarray] = ()
) -> Learnable:
    model = build_head(config.model, found.values.shape[1], data.task.outputs, seed=config.seed)
    normalized, views = _normalized(model, found, data, views)
    given = normalized.data(data)
    kept, left_out = split_augmentations(config.data.augment)
    if left_out:
        logger.warning(
            "model.freeze: backbone computes the features of each item once, so data.augment leaves out %s; %s",
            ", ".join(left_out),
            _instead_of(left_out),
        )
    augment = with_views(build_augmenter(kept, given.input), views, given.input.specs[0].name)
    return Learnable(model, given, augment, found.whole(model), frozen=True)


def _normalized(
    model: Network, found: Features, data: PreparedData, views: Sequence[np.ndarray]
) -> tuple[Features, Sequence[np.ndarray]]:
    """Return features and views as the head of `model` gets them, so that no step need do it."""
    norm = model.feature_norm
    if norm is None:
        return found, views
    if isinstance(norm, Standard):
        norm.fit(found.values[data.train.indices])
    model.normalized = True
    with paddle.no_grad():
        arrays = [norm(paddle.to_tensor(np.asarray(array))).numpy() for array in (found.values, *views)]
    return Features(arrays[0], found.backbone), arrays[1:]


def split_augmentations(configs: tuple[PluginConfig, ...]) -> tuple[list[PluginConfig], list[str]]:
    """Return the augmentations that apply to features, and the names of the others."""
    kept = [
        item for item in configs if AUGMENTATIONS[item.name].stage == "batch" and not AUGMENTATIONS[item.name].takes
    ]
    return kept, [item.name for item in configs if item not in kept]


def _instead_of(left_out: Sequence[str]) -> str:
    """Return how features can be augmented in place of these augmentations of items."""
    mixing = [name for name in left_out if AUGMENTATIONS[name].stage == "batch"]
    single = [name for name in left_out if name not in mixing]
    ways = [f"data.feature_views.augment takes {', '.join(single)}"] if single else []
    if mixing:
        ways.append(f"mixup mixes features in place of {', '.join(mixing)}")
    return "; ".join(ways)


class _Setting:
    """A configuration and its data; two are equal if they have the same backbone, weights and input."""

    def __init__(self, config: RunConfig, data: PreparedData) -> None:
        self.config, self.data = config, data
        model = config.model
        self.key = (backbone_key(model), weights_key(model), data.input.fitted.model_dump_json())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Setting) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=16)
def _facts(setting: _Setting) -> tuple[int, Profile]:
    """Build the whole network once and return the number of its features, and the backbone's cost."""
    model = make_model(setting.config, setting.data)
    return model.feature_dim, backbone_profile(model, setting.data.specs)


def costs_of(
    work: Learnable, data: PreparedData, config: RunConfig, shared: Shared, worker: Worker
) -> dict[str, float]:
    """Return the costs of the whole network, for a frozen backbone too; `data` are the items themselves."""

    def whole() -> Network:
        return make_model(config, data) if work.frozen else work.model

    return network_costs(whole, data, config, shared, worker, facts=work.profile)


def judged_on(
    model: Network, data: PreparedData, config: RunConfig, worker: Worker, outputs: int | None = None
) -> tuple[Network, PreparedData]:
    """Return a network and data with which `model` can be evaluated: its head and stored features if possible.

    `model` is a whole network, `data` are the items. `outputs` is the number of its outputs, where its task is not
    that of the data.
    """
    store = FeatureStore(worker.scratch)
    if config.model.freeze is None or data.items is None or not store.holds(config.model, data):
        return model, data
    found = store.get(config.model, data, lambda: model)
    head = build_head(config.model, found.values.shape[1], outputs or data.task.outputs, seed=config.seed)
    head.set_state_dict({name: model.state_dict()[name] for name in head.state_dict()})
    head.eval()
    return head, found.data(data)
