import json
import logging

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.models.pretrained import grow_head, load_checkpoint, load_pretrained
from paddle_automl.models.weight_files import read_weights
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.testing.backbones import image_input


def build(seed, classes=3, width=8, **model):
    config = validate(ModelConfig, {"backbone": {"name": "resnet", "width": width, "blocks": [1]}, **model})
    return build_network(config, image_input(1, 8, 8), classes, seed=seed)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "预训练 a.pdparams"
    save_weights(path, build(1).state_dict())
    return path


def test_matching_layers_are_loaded_and_the_rest_is_listed(file, caplog):
    with caplog.at_level(logging.INFO, logger="paddle_automl"):
        model = build(2, classes=5, pretrained=str(file))
    source = build(1)
    for name, tensor in source.backbone.state_dict().items():
        assert np.array_equal(model.backbone.state_dict()[name].numpy(), tensor.numpy()), name
    assert "fc.weight" not in model.loaded_names
    assert "backbone.stem.conv.conv.weight" in model.loaded_names
    assert "2 not" in caplog.text
    assert "fc.weight: has the shape [8, 3], the network needs [8, 5]" in caplog.text


def test_a_file_of_the_backbone_alone(tmp_path):
    save_weights(tmp_path / "b.pdparams", build(1).backbone.state_dict())
    model = build(2)
    report = load_pretrained(model, tmp_path / "b.pdparams")
    assert all(name.startswith("backbone.") for name in report.loaded)
    assert report.skipped == dict.fromkeys(("fc.weight", "fc.bias"), "is not in the file; keeps its initial value")


def test_reasons(tmp_path):
    state = {name: tensor.numpy() for name, tensor in build(1).state_dict().items()}
    state["fc.bias"] = np.zeros(3, np.int64)
    state["other"] = np.zeros(3, np.float32)
    state["backbone.stem.conv.conv.weight"] = state["backbone.stem.conv.conv.weight"].astype(np.float64)
    paddle.save(state, str(tmp_path / "c.pdparams"))
    report = load_pretrained(build(2), tmp_path / "c.pdparams")
    assert report.skipped["other"] == "is not a tensor of the network"
    assert report.skipped["fc.bias"] == "has the type int64, the network needs floating-point numbers"
    assert "backbone.stem.conv.conv.weight" in report.loaded


FOREIGN = {
    "torchvision": {
        "stem.conv.conv.weight": "conv1.weight",
        "stem.conv.norm.": "bn1.",
        "stages.0.0.residual.0.conv.weight": "layer1.0.conv1.weight",
        "stages.0.0.residual.0.norm.": "layer1.0.bn1.",
        "stages.0.0.residual.1.conv.weight": "layer1.0.conv2.weight",
        "stages.0.0.residual.1.norm.": "layer1.0.bn2.",
    },
    "PaddleClas": {
        "stem.conv.conv.weight": "stem.0.conv.weight",
        "stem.conv.norm.": "stem.0.bn.",
        "stages.0.0.residual.0.conv.weight": "blocks.0.conv0.conv.weight",
        "stages.0.0.residual.0.norm.": "blocks.0.conv0.bn.",
        "stages.0.0.residual.1.conv.weight": "blocks.0.conv1.conv.weight",
        "stages.0.0.residual.1.norm.": "blocks.0.conv1.bn.",
    },
}


@pytest.mark.parametrize("library", FOREIGN)
@pytest.mark.parametrize("suffix", [".pdparams", ".safetensors"])
def test_names_of_other_libraries(library, suffix, tmp_path):
    found = {}
    source = build(1).backbone.state_dict()
    for name, tensor in source.items():
        own = next(own for own in FOREIGN[library] if name.startswith(own))
        foreign = name.replace(own, FOREIGN[library][own])
        if library == "torchvision":
            foreign = foreign.replace("_mean", "running_mean").replace("_variance", "running_var")
        found[foreign] = tensor.numpy()
    found["fc.weight"] = np.zeros((1000, 8), np.float32)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        pytest.importorskip("safetensors.numpy").save_file(found, path)
    else:
        paddle.save(found, str(path))
    model = build(2, pretrained=str(path))
    assert len(model.loaded_names) == len(source)
    for name, tensor in source.items():
        assert np.array_equal(model.backbone.state_dict()[name].numpy(), tensor.numpy()), name


def safetensors_of(path, dtype, content):
    """A file with two numbers."""
    entry = {"dtype": dtype, "shape": [2], "data_offsets": [0, len(content)]}
    header = json.dumps({"fc.bias": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + content)
    return path


def test_bfloat16_is_widened_and_other_types_are_named(tmp_path):
    pytest.importorskip("safetensors")
    values = np.array([1.5, -2.0], "<f4")
    halves = (values.view("<u4") >> 16).astype("<u2").tobytes()
    found = read_weights(safetensors_of(tmp_path / "a.safetensors", "BF16", halves))
    assert found["fc.bias"].dtype == np.float32
    np.testing.assert_array_equal(found["fc.bias"], values)
    with pytest.raises(ConfigError, match=r"fc\.bias is of the type F8_E4M3, which is not read; convert it to F32"):
        read_weights(safetensors_of(tmp_path / "b.safetensors", "F8_E4M3", bytes(2)))


def test_a_damaged_safetensors_file(tmp_path):
    pytest.importorskip("safetensors.numpy")
    path = tmp_path / "weights.safetensors"
    for content in (b"", b"text" * 10, (1 << 40).to_bytes(8, "little") + b"{}", b"\2\0\0\0\0\0\0\0{}"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"model\.pretrained: .*weights\.safetensors: "):
            build(2, pretrained=str(path))


def test_nothing_that_fits_is_a_mistake(tmp_path, file):
    paddle.save({"x": np.zeros(3, np.float32)}, str(tmp_path / "d.pdparams"))
    with pytest.raises(ConfigError, match=r"model\.pretrained: no tensor in .*d\.pdparams fits"):
        build(2, pretrained=str(tmp_path / "d.pdparams"))
    with pytest.raises(ConfigError, match=r"model\.pretrained: .*none\.pdparams: cannot read"):
        build(2, pretrained=str(tmp_path / "none.pdparams"))


def test_a_checkpoint_must_be_complete(file):
    source, model = build(1), build(2)
    load_checkpoint(model, file)
    for name, tensor in source.state_dict().items():
        assert np.array_equal(model.state_dict()[name].numpy(), tensor.numpy()), name
    with pytest.raises(ConfigError, match=r"is not a checkpoint of this network:\n.*fc\.weight: has the shape"):
        load_checkpoint(build(2, classes=4), file)
    with pytest.raises(ConfigError, match="is not in the file"):
        load_checkpoint(build(2, norm="none"), file)


@pytest.mark.parametrize("head", ["linear", "mlp", "cosine"])
def test_a_head_grows(head):
    small, model, fresh = build(1, head=head), build(2, classes=5, head=head), build(2, classes=5, head=head)
    arrays = {name: tensor.numpy() for name, tensor in small.state_dict().items()}
    grow_head(model, arrays, [0, 4, 2], "run")
    for name, tensor in model.state_dict().items():
        own, first = tensor.numpy(), fresh.state_dict()[name].numpy()
        if name.startswith("backbone."):
            assert np.array_equal(own, first), name
        elif 5 in own.shape:
            assert np.array_equal(own[..., [0, 4, 2]], arrays[name]), name
            assert np.array_equal(own[..., [1, 3]], first[..., [1, 3]]), name
        else:
            assert np.array_equal(own, arrays[name]), name


def test_another_head_does_not_grow():
    arrays = {name: tensor.numpy() for name, tensor in build(1, width=16).state_dict().items()}
    with pytest.raises(ConfigError, match=r"run: the head cannot grow: fc\.weight is \[16, 3\] there and \[8, 5\]"):
        grow_head(build(2, classes=5), arrays, [0, 1, 2], "run")
    del arrays["fc.weight"]
    with pytest.raises(ConfigError, match=r"fc\.weight is no tensor there"):
        grow_head(build(2, classes=5), arrays, [0, 1, 2], "run")
