"""Batches: order, types, soft targets, and the same from memory as from files."""

import multiprocessing

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmenter, build_augmenter
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.data.stores import ArrayStore, SourceStore


@pytest.fixture(scope="module")
def digits():
    return prepare(DataConfig(), seed=0)


def options(name, **values):
    """Return the options of an augmentation."""
    return AUGMENTATIONS[name].Config.model_validate({"name": name, **values})


def rng(seed=0):
    return np.random.default_rng(seed)


def test_batches_in_order(digits):
    batches = list(digits.validation.batches(100))
    assert [len(batch.codes) for batch in batches] == [100, 100, 100, 59]
    labels = np.concatenate([batch.codes for batch in batches])
    assert (labels == digits.validation.codes).all()
    first = batches[0]
    assert first.inputs["image"].dtype == first.targets.dtype == np.float32
    assert first.codes.dtype == np.int64
    assert first.inputs["image"].shape == (100, 1, 8, 8)
    assert (first.targets == np.eye(10)[first.codes]).all()
    raw = digits.validation.raw(range(100))
    assert (first.inputs["image"] == digits.input.normalize(raw)).all()


def test_shuffled_batches_depend_on_the_generator_alone(digits):
    one, two, other = (list(digits.train.batches(64, rng=rng(seed))) for seed in (1, 1, 2))
    pairs = list(zip(one, two, strict=True))
    assert all((a.inputs["image"] == b.inputs["image"]).all() and (a.codes == b.codes).all() for a, b in pairs)
    assert (one[0].codes != other[0].codes).any()
    labels = np.concatenate([batch.codes for batch in one])
    assert (np.bincount(labels) == np.bincount(digits.train.codes)).all()
    assert (labels != digits.train.codes).any()


def test_drop_last(digits):
    sizes = [len(batch.codes) for batch in digits.validation.batches(100, drop_last=True)]
    assert sizes == [100, 100, 100]
    assert [len(batch.codes) for batch in digits.validation.batches(1000, drop_last=True)] == [359]


def test_wrong_calls(digits):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        digits.train.batches(0)
    with pytest.raises(ValueError, match="needs a random generator"):
        digits.train.batches(8, augment=build_augmenter([options("mixup")], digits.input))


def test_stages_run_in_order_before_and_after_normalization(digits):
    configs = [options("mixup"), options("random_crop", padding=1), options("cutmix", probability=1.0)]
    seen = []
    augmenter = Augmenter(
        [Watched(item, seen) for item in build_augmenter(configs, digits.input).augmentations], "image"
    )
    batch = next(digits.train.batches(32, rng=rng(), augment=augmenter))
    assert seen == [("random_crop", "uint8"), ("mixup", "float32"), ("cutmix", "float32")]
    assert batch.inputs["image"].dtype == batch.targets.dtype == np.float32
    np.testing.assert_allclose(batch.targets.sum(axis=1), 1, atol=1e-6)
    assert ((batch.targets > 0).sum(axis=1) > 1).any()
    assert (digits.train.codes[rng().permutation(len(digits.train))[:32]] == batch.codes).all()


class Watched:
    """An augmentation that notes its name and the type of the images it gets."""

    def __init__(self, augmentation, seen):
        self.augmentation, self.seen, self.stage = augmentation, seen, augmentation.stage

    def __call__(self, images, targets, generator):
        self.seen.append((self.augmentation.name, images.dtype.name))
        return self.augmentation(images, targets, generator)


def test_no_augmentation_is_none(digits):
    assert build_augmenter([], digits.input) is None


def test_stored_pixels_are_never_changed(digits):
    before = digits.train.raw(range(50)).copy()
    names = ("random_crop", "horizontal_flip", "rotation", "scale", "mixup", "cutmix")
    augmenter = build_augmenter([options(name) for name in names], digits.input)
    for _ in digits.train.batches(64, rng=rng(), augment=augmenter):
        pass
    assert (digits.train.raw(range(50)) == before).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_files_stream_the_same_batches_as_memory_holds(flowers, configure, workers):
    dataset = {"name": "image_folder", "root": str(flowers)}
    shared = {"size": 8, "augment": ["random_crop", "mixup"], "loader_workers": workers}
    memory = prepare(configure(dataset, **shared), seed=0)
    files = prepare(configure(dataset, in_memory=False, **shared), seed=0)
    assert files.input.fitted == memory.input.fitted
    augmenter = build_augmenter(configure(dataset, **shared).augment, memory.input)
    pairs = zip(
        memory.train.batches(5, rng=rng(), augment=augmenter),
        files.train.batches(5, rng=rng(), augment=augmenter),
        strict=True,
    )
    for expected, got in pairs:
        assert (expected.inputs["image"] == got.inputs["image"]).all()
        assert (expected.targets == got.targets).all()
    assert [len(batch.codes) for batch in files.train.batches(5)] == [5, 5, 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_breaks_while_streaming_is_named(flowers, configure, workers):
    config = configure(
        {"name": "image_folder", "root": str(flowers)}, in_memory=False, size=8, loader_workers=workers
    )
    data = prepare(config, seed=0)
    broken = data.train.sources[7]
    broken.write_bytes(b"")
    with pytest.raises(DataError, match="the file is empty") as caught:
        list(data.train.batches(3))
    assert str(broken) in str(caught.value)


def test_size_limit_decides_between_memory_and_files(flowers, configure):
    dataset = {"name": "image_folder", "root": str(flowers)}
    small = prepare(configure(dataset, size=8), seed=0)
    large = prepare(configure(dataset, size=300, in_memory_limit_mb=1), seed=0)
    assert isinstance(small.train.everything.store, ArrayStore)
    assert isinstance(large.train.everything.store, SourceStore)


def _stream_in_child(root, queue):
    config = DataConfig.model_validate(
        {"dataset": {"name": "image_folder", "root": str(root)}, "in_memory": False, "input": {"size": 8}}
    )
    data = prepare(config, seed=0)
    sizes = [len(batch.codes) for batch in data.train.batches(5)]
    queue.put((sizes, multiprocessing.get_start_method(allow_none=True)))


@pytest.mark.parametrize("daemon", [False, True])
def test_streaming_in_a_process_of_a_fork_server(flowers, daemon):
    """A trial's process: the loader forks its workers, and the start method is as before afterwards."""
    context = multiprocessing.get_context("forkserver")
    queue = context.Queue()
    child = context.Process(target=_stream_in_child, args=(flowers, queue), daemon=daemon)
    child.start()
    sizes, method = queue.get(timeout=120)
    child.join()
    assert sizes == [5, 5, 2]
    assert method == "forkserver"


def test_leaving_a_stream_early_ends_its_workers(flowers, configure):
    config = configure({"name": "image_folder", "root": str(flowers)}, in_memory=False, size=8)
    data = prepare(config, seed=0)
    before = len(multiprocessing.active_children())
    stream = data.train.batches(2)
    next(stream)
    assert len(multiprocessing.active_children()) > before
    stream.close()
    assert len(multiprocessing.active_children()) == before
