import numpy as np
import paddle
import pytest

from paddle_automl.core.describe import all_options
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.tasks.base import TASKS, RawTargets
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.losses.base import LOSSES
from paddle_automl.training.recipe import build_loss, build_optimizer, class_weights


def config(**options):
    return validate(TrainingConfig, options)


def test_defaults_and_descriptions():
    assert config().optimizer.name == "momentum"
    assert config().loss is None
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


def task_of(name, kind, values, names, **options):
    cls = TASKS[name]
    raw = RawTargets(kind, np.asarray(values), names)
    task = cls.fit(cls.Config(name=name, **options), raw)
    return task, task.encode(raw)


def test_weights_of_classes():
    task, codes = task_of("single_label", "classes", [0, 0, 0, 1], ("a", "b"))
    assert class_weights(config(), task, codes) is None
    assert class_weights(config(class_weights="balanced"), task, codes) == pytest.approx([4 / 6, 4 / 2])
    assert class_weights(config(class_weights=[1, 2.5]), task, codes) == pytest.approx([1, 2.5])
    with pytest.raises(ConfigError, match=r"class_weights: needs one number for each of the 2 classes, got 3"):
        class_weights(config(class_weights=[1, 2, 3]), task, codes)
    with pytest.raises(ConfigError, match="at least one weight must be above 0"):
        class_weights(config(class_weights=[0, 0]), task, codes)
    loss = build_loss(config(class_weights="balanced"), task=task, codes=codes, feature_dim=3)
    assert loss.class_weights.numpy() == pytest.approx([4 / 6, 4 / 2])


def test_weights_of_labels():
    task, codes = task_of("multi_label", "labels", [[1, 0], [0, 1], [0, 1], [0, 1]], ("a", "b"))
    assert class_weights(config(class_weights="balanced"), task, codes) == pytest.approx([3 / 1, 1 / 3])
    with pytest.raises(ConfigError, match=r"class_weights: needs one number for each of the 2 labels, got 1"):
        class_weights(config(class_weights=[1]), task, codes)
    loss = build_loss(config(class_weights="balanced"), task=task, codes=codes, feature_dim=3)
    assert loss.name == "binary_cross_entropy"
    assert loss.class_weights.numpy() == pytest.approx([3, 1 / 3])


def test_weights_where_there_is_nothing_to_weigh(monkeypatch):
    task, codes = task_of("regression", "numbers", [[1.0], [2.0]], ("u",))
    with pytest.raises(ConfigError, match=r"class_weights: the task regression has no classes"):
        build_loss(config(class_weights="balanced"), task=task, codes=codes, feature_dim=3)
    task, codes = task_of("single_label", "classes", [0, 1], ("a", "b"))
    monkeypatch.setattr(LOSSES["focal"], "takes_class_weights", False)
    with pytest.raises(ConfigError, match=r"class_weights: the loss 'focal' does not use them"):
        build_loss(config(class_weights="balanced", loss="focal"), task=task, codes=codes, feature_dim=3)


def test_the_loss_follows_the_task():
    single = task_of("single_label", "classes", [0, 1], ("a", "b"))
    numbers = task_of("regression", "numbers", [[1.0], [2.0]], ("u",))
    interval = task_of("regression", "numbers", [[1.0], [2.0]], ("u",), interval=0.9)

    def loss_of(pair, **options):
        return build_loss(config(**options), task=pair[0], codes=pair[1], feature_dim=3).name

    assert [loss_of(pair) for pair in (single, numbers, interval)] == ["cross_entropy", "mse", "quantile"]
    assert loss_of(numbers, loss="auto") == "mse"
    stated = config(epochs=3).for_task(numbers[0])
    assert (stated.loss.name, stated.epochs) == ("mse", 3)
    assert stated.for_task(numbers[0]) == stated == config(epochs=3, loss="mse")
    with pytest.raises(ConfigError, match="'mse' cannot train"):
        stated.for_task(single[0])
    assert loss_of(numbers, loss={"name": "huber", "delta": 0.5}) == "huber"
    # Options without a name are no choice of a loss.
    unnamed = config(loss={"label_smoothing": 0.1})
    assert loss_of(single, loss={"label_smoothing": 0.1}) == "cross_entropy"
    assert loss_of(numbers, loss={"label_smoothing": 0.1}) == loss_of(numbers, loss=unnamed.loss) == "mse"
    with pytest.raises(ConfigError, match="'cross_entropy' cannot train the task regression"):
        loss_of(numbers, loss={"name": "cross_entropy", "label_smoothing": 0.1})
    with pytest.raises(
        ConfigError,
        match=r"loss: 'mse' cannot train the task single_label; valid: auto, arcface, center_loss, cross",
    ):
        loss_of(single, loss="mse")
    with pytest.raises(ConfigError, match=r"loss: 'mae' cannot train the task regression; valid: auto, quantile$"):
        loss_of(interval, loss="mae")


def test_a_task_may_name_a_loss_that_does_not_know_it():
    class Toy(type(task_of("regression", "numbers", [[1.0], [2.0]], ("u",))[0])):
        """A task from elsewhere."""

        losses = ("cross_entropy",)

    task = Toy(task_of("regression", "numbers", [[1.0], [2.0]], ("u",))[0].fitted)
    assert build_loss(config(), task=task, codes=np.zeros((2, 1)), feature_dim=3).name == "cross_entropy"
    # What trains a task trains those derived from it.
    assert build_loss(config(loss="mae"), task=task, codes=np.zeros((2, 1)), feature_dim=3).name == "mae"
    task.losses = ()
    with pytest.raises(ConfigError, match="the task regression has no default loss; name one"):
        build_loss(config(), task=task, codes=np.zeros((2, 1)), feature_dim=3)


def test_decay_for_kernels_only_and_rates_for_loaded_layers(make_model):
    model = make_model()
    loaded = {"backbone.stem.conv.conv.weight", "backbone.stem.conv.norm.bias"}
    options = {"name": "momentum", "weight_decay": 0.1}
    optimizer = build_optimizer(model, config(optimizer=options), loaded=dict.fromkeys(loaded, 0.2))
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
