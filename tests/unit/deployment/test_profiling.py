"""Where the time of predictions goes."""

import time

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.deployment import profiling
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.profiling import PARTS, profile


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(7):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(tmp_path / f"照片 {number}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    return sorted(tmp_path.iterdir())


def test_the_parts_sum_to_the_total(bundle, files, monkeypatch):
    monkeypatch.setattr(profiling, "LEAST_S", 0.2)
    slow = Predictor(bundle, runtime="paddle")
    network = slow.run

    def run(arrays):
        time.sleep(0.02)
        return network(arrays)

    monkeypatch.setattr(slow, "run", run)
    found = profile(slow, files, batch_size=3, load_ms=12.0)
    assert list(found.parts_ms) == list(PARTS)
    assert abs(found.sum_ms - found.total_ms) <= 0.05 * found.total_ms
    # Seven images in batches of three: three runs of at least 20 ms each.
    assert found.parts_ms["network"] >= 3 * 20 / 7
    assert (found.items, found.batch_size) == (7, 3)
    assert found.passes >= 2
    assert found.first_call_ms >= 20
    assert found.as_dict()["runtime"] == "Paddle Inference"
    assert {"format", "threads", "device", "processor", "load_ms"} <= set(found.as_dict())
    text = found.table()
    assert "Paddle Inference (paddle_inference), 1 thread(s), cpu" in text
    for word in (*PARTS, "first call", "total", "load"):
        assert word in text


def test_nothing_to_time(bundle, files):
    predictor = Predictor(bundle, runtime="paddle")
    with pytest.raises(DataError, match="none of the items can be read"):
        profile(predictor, [file for file in files if file.name == "broken.png"])
    with pytest.raises(ConfigError, match="batch_size: must be at least 1, got 0"):
        profile(predictor, files, batch_size=0)
