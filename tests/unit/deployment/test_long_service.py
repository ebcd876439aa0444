"""A process that predicts for days: memory, files and threads do not grow with the number of predictions."""

import gc
from pathlib import Path

import numpy as np
import psutil
import pytest

from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.predictor import Predictor
from tests.unit.deployment.conftest import file_data, make_net, quick

MOST_GROWTH = 8 << 20
"""Bytes; one small result per prediction that is never freed would be more."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a predictor of colored photos, and their paths, some of them damaged or missing."""
    folder = tmp_path_factory.mktemp("photos")
    data = file_data(folder / "files")
    bundle = create_bundle(
        make_net(3), folder=folder / "model", data=data, deployment=quick(), config={}, metrics={}
    )
    damaged = folder / "damaged.png"
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    return Predictor(bundle, threads=2), [*data.test.sources, damaged, folder / "missing.png"]


def used() -> tuple[int, int, int]:
    """Return the resident bytes, the open files and the threads of this process."""
    gc.collect()
    process = psutil.Process()
    return process.memory_info().rss, process.num_fds(), process.num_threads()


@pytest.mark.skipif(not hasattr(psutil.Process, "num_fds"), reason="counts file descriptors")
@pytest.mark.parametrize("count", [600, pytest.param(20_000, marks=pytest.mark.slow)])
def test_predictions_at_constant_memory(photos, count):
    predictor, files = photos
    contents = [file.read_bytes() for file in files if file.exists()]
    arrays = np.zeros((8, *predictor.input.shape), np.uint8)

    def predict(number: int) -> None:
        done = 0
        while done < number:
            found = predictor.predict(files)
            assert sum(item.error is not None for item in found) == 2
            found += predictor.predict(contents, batch_size=3)
            found += predictor.answers(predictor.predict_items(arrays))
            done += len(found)

    predict(max(400, count // 10))  # pools and caches fill
    before = used()
    predict(count)
    after = used()
    assert after[0] - before[0] < MOST_GROWTH
    assert after[1:] == before[1:]


def test_predictors_release_their_files(photos):
    folder = Path(photos[0].bundle.folder)
    Predictor(folder)
    before = used()[1]
    for _ in range(5):
        Predictor(folder)
    assert used()[1] <= before
