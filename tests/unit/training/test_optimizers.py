"""What single optimizers do beside their formula, and the two-pass steps of SAM in the trainer."""

import math
from contextlib import nullcontext

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.kinds import parameter_kinds, scale_free_kernels
from paddle_automl.models.network import build_network
from paddle_automl.testing.optimizers import parameter, step
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.learner import Learner
from paddle_automl.training.loop import train
from paddle_automl.training.optimizers.base import OPTIMIZERS, ParameterGroup
from paddle_automl.training.optimizers.muon import orthogonal
from paddle_automl.training.recipe import build_optimizer
from tests.unit.training.optimizer_steps import GRADIENTS, START, build, newton_schulz

RESCALED = [
    ({"name": "speednet", "width": 0.0625}, True),
    ({"name": "resnet", "width": 4, "blocks": [1, 1]}, True),
    ({"name": "mobilenet_v3", "width": 8, "blocks": [1, 1]}, False),
    ({"name": "vit", "width": 8, "heads": 2, "depth": 1}, False),
    ({"name": "resnet", "width": 4, "blocks": [1, 1], "order": "pre"}, False),
    ({"name": "densenet", "growth": 4, "layers": [1, 1]}, False),
]


class TestScheduleFree:
    def test_the_average_weighs_steps_by_the_square_of_their_rate(self):
        p = parameter([[1.0]])
        optimizer = build("schedule_free", [ParameterGroup([p])], learning_rate=0.1, weight_decay=0.0)
        step(optimizer, [p], [[[1.0]]])
        optimizer.set_lr(0.2)
        step(optimizer, [p], [[[2.0]]])
        before = p.numpy()
        # z: 0.9, then 0.9 - 0.2 * 2; x: 0.9, then with the weight 4 / 5 of the second step.
        mean = 0.9 + (0.5 - 0.9) * 0.8
        with optimizer.averaged():
            assert p.numpy() == pytest.approx(np.array([[mean]]), rel=1e-5)
        assert np.array_equal(p.numpy(), before)
        assert before == pytest.approx(np.array([[mean + 0.1 * (0.5 - mean)]]), rel=1e-5)

    def test_before_the_first_step_the_average_is_the_weights(self):
        p = parameter([[1.0]])
        optimizer = build("schedule_free", [ParameterGroup([p])], learning_rate=0.1)
        with optimizer.averaged():
            assert p.item() == 1.0

    @pytest.mark.parametrize("other", [{"ema": {}}, {"average_epochs": 2}])
    def test_a_second_average_is_refused(self, other):
        options = {"optimizer": "schedule_free", **other}
        with pytest.raises(ConfigError, match="only one average of the weights is possible, got optimizer"):
            validate(TrainingConfig, options)


class TestMuon:
    @pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5)])
    def test_the_short_form_is_the_published_one(self, shape):
        matrix = np.random.default_rng(1).normal(size=shape).astype("float32")
        got = orthogonal(paddle.to_tensor(matrix), 3).numpy()
        wide = matrix if shape[0] <= shape[1] else matrix.T
        expected = newton_schulz(wide, 3)
        np.testing.assert_allclose(got, expected if shape[0] <= shape[1] else expected.T, atol=2e-5)
        singular = np.linalg.svd(orthogonal(paddle.to_tensor(matrix), 6).numpy(), compute_uv=False)
        assert 0.6 < singular.min() < singular.max() < 1.3

    def test_each_kind_has_the_rate_of_its_rule(self, make_model):
        model = make_model()
        options = {"name": "muon", "learning_rate": 0.02, "descent_rate": 0.06}
        config = validate(TrainingConfig, {"optimizer": options, "rates": {"head": 5.0, "norm_bias": 2.0}})
        optimizer = build_optimizer(model, config, loaded={"fc.weight": 0.1})
        rates = {name: item.optimize_attr["learning_rate"] for name, item in model.named_parameters()}
        assert optimizer.get_lr() == 0.02
        assert rates["fc.weight"] == pytest.approx(3 * 5 * 0.1)
        assert rates["fc.bias"] == pytest.approx(3)
        assert rates["backbone.stem.conv.norm.bias"] == pytest.approx(6)
        assert rates["backbone.stem.conv.conv.weight"] == 1.0

    def test_decoupled_rates_are_the_published_ones(self, make_model):
        model = make_model()
        options = {"name": "muon", "units": "decoupled", "learning_rate": 0.24, "descent_rate": 416.0}
        options["descent_momentum"] = 0.85
        config = validate(TrainingConfig, {"batch_size": 500, "optimizer": options, "rates": {"head": 12.64}})
        build_optimizer(model, config)
        steps = {name: 0.24 * item.optimize_attr["learning_rate"] for name, item in model.named_parameters()}
        assert steps["backbone.stem.conv.conv.weight"] == pytest.approx(0.24 * 0.5)
        # The published rates are those of the sum of the losses.
        assert steps["fc.weight"] == pytest.approx(0.67 * 500, rel=2e-3)
        assert steps["backbone.stem.conv.norm.bias"] == pytest.approx(0.053 * 500, rel=2e-3)

    def test_rescaled_kernels_need_a_normalization(self, make_model):
        muon = {"name": "muon", "normalize_kernels": True}
        for optimizer in (muon, {"name": "lookahead", "base": muon}):
            config = validate(TrainingConfig, {"optimizer": optimizer})
            build_optimizer(make_model(), config)
            with pytest.raises(ConfigError, match="normalize_kernels: must be false for a network without norm"):
                build_optimizer(make_model(norm="none"), config)

    def test_head_and_vectors_take_nesterov_steps(self):
        head, vector, matrix = parameter([[1.0]]), parameter([1.0]), parameter([[1.0]])
        group = ParameterGroup([head, vector, matrix], kinds=["head", "bias", "matrix"], factors=[2.0, 3.0, 1.0])
        optimizer = build("muon", [group], learning_rate=0.1, descent_rate=0.2, descent_momentum=0.9)
        for _ in range(2):
            step(optimizer, [head, vector, matrix], [[[1.0]], [1.0], [[1.0]]])
        moved = 1.9 + (1 + 0.9 * 1.9)
        assert head.item() == pytest.approx(1 - 0.4 * moved, rel=1e-5)
        assert vector.item() == pytest.approx(1 - 0.6 * moved, rel=1e-5)
        one = float(newton_schulz(np.ones((1, 1)), 5)[0, 0])
        assert matrix.item() == pytest.approx(1 - 0.1 * 2 * one, rel=1e-4)

    def test_kernels_are_brought_to_their_norm(self):
        kernel = parameter(np.random.default_rng(2).normal(size=(4, 2, 3, 3)))
        group = ParameterGroup([kernel], scale_free=[True])
        optimizer = build("muon", [group], learning_rate=1e-6, normalize_kernels=True)
        step(optimizer, [kernel], [np.ones((4, 2, 3, 3))])
        assert float(kernel.norm()) == pytest.approx(2.0, rel=1e-4)

    @pytest.mark.parametrize(("backbone", "all_of_them"), RESCALED)
    def test_only_kernels_without_a_scale_are_rescaled(self, digits, backbone, all_of_them):
        """Others would change the network: loaded weights would be lost in the first step."""
        model = build_network(validate(ModelConfig, {"backbone": backbone}), digits.input, 10, seed=0)
        free = scale_free_kernels(model)
        kernels = {name for name, kind in parameter_kinds(model).items() if kind == "kernel"}
        assert (free == kernels - {"backbone.whiten.weight"}) == all_of_them
        muon = {"name": "muon", "normalize_kernels": True, "learning_rate": 1e-9, "descent_rate": 1e-9}
        optimizer = build_optimizer(model, config(optimizer=muon))
        images = paddle.to_tensor(next(digits.train.batches(8)).inputs["image"])
        model.train()
        before = model(images)
        before.sum().backward()
        optimizer.step()
        with paddle.no_grad():
            np.testing.assert_allclose(model(images).numpy(), before.numpy(), atol=2e-4)
        for name in free:
            kernel = model.state_dict()[name]
            assert float(kernel.square().sum()) == pytest.approx(kernel.shape[0], rel=1e-4)


def test_own_rules_step_float32_copies_of_low_precision():
    for name, moved in (("lion", 0.001), ("muon", 0.001)):
        p = paddle.create_parameter([1], "bfloat16", default_initializer=paddle.nn.initializer.Constant(1.0))
        options = {"descent_momentum": 0.0, "descent_rate": moved} if name == "muon" else {"weight_decay": 0.0}
        optimizer = build(name, [ParameterGroup([p])], learning_rate=moved, **options)
        for _ in range(8):
            p.sum().backward()
            optimizer.step()
            optimizer.clear_grad()
        # One such step alone is lost in the rounding of bfloat16.
        assert p.astype("float32").item() == pytest.approx(1 - 8 * moved, abs=0.003)
        assert p.astype("float32").item() < 0.995


def test_an_earlier_state_can_be_put_back():
    for name in ("lion", "muon", "sam"):
        p = parameter(START)
        optimizer = build(name, [ParameterGroup([p])], learning_rate=0.1)
        step(optimizer, [p], [GRADIENTS[0]])
        state = {key: item.clone() for key, item in optimizer.state_dict().items() if hasattr(item, "clone")}
        kept = p.clone()
        step(optimizer, [p], [GRADIENTS[1]])
        expected = p.numpy()
        optimizer.set_state_dict(state)
        paddle.assign(kept, output=p)
        step(optimizer, [p], [GRADIENTS[1]])
        assert (p.numpy() == expected).all(), name


class TestSam:
    def test_where_nothing_changes_any_more_it_rests(self):
        """`training.ends` may have ended all kinds of parameters."""
        p = parameter([[1.0, 2.0]])
        optimizer = build("sam", [ParameterGroup([p])], base="sgd", learning_rate=0.1, radius=0.5)
        p.stop_gradient = True
        optimizer.climb()
        optimizer.descend()
        optimizer.step()
        assert p.numpy().tolist() == [[1.0, 2.0]]

    def test_a_step_by_hand(self):
        p = parameter([3.0, 4.0])
        optimizer = build("sam", [ParameterGroup([p])], base="sgd", learning_rate=0.1, radius=0.5)
        (p * p).sum().backward()
        optimizer.climb()
        # The gradient (6, 8) has the norm 10.
        np.testing.assert_allclose(p.numpy(), [3.3, 4.4], rtol=1e-6)
        (p * p).sum().backward()
        optimizer.descend()
        assert p.numpy().tolist() == [3.0, 4.0]
        optimizer.step()
        np.testing.assert_allclose(p.numpy(), [3 - 0.66, 4 - 0.88], rtol=1e-6)

    def test_adaptive_by_hand(self):
        p = parameter([3.0, -1.0])
        optimizer = build("sam", [ParameterGroup([p])], base="sgd", radius=0.5, adaptive=True)
        step_of = paddle.to_tensor([1.0, 4.0])
        (p * step_of).sum().backward()
        optimizer.climb()
        # |p| g = (3, 4) has the norm 5; p^2 g = (9, 4).
        np.testing.assert_allclose(p.numpy(), [3 + 0.5 * 9 / 5, -1 + 0.5 * 4 / 5], rtol=1e-6)

    def test_in_the_trainer_it_is_the_gradient_at_the_other_point(self, digits, make_model):
        options = {"epochs": 1, "batch_size": 32, "gradient_centralization": False}
        plain = {"name": "sgd", "learning_rate": 0.1}
        wrapped = {"name": "sam", "base": "sgd", "learning_rate": 0.1}
        models = [make_model(seed=1), make_model(seed=1)]
        sam = Learner.on(models[0], digits, config(**options, optimizer=wrapped))
        batch = next(digits.train.batches(32))
        inputs, targets = [paddle.to_tensor(batch.inputs["image"])], paddle.to_tensor(batch.targets)
        # By hand with another learner: gradient, climb, gradient, back, step.
        other = Learner.on(models[1], digits, config(**options, optimizer=plain))
        for learner in (sam, other):
            learner.begin(1)
        loss = sam.step(inputs, targets)
        first = other._forward(tuple(inputs), targets)
        assert float(loss) == pytest.approx(float(first), rel=1e-6)
        first.backward()
        live = [item for item in models[1].parameters() if not item.stop_gradient]
        norm = math.sqrt(sum(float(item.grad.square().sum()) for item in live))
        kept = [item.clone() for item in live]
        statistics = {name: item.numpy().copy() for name, item in models[1].state_dict().items() if "_mean" in name}
        with paddle.no_grad():
            for item in live:
                item.add_(item.grad * (0.05 / norm))
        other.optimizer.clear_grad(set_to_zero=False)
        other._forward(tuple(inputs), targets).backward()
        for item, before in zip(live, kept, strict=True):
            expected = before.numpy() - 0.1 * item.grad.numpy()
            item.set_value(expected)
        got = models[0].state_dict()
        for name, item in models[1].named_parameters():
            if not item.stop_gradient:
                np.testing.assert_allclose(got[name].numpy(), item.numpy(), atol=2e-6, err_msg=name)
        assert statistics
        for name, before in statistics.items():
            np.testing.assert_allclose(got[name].numpy(), before, atol=1e-6, err_msg=name)


def config(**options):
    return validate(TrainingConfig, options)


class TestBase:
    def test_rate_and_decay_are_those_of_the_base_unless_stated(self):
        optimizer = config(optimizer={"name": "sam", "base": {"name": "adamw", "beta1": 0.8}}).optimizer
        assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.base.beta1) == (0.001, 0.01, 0.8)
        optimizer = config(optimizer={"name": "lookahead", "learning_rate": 0.3}).optimizer
        assert (optimizer.learning_rate, optimizer.base.name) == (0.3, "momentum")

    def test_what_is_written_reads_the_same(self):
        first = config(optimizer={"name": "lookahead", "learning_rate": 0.3, "base": "lion"})
        written = first.model_dump(mode="json")
        assert written["optimizer"]["weight_decay"] == 0.1
        assert not {"learning_rate", "weight_decay"} & written["optimizer"]["base"].keys()
        assert validate(TrainingConfig, written) == first

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"base": "sam"}, "'sam' cannot be the base of another optimizer; valid: adadelta, adagrad, adam,"),
            ({"base": {"name": "sgd", "learning_rate": 1.0}}, "set learning_rate next to base, not in it"),
            ({"base": {"name": "sgd", "momentum": 0.9}}, "optimizer.base.momentum: unknown key"),
            ({"base": "sdg"}, "unknown optimizer 'sdg'; did you mean 'sgd'"),
            ({"base": 3}, "base: must be a optimizer's name or a mapping, got 3"),
        ],
    )
    def test_mistakes_are_named(self, options, message):
        with pytest.raises(ConfigError, match=message):
            config(optimizer={"name": "lookahead", **options})

    def test_the_schema_ends(self):
        schema = OPTIMIZERS["sam"].Config.model_json_schema()
        assert "lookahead" not in str(schema["properties"]["base"])


@pytest.mark.parametrize(("name", "options"), [("lookahead", {"steps": 2}), ("schedule_free", {"momentum": 0.5})])
def test_weights_of_low_precision_follow_the_same_course(name, options):
    """As on a GPU at level O2: the base keeps float32 weights, of which averages are made."""
    results = []
    for dtype in ("float32", "bfloat16"):
        p = paddle.create_parameter([3], dtype, default_initializer=paddle.nn.initializer.Constant(1.0))
        options = {**options, "base": "lion", "learning_rate": 1e-4, "weight_decay": 0.0}
        optimizer = build(name, [ParameterGroup([p])], **options)
        for _ in range(200):
            (p.astype("float32") * paddle.to_tensor([1.0, -1.0, 1.0])).sum().backward()
            optimizer.step()
            optimizer.clear_grad(set_to_zero=False)
        with optimizer.averaged() if name == "schedule_free" else nullcontext():
            results.append(p.astype("float32").numpy())
    assert np.abs(results[0] - 1).min() > 0.005
    # Near 1 a bfloat16 has a precision of 2^-8 below and 2^-7 above.
    np.testing.assert_allclose(results[1], results[0], atol=2**-8)


@pytest.mark.parametrize("name", ["lion", "muon", "lookahead", "sam", "schedule_free"])
def test_trainings_learn_and_repeat(name, digits, make_model):
    rate = {"lion": 0.003, "muon": 0.02, "lookahead": 0.1, "sam": 0.05, "schedule_free": 0.5}[name]
    recipe = config(epochs=3, batch_size=8, optimizer={"name": name, "learning_rate": rate}, clip_global_norm=5.0)

    def losses(epochs):
        seen = []

        def report(epoch, metrics):
            seen.append(metrics["train_loss"])
            return epoch < epochs

        train(make_model(), digits, recipe, seed=0, folder=None, report=report)
        return seen

    first = losses(3)
    assert first[-1] < 0.92 * first[0]
    assert losses(1) == first[:1]
