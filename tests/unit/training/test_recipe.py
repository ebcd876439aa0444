import numpy as np
import paddle
import pytest

from paddle_automl.core.describe import all_options
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.recipe import build_loss, build_optimizer, class_weights


def config(**options):
    return validate(TrainingConfig, options)


def test_defaults_and_descriptions():
    assert config().optimizer.name == "momentum"
    assert validate(TrainingConfig, config().model_dump()) == config()
    assert all(option.doc for option in all_options(TrainingConfig))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs: input should be greater than or equal to 1, got 0"),
        ({"epochs": 2.5}, "epochs: input should be a valid integer"),
        ({"epochs": 3, "lr_schedule": {"name": "cosine", "warmup_epochs": 3}}, "must be less than epochs=3, got 3"),
        ({"optimizer": "momentm"}, "unknown optimizer 'momentm'; did you mean 'momentum'"),
        ({"loss": {"name": "focal", "gama": 1}}, "loss.gama: unknown key; did you mean 'gamma'"),
        ({"ema": {"decay": 1.0}}, "ema.decay: input should be less than 1"),
        ({"amp": {"dtype": "int8"}}, "amp.dtype"),
        ({"class_weights": [-1.0]}, "class_weights"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        config(**options)


def test_class_weights():
    labels = np.array([0, 0, 0, 1])
    assert class_weights(config(), labels, 2) is None
    assert class_weights(config(class_weights="balanced"), labels, 2) == pytest.approx([4 / 6, 4 / 2])
    assert class_weights(config(class_weights=[1, 2.5]), labels, 2) == pytest.approx([1, 2.5])
    with pytest.raises(ConfigError, match=r"class_weights: needs one number for each of the 3 classes, got 2"):
        class_weights(config(class_weights=[1, 2]), labels, 3)
    with pytest.raises(ConfigError, match="at least one weight must be above 0"):
        class_weights(config(class_weights=[0, 0]), labels, 2)
    loss = build_loss(config(class_weights="balanced"), labels=labels, num_classes=2, feature_dim=3)
    assert loss.class_weights.numpy() == pytest.approx([4 / 6, 4 / 2])


def test_decay_for_kernels_only_and_rates_for_loaded_layers(make_model):
    model = make_model()
    loaded = {"backbone.stem.conv.conv.weight", "backbone.stem.conv.norm.bias"}
    options = {"name": "momentum", "weight_decay": 0.1}
    optimizer = build_optimizer(model, config(optimizer=options), loaded=loaded, loaded_rate=0.2)
    for name, parameter in model.named_parameters():
        if parameter.stop_gradient:
            continue
        assert (parameter.regularizer is not None) == (parameter.ndim > 1), name
        assert parameter.optimize_attr["learning_rate"] == (0.2 if name in loaded else 1.0), name
    assert optimizer.get_lr() == 0.05


def test_clipping_is_global(make_model):
    model = make_model()
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    options = {"name": "sgd", "learning_rate": 1.0}
    optimizer = build_optimizer(model, config(optimizer=options, clip_global_norm=0.5))
    (model(paddle.randn([4, 1, 8, 8])).square().sum() * 100).backward()
    optimizer.step()
    moved = sum(
        float(np.square(p.numpy() - before[name]).sum())
        for name, p in model.named_parameters()
        if not p.stop_gradient
    )
    assert np.sqrt(moved) == pytest.approx(0.5, rel=1e-3)
