"""The parity record must hold for a sound export and must fail for every kind of wrong one."""

import shutil
from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import ParityError
from paddle_automl.data.splits import Split
from paddle_automl.data.stores import ArrayStore
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.integrity import read_info
from paddle_automl.deployment.parity import ParityLimits, check_parity
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.samples import check_samples
from tests.unit.deployment.conftest import (
    NAMES,
    array_data,
    edited,
    file_data,
    make_net,
    make_task,
    quick,
    tampered,
)


def parity(net, bundle, data, *, raw_files=20, **limits):
    return check_parity(net, Predictor(bundle), data.validation, limits=ParityLimits(**limits), raw_files=raw_files)


def reseal(folder):
    """Make the sizes and hashes fit the tampered files, as somebody's script might."""
    Bundle(folder, read_info(folder)).updated()
    return folder


def with_input(bundle, folder, **changes):
    return edited(tampered(bundle, folder), lambda facts: facts["input"].update(changes))


def test_sound_export_of_arrays(net, bundle, data):
    net.train()
    record = parity(net, bundle, data, raw_files=7)
    assert net.training
    assert net.drop.training
    assert record.verified
    assert record.samples == 80
    assert record.agreement == 1.0
    assert 0 < record.largest_difference < 1e-5
    assert (record.raw_files, record.raw_source) == (7, "written files")
    assert record.raw_largest_difference < 1e-5
    assert record.describe().startswith("verified: 80 items and 7 files")


def test_rgb_arrays(tmp_path):
    data = array_data(channels=3)
    bundle = create_bundle(make_net(3), folder=tmp_path / "m", data=data, deployment=quick(), config={}, metrics={})
    assert bundle.verified
    assert bundle.info.parity.raw_files == 20
    assert check_samples(bundle).passed


def test_files_are_decoded_from_disk(tmp_path):
    data = file_data(tmp_path / "照片 photos")
    bundle = create_bundle(
        make_net(3), folder=tmp_path / "模 m", data=data, deployment=quick(), config={}, metrics={}
    )
    assert bundle.verified, bundle.info.parity.describe()
    assert (bundle.info.parity.raw_files, bundle.info.parity.raw_source) == (12, "original files")
    assert bundle.info.parity.worst_item.startswith("照片 photos/图 ")
    assert str(tmp_path) not in (bundle.folder / "bundle.yaml").read_text(encoding="utf-8")
    names = sorted(path.name for path in (bundle.folder / "samples").iterdir())
    assert len(names) == 6
    assert {name.rpartition(".")[2] for name in names} == {"jpg", "png", "json"}
    shutil.rmtree(tmp_path / "照片 photos")
    check = check_samples(bundle)
    assert check.passed
    assert check.samples == 5


def test_pixels_that_training_kept_but_the_file_no_longer_has(tmp_path):
    data = array_data(channels=3)
    bundle = create_bundle(make_net(3), folder=tmp_path / "m", data=data, deployment=quick(), config={}, metrics={})
    files = file_data(tmp_path / "photos", count=80).validation.sources
    store = ArrayStore(data.validation.raw(np.arange(80)))
    everything = replace(data.validation.everything, store=store, codes=data.validation.codes, sources=files)
    kept = Split(everything, np.arange(80))
    record = parity(make_net(3), bundle, replace(data, validation=kept))
    assert record.largest_difference < 1e-5
    assert record.raw_largest_difference > 1e-3
    assert not record.verified
    assert "read from its file" in record.worst
    assert record.worst_item == f"photos/{files[record.worst_index].name}"


@pytest.mark.parametrize("change", [{"mean": [0.45]}, {"std": [0.21]}])
def test_wrong_normalization_is_caught(net, bundle, data, tmp_path, change):
    folder = with_input(bundle, tmp_path / "b", **change)
    record = parity(net, folder, data)
    assert not record.verified
    assert record.largest_difference > 1e-3
    assert record.describe().startswith("NOT verified")
    assert not check_samples(folder).passed


def test_swapped_labels_are_caught(net, bundle, data, tmp_path):
    swapped = [NAMES[1], NAMES[0], NAMES[2]]
    folder = edited(tampered(bundle, tmp_path / "b"), lambda facts: facts["task"].update(names=swapped))
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in swapped), encoding="utf-8")
    record = parity(net, reseal(folder), data)
    assert not record.verified
    assert record.agreement < 0.9
    assert record.largest_difference > 0.1
    check = check_samples(folder)
    assert not check.passed
    assert check.describe().startswith("FAILED: 5 samples")


def test_stale_weights_are_caught(net, bundle, data, tmp_path):
    trained = make_net()
    trained.head.weight.set_value(trained.head.weight * 1.05)
    record = parity(trained, bundle, data)
    assert not record.verified
    folder = tampered(bundle, tmp_path / "b")
    other = create_bundle(trained, folder=tmp_path / "o", data=data, deployment=quick(), config={}, metrics={})
    shutil.copy(other.folder / "inference.pdiparams", folder / "inference.pdiparams")
    assert not check_samples(reseal(folder)).passed


def test_worst_is_where_the_difference_is(bundle, data):
    class OneWrong(nn.Layer):
        def __init__(self):
            super().__init__()
            self.net = make_net()
            self.seen = 0

        def forward(self, images):
            logits = self.net(images).numpy()
            if self.seen <= 70 < self.seen + len(logits):
                logits[70 - self.seen] += [0.0, 0.01, 0.0]
            self.seen += len(logits)
            return paddle.to_tensor(logits)

    record = parity(OneWrong(), bundle, data, raw_files=0)
    assert record.worst_index == 70
    assert record.worst_item is None
    assert record.worst.startswith("validation image 70, 'rose': network 0.")
    assert (record.raw_files, record.raw_source) == (0, "none")
    assert record.raw_largest_difference is None
    assert not record.verified


def test_agreement_is_judged_on_its_own(net, bundle, data):
    other = make_net()
    other.head.bias.set_value(other.head.bias + paddle.to_tensor([0.0, 0.5, 0.0]))
    loose = parity(other, bundle, data, max_difference=1.0)
    assert loose.agreement < 1
    assert not loose.verified
    assert parity(other, bundle, data, max_difference=1.0, min_agreement=0.1).verified


def test_rounding_beyond_the_limit_gets_an_advice(net, bundle, data):
    strict = parity(net, bundle, data, max_difference=1e-12)
    assert not strict.verified
    assert strict.describe().endswith("deployment.parity.max_difference sets the limit")
    assert "max_difference" not in parity(net, bundle, data).describe()


def test_ties_agree(bundle, data, tmp_path):
    net = make_net()
    net.head.weight.set_value(paddle.zeros([6, 3]))
    net.head.bias.set_value(paddle.to_tensor([0.0, 1e-6, -1e-6]))
    flat = create_bundle(net, folder=tmp_path / "m", data=data, deployment=quick(), config={}, metrics={})
    net.head.bias.set_value(paddle.to_tensor([1e-6, 0.0, -1e-6]))
    assert parity(net, flat, data).agreement == 1.0


def test_not_a_number_is_never_verified(bundle, data):
    net = make_net()
    net.head.bias.set_value(paddle.to_tensor([float("nan"), 0.0, 0.0]))
    record = parity(net, bundle, data)
    assert not record.verified
    assert record.largest_difference == 1.0
    assert record.not_finite == 100
    assert record.value is None
    assert "100 items without finite outputs" in record.describe()
    assert not parity(net, bundle, data, max_difference=None, min_agreement=0.0).verified


def test_nothing_to_compare_is_not_verified(net, bundle, data):
    empty = data.validation.with_indices(np.arange(0))
    record = check_parity(net, Predictor(bundle), empty)
    assert not record.verified
    assert record.worst == "no items to compare"


def test_other_classes_are_an_error(net, bundle, data):
    other = replace(data.validation.everything, task=make_task(("a", "b", "c")))
    with pytest.raises(
        ParityError, match=r"single_label with 3 names \('菊花 daisy', 'rose', 'tulip'\) is not the"
    ):
        check_parity(net, Predictor(bundle), Split(other, data.validation.indices))


def test_unverified_bundle_is_kept_and_marked(tmp_path, data):
    class Stubborn(nn.Layer):
        """Gives other logits once traced, as a network with a branch on `in_dynamic_mode` might."""

        def __init__(self):
            super().__init__()
            self.net = make_net()

        def forward(self, images):
            logits = self.net(images)
            if paddle.in_dynamic_mode():
                return logits
            return logits * 1.5

    bundle = create_bundle(
        Stubborn(), folder=tmp_path / "m", data=data, deployment=quick(samples=0), config={}, metrics={}
    )
    assert not bundle.verified
    assert not Bundle.open(tmp_path / "m").verified
    assert "validation image" in bundle.info.parity.worst
    assert not (tmp_path / "m" / "samples").exists()
    assert check_samples(bundle).describe() == "the bundle has no samples"
