"""The contracts of what networks and trainings are made of catch a wrong plugin."""

from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn
from pydantic import ValidationError

from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.rejection.base import SCORES
from paddle_automl.models.activations import ACTIVATIONS, Activation
from paddle_automl.models.backbones.base import ImageBackbone
from paddle_automl.models.initializers import Initializer
from paddle_automl.models.norms import NORMS
from paddle_automl.search.executors.base import EXECUTORS, Failed
from paddle_automl.testing import executors
from paddle_automl.testing.backbones import BackboneContract
from paddle_automl.testing.executors import ExecutorContract
from paddle_automl.testing.exporters import FINALS, ExporterContract, ImageNetwork
from paddle_automl.testing.fine_tuning_recipes import FineTuningRecipeContract
from paddle_automl.testing.layers import ActivationContract, InitializerContract, NormContract
from paddle_automl.testing.losses import LossContract
from paddle_automl.testing.lr_schedules import LrScheduleContract
from paddle_automl.testing.optimizers import OptimizerContract
from paddle_automl.testing.options import check_options, config_of
from paddle_automl.testing.rejection_scores import RejectionScoreContract, values_for
from paddle_automl.training.fine_tuning.base import RECIPES
from paddle_automl.training.losses.base import LOSSES
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES
from paddle_automl.training.optimizers.base import OPTIMIZERS


# -- options -----------------------------------------------------------------------------------------------------
def test_options_without_a_text_are_caught():
    class Silent:
        """Has an option that nobody explains."""

        class Config(PluginConfig):
            """Options."""

            ratio: float = 0.5

    with pytest.raises(AssertionError, match=r"Silent\.Config\.ratio has no docstring"):
        check_options(Silent)


def test_options_that_take_any_key_are_caught():
    class Open:
        """Takes what it is given."""

        class Config(PluginConfig, extra="allow"):
            """Options."""

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check_options(Open)


# -- layers ------------------------------------------------------------------------------------------------------
class OffAtTest(Activation):
    """Does nothing in evaluation mode."""

    class Layer(nn.Layer):
        def forward(self, x):
            return nn.functional.relu(x) if self.training else x

    def make(self):
        return self.Layer()


class Shared(ACTIVATIONS["prelu"]):
    """Gives one layer to all places."""

    layer = None

    def make(self):
        type(self).layer = self.layer or super().make()
        return self.layer


def test_a_wrong_activation_is_caught():
    with pytest.raises(AssertionError):
        ActivationContract().test_training_and_evaluation_agree(OffAtTest)
    with pytest.raises(AssertionError):
        ActivationContract().test_extreme_inputs_stay_finite_and_layers_are_not_shared(Shared)


class Claims(NORMS["none"]):
    """Says that it normalizes."""

    normalizes = True


class Narrow(NORMS["batch_norm"]):
    """Works for eight channels alone."""

    def make(self, channels):
        return super().make(8)


def test_a_wrong_normalization_is_caught():
    with pytest.raises(AssertionError):
        NormContract().test_claims_about_offsets_and_small_maps_hold(Claims)
    with pytest.raises(ValueError, match=r"(?i)shape|channel|dim"):
        NormContract().test_any_width_works_and_shapes_stay(Narrow)


class Unseeded(Initializer):
    """Draws its weights from the clock."""

    def make(self, fan_in):
        return nn.initializer.Constant(float(np.random.default_rng().normal()))


def test_a_wrong_initializer_is_caught():
    with pytest.raises(AssertionError):
        InitializerContract().test_weights_are_finite_and_the_seed_decides(Unseeded)


# -- backbones ---------------------------------------------------------------------------------------------------
class Wide(ImageBackbone):
    """Promises other features than it gives, and leaves a layer out."""

    def __init__(self, config, *, in_channels, layers, image_size):
        nn.Layer.__init__(self)
        self.conv = layers.conv_norm_act(in_channels, 4, 3)
        self.forgotten = layers.linear(2, 2)
        self.out_channels = 5

    def forward(self, x):
        return self.conv(x)


class Forgetful(Wide):
    """Keeps its promise, and leaves a layer out."""

    def __init__(self, config, *, in_channels, layers, image_size):
        super().__init__(config, in_channels=in_channels, layers=layers, image_size=image_size)
        self.out_channels = 4


def test_a_wrong_backbone_is_caught():
    with pytest.raises((AssertionError, ValueError)):
        BackboneContract().test_features_have_the_promised_shape_and_are_finite(Wide, 2)
    with pytest.raises(AssertionError, match=r"backbone\.forgotten"):
        BackboneContract().test_every_parameter_has_a_gradient(Forgetful, "batch_norm")


# -- training ----------------------------------------------------------------------------------------------------
class Upside(LOSSES["mse"]):
    """Rewards errors."""

    def cost(self, difference):
        return -difference.square()


class Cut(LOSSES["mse"]):
    """Its gradient is not that of its value."""

    def cost(self, difference):
        return difference.detach().square() + 0 * difference


def test_a_wrong_loss_is_caught():
    with pytest.raises(AssertionError):
        LossContract().test_right_answers_cost_less_than_wrong_ones(Upside)
    with pytest.raises(AssertionError):
        LossContract().test_gradients_are_those_of_finite_differences(Cut)


class Ascent(OPTIMIZERS["sgd"]):
    """Climbs."""

    def build(self, groups, clip):
        optimizer = super().build(groups, clip)
        optimizer.set_lr(-self.config.learning_rate)
        return optimizer


class Pulling(OPTIMIZERS["sgd"]):
    """Pulls biases to zero, too."""

    def build(self, groups, clip):
        return paddle.optimizer.SGD(
            self.config.learning_rate,
            [parameter for group in groups for parameter in group.parameters],
            weight_decay=self.config.weight_decay,
            grad_clip=clip,
        )


def test_a_wrong_optimizer_is_caught():
    with pytest.raises(AssertionError):
        OptimizerContract().test_minimizes_a_quadratic(Ascent)
    with pytest.raises(AssertionError):
        OptimizerContract().test_weight_decay_pulls_only_its_group(Pulling)


class ToZero(LR_SCHEDULES["constant"]):
    """Ends with a rate of zero and begins with twice the full one."""

    def after_warmup(self, progress):
        return 2.0 - 2.3 * progress


class Counting(LR_SCHEDULES["constant"]):
    """Depends on how often it was asked."""

    calls = 0

    def after_warmup(self, progress):
        self.calls += 1
        return 1 / self.calls


def test_a_wrong_schedule_is_caught():
    with pytest.raises(AssertionError):
        LrScheduleContract().test_every_factor_is_a_positive_fraction_of_the_full_rate(ToZero, 10, 4)
    with pytest.raises(AssertionError):
        LrScheduleContract().test_places_between_the_steps_have_a_factor_and_no_call_changes_another(Counting)


class Headless(RECIPES["low_rate"]):
    """Takes another head than the search has found, and knows no schedule for a single epoch."""

    def start(self):
        return {"head": {"name": "linear"}}

    def schedule(self, epochs):
        return {"name": "cosine", "warmup_epochs": -1 if epochs == 1 else 0}


def test_a_wrong_recipe_is_caught():
    contract, recipe = FineTuningRecipeContract(), Headless(config_of(Headless, {}))
    with pytest.raises(AssertionError):
        contract.test_the_network_stays_and_starts_from_the_winner(recipe)
    with pytest.raises(ValidationError):
        contract.test_there_is_a_schedule_for_any_number_of_epochs(recipe, 1)


# -- scores ------------------------------------------------------------------------------------------------------
class Entropy(SCORES["energy"]):
    """Is larger for open answers, differs between the batch and a single item, and between NumPy and Paddle."""

    def __call__(self, values, state):
        return -super().__call__(values, state) / len(values)


def test_a_wrong_score_is_caught():
    contract, score = RejectionScoreContract(), Entropy(config_of(Entropy, {}))
    values = values_for(score)
    with pytest.raises(AssertionError):
        contract.test_every_item_has_a_finite_number_of_its_own(score, values, {})
    with pytest.raises(AssertionError):
        contract.test_a_sure_answer_looks_more_like_a_class_than_an_open_one(score, {})
    with pytest.raises(AssertionError):
        contract.test_the_network_computes_the_same(score, values, {})


# -- exporters and executors -------------------------------------------------------------------------------------
class Raw(EXPORTERS["paddle_inference"]):
    """Leaves out the last step of the task, and the network in evaluation mode."""

    def export(self, model, folder, *, specs, final, calibration=None):
        model.eval()
        super().export(model, folder, specs=specs, final=type(final)("identity"), calibration=calibration)


class Unshifted(EXPORTERS["paddle_inference"]):
    """Is inexact, and forgets the shift of the first output."""

    exact = False

    def export(self, model, folder, *, specs, final, calibration=None):
        final = replace(final, shift=final.shift and (0.0, *final.shift[1:]))
        super().export(model, folder, specs=specs, final=final, calibration=calibration)


def test_a_wrong_exporter_is_caught(tmp_path):
    contract, exporter = ExporterContract(), Raw(Raw.Config(name="raw"))
    with pytest.raises(AssertionError):
        contract.test_predicts_the_same_for_any_batch(exporter, ImageNetwork(), tmp_path)
    with pytest.raises(AssertionError):
        contract.test_does_not_touch_the_network(exporter, ImageNetwork(), tmp_path)
    (shifted,) = [final for final in FINALS if final.shift]
    with pytest.raises(AssertionError):
        contract.test_last_steps_and_arrays_by_name(Unshifted(Unshifted.Config(name="raw")), shifted, tmp_path)


class Anonymous(EXECUTORS["local"]):
    """Reports each failure as the same error, and says that more is free than is."""

    @property
    def free(self):
        return 99

    def poll(self, timeout_s):
        events = super().poll(timeout_s)
        return [
            replace(event, error=RuntimeError("failed")) if isinstance(event, Failed) else event for event in events
        ]


class Leaving(EXECUTORS["local"]):
    """Forgets its jobs when it is closed."""

    def close(self):
        self.left, self._running = self._running, {}


def test_an_executor_that_leaves_jobs_behind_is_caught(tmp_path, monkeypatch):
    made = []

    class Contract(ExecutorContract):
        def make(self, plugin, scratch):
            made.append(super().make(plugin, scratch))
            return made[-1]

    monkeypatch.setattr(executors, "GONE_S", 0.0)
    try:
        with pytest.raises(AssertionError, match=r"close\(\) leaves jobs behind that still run"):
            Contract().test_closing_kills_what_runs(Leaving, tmp_path)
    finally:
        (left,) = made
        left._running = left.left
        super(Leaving, left).close()


def test_a_wrong_executor_is_caught(tmp_path):
    with pytest.raises(AssertionError, match="not all slots are free at the start"):
        ExecutorContract().test_it_offers_its_capacity(Anonymous, tmp_path)
    with pytest.raises(AssertionError, match="the error lost its type"):
        ExecutorContract().test_a_job_fails_alone_and_its_error_keeps_its_type(Anonymous, tmp_path)
