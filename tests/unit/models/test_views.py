import numpy as np
import paddle
import pytest

from paddle_automl.compression.base import STEPS
from paddle_automl.compression.distillation import DistillationConfig, distillation_of
from paddle_automl.compression.measuring import export_network
from paddle_automl.compression.teachers import NetworkTeacher
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.models.views import check_views, views_of
from paddle_automl.training.evaluation import evaluate
from tests.unit.compression.small import batch, context, digits, network, trained


def with_views(kind="mirror"):
    model = network(test_time_augmentation=kind)
    model.set_state_dict(trained().state_dict())
    model.eval()
    return model


def test_views_by_hand():
    image = paddle.arange(9, dtype="float32").reshape([1, 1, 3, 3])
    assert [view[0, 0, 0].numpy().tolist() for view in views_of("mirror", image)] == [[0, 1, 2], [2, 1, 0]]
    found = views_of("mirror_and_shifts", image)
    assert len(found) == 6
    # Shifted to the upper left: the last row and column are reflected.
    assert found[2][0, 0].numpy().tolist() == [[4, 5, 4], [7, 8, 7], [4, 5, 4]]
    assert found[4][0, 0].numpy().tolist() == [[4, 3, 4], [1, 0, 1], [4, 3, 4]]
    assert all(view.shape == image.shape for view in found)


@pytest.mark.parametrize("kind", ["mirror", "mirror_and_shifts"])
def test_outputs_are_the_mean_over_the_views(kind):
    (images,) = batch(4)
    plain, model = trained(), with_views(kind)
    expected = sum(plain(view).numpy() for view in views_of(kind, images)) / len(views_of(kind, images))
    np.testing.assert_allclose(model(images).numpy(), expected, atol=1e-5)


def test_a_training_step_sees_the_batch_alone():
    model, plain = with_views(), network()
    plain.set_state_dict(trained().state_dict())
    model.train(), plain.train()
    (images,) = batch(8)
    assert np.array_equal(model(images).numpy(), plain(images).numpy())


@pytest.mark.parametrize("name", ["paddle_inference", "onnx"])
def test_every_format_has_the_views(name, tmp_path):
    if name == "onnx":
        pytest.importorskip("onnxruntime")
    model = with_views("mirror_and_shifts")
    options = EXPORTERS[name].Config.model_validate({"name": name})
    exported = export_network(model, options, tmp_path / "model", digits(), threads=1)
    (images,) = batch(4)
    found = exported.session({"image": images.numpy()})
    expected = paddle.nn.functional.softmax(model(images)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["prune_filters", "quantize_post"])
def test_compression_keeps_them(name):
    model = with_views()
    step = STEPS[name](STEPS[name].Config.model_validate({"name": name}))
    given = context(original=model)
    step.check(model, given)
    outcome = step.apply(model, given).model
    assert outcome.test_time_augmentation == "mirror"
    assert evaluate(outcome, digits().validation, ["accuracy"])["accuracy"] > 0.5


def test_a_teacher_is_asked_about_all_views():
    config = DistillationConfig(test_time_augmentation="mirror")
    teacher, inputs = NetworkTeacher(trained(), digits().task), batch(4)
    found = distillation_of(config, teacher, network(), context()).teacher.soft_targets(inputs, 2.0)
    expected = sum(teacher.soft_targets([view], 2.0).numpy() for view in views_of("mirror", inputs[0])) / 2
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_what_has_no_views_is_refused():
    with pytest.raises(ConfigError, match=r"model\.x: 'mirror' needs images; leave it at none"):
        check_views("mirror", [TensorSpec("tokens", (None,), "int64")], "model.x")
    check_views("none", [TensorSpec("tokens", (None,), "int64")], "model.x")
    with pytest.raises(ConfigError, match="must be none with hints"):
        validate(DistillationConfig, {"hints": "attention", "test_time_augmentation": "mirror"})
