"""A network with all that one step of its training needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
from paddle import Tensor

from paddle_automl.models.classifier import Classifier
from paddle_automl.models.profile import profile
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.ema import ExponentialMovingAverage
from paddle_automl.training.freezing import Freezer
from paddle_automl.training.gradients import centralize, centralized_parameters
from paddle_automl.training.guide import ForwardPass, Guide
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES
from paddle_automl.training.precision import Precision
from paddle_automl.training.recipe import build_loss, build_optimizer

if TYPE_CHECKING:
    from paddle_automl.data.parts import Part, PreparedData


class Learner:
    """Trains `model` batch by batch as `config` says.

    `labels` [N] are those of the training images (for balanced class weights). `loaded_rate` is the factor of
    the learning rate for the backbone's loaded layers, which do not change in the first `frozen_epochs`.
    `step_flops` are the multiply-accumulates of a step's forward pass (see `Precision`). `guides` take part in
    every step; whoever calls enters their `watching`.
    """

    def __init__(
        self,
        model: Classifier,
        config: TrainingConfig,
        *,
        labels: np.ndarray[Any, Any],
        steps_per_epoch: int,
        frozen_epochs: int,
        loaded_rate: float,
        device: str,
        step_flops: int = 0,
        guides: Sequence[Guide] = (),
    ) -> None:
        self.guides = tuple(guides)
        self.schedule = LR_SCHEDULES[config.lr_schedule.name](
            config.lr_schedule,  # type: ignore[arg-type]
            epochs=config.epochs,
            steps_per_epoch=steps_per_epoch,
        )
        self.loss = build_loss(config, labels=labels, num_classes=model.num_classes, feature_dim=model.feature_dim)
        self.freezer = Freezer(model, frozen_epochs)
        optimizer = build_optimizer(
            model,
            config,
            loaded=self.freezer.names,
            loaded_rate=loaded_rate,
            beside=[parameter for guide in self.guides for parameter in guide.parameters()],
        )
        self.precision = Precision(config.amp, device, step_flops)
        self.model, self.optimizer = self.precision.prepare(model, optimizer)
        self.ema = (
            ExponentialMovingAverage(self.model, config.ema.decay, warmup=config.ema.warmup)
            if config.ema is not None
            else None
        )
        self._base_rate = optimizer.get_lr()
        self._steps_per_epoch = steps_per_epoch
        self._centralized = centralized_parameters(self.model) if config.gradient_centralization else []
        self._place, self._stride = 0.0, 1.0

    @classmethod
    def on(
        cls,
        model: Classifier,
        data: PreparedData,
        config: TrainingConfig,
        *,
        part: Part | None = None,
        frozen_epochs: int = 0,
        loaded_rate: float = 1.0,
        device: str = "cpu",
        guides: Sequence[Guide] = (),
    ) -> Learner:
        """Return the learner of a training on `part` of `data`, by default the training part."""
        labels = (data.train if part is None else part).labels
        return cls(
            model,
            config,
            labels=labels,
            steps_per_epoch=config.steps(len(labels)),
            frozen_epochs=frozen_epochs,
            loaded_rate=loaded_rate,
            device=device,
            step_flops=profile(model, data.input_shape).flops * config.batch_size,
            guides=guides,
        )

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimizer.get_lr())

    def begin(self, epoch: int, steps: int | None = None) -> None:
        """Set everything to training mode for epoch `epoch`, from 1.

        With `steps` other than those of a whole epoch, the epoch passes through as much of the learning rate's
        schedule as a whole one, in so many steps.
        """
        self._place = float((epoch - 1) * self._steps_per_epoch)
        self._stride = self._steps_per_epoch / (steps or self._steps_per_epoch)
        self.model.train()
        self.loss.train()
        self.freezer.begin(epoch)

    def step(self, images: Tensor, targets: Tensor) -> Tensor:
        """Learn from images [B, C, H, W] and soft targets [B, K]; return the loss before the step, shape []."""
        self.optimizer.set_lr(self._base_rate * self.schedule.factor(self._place))
        loss = self._forward(images, targets)
        self.precision.backward(loss)
        if self._centralized:
            centralize(self._centralized)
        self.precision.step(self.optimizer)
        self.optimizer.clear_grad(set_to_zero=False)
        self.loss.after_step()
        for guide in self.guides:
            guide.after_step()
        if self.ema is not None:
            self.ema.update()
        self._place += self._stride
        return loss.detach()

    def _forward(self, images: Tensor, targets: Tensor) -> Tensor:
        with self.precision.context():
            features = self.model.features(images)
            logits = self.model.head(features)
        if self.precision.description != "float32":
            logits, features = logits.astype("float32"), features.astype("float32")
        loss: Tensor = self.loss(logits, features, targets)
        for guide in self.guides:
            loss = guide.loss(ForwardPass(images, targets, features, logits), loss)
        return loss

    @contextmanager
    def evaluated(self) -> Iterator[Classifier]:
        """Give the network as it is to be evaluated and kept: with the averaged weights if there are any."""
        for guide in self.guides:
            guide.before_evaluation()
        with self.precision.evaluation_context():
            if self.ema is None:
                yield self.model
                return
            with self.ema.applied():
                yield self.model

    def finish(self, weights: dict[str, Tensor]) -> None:
        """Leave the network in float32 and evaluation mode, with `weights`, and all of it free to learn."""
        self.freezer.release()
        self.precision.restore(self.model)
        self.model.set_state_dict(weights)
        self.model.eval()


def copy_of_weights(model: paddle.nn.Layer) -> dict[str, Tensor]:
    """Return a copy of the state dict that later steps do not change."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
