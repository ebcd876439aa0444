"""VisualDL's pages about a network, read back."""

import numpy as np
from visualdl import LogReader

from paddle_automl.core.loading import validate
from paddle_automl.data.prepare import prepare
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.progress.network_log import NAME, log_network


def test_images_mistakes_and_curves_are_written(tmp_path):
    augment = [{"name": "random_crop", "padding": 1}]
    config = validate(RunConfig, {"data": {"dataset": "digits", "augment": augment}})
    data = prepare(config.data, seed=0)
    judged = data.validation
    outputs = np.eye(10, dtype=np.float32)[judged.codes] * 0.9 + 0.01
    # One item is taken for the next class.
    outputs[0] = np.roll(outputs[0], 1)
    root = tmp_path / "visualdl"
    for _ in range(2):
        # A second time beside a running VisualDL, which needs the first file.
        log_network(root, config, data.train, judged, outputs, "validation")
    assert [path.name for path in tmp_path.iterdir()] == ["visualdl"]
    files = sorted((root / NAME).glob("vdlrecords.*"))
    reader = LogReader(file_path=str(files[-1]))
    tags = reader.get_tags()
    true = judged.task.truth(judged.codes[0])
    mistakes = [tag for tag in tags["image"] if tag.startswith("mistakes (validation)/01")]
    assert len(mistakes) == 1
    assert f"true {true}, predicted {(int(true) + 1) % 10}" in mistakes[0]
    assert len(reader.get_data("image", "augmented training batch")) == 4
    assert len(reader.get_data("text", "targets of the augmented batch")) == 4
    (told,) = reader.get_data("text", "augmentation of the batch")
    assert told.text.encoded_text_string == "random_crop"
    assert len(tags["pr_curve"]) == 11
    assert not list((root / NAME).glob("vdlgraph.*"))
