"""A network with everything that one step of its training needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import paddle
from paddle import Tensor

from paddle_automl.models.network import Network
from paddle_automl.models.profile import flops_of_step
from paddle_automl.tasks.base import Task
from paddle_automl.training.averaging import EpochMean
from paddle_automl.training.callback import Callback, ForwardPass
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.ema import ExponentialMovingAverage
from paddle_automl.training.freezing import Freezer, Start
from paddle_automl.training.gradients import centralize, centralized_parameters
from paddle_automl.training.kinds import Stopper
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES
from paddle_automl.training.optimizers.base import AveragingOptimizer, TwoPassOptimizer
from paddle_automl.training.penalties import penalties
from paddle_automl.training.precision import Precision
from paddle_automl.training.recipe import build_loss, build_optimizer, check_sampling
from paddle_automl.training.solving import learns, solved_parameters
from paddle_automl.training.tables import TableUpdates, WithTables

if TYPE_CHECKING:
    from paddle_automl.data.splits import PreparedData, Split


class Learner:
    """Trains `model` batch by batch according to `config`.

    `codes` [N, ...] are those of the training items (for balanced class weights). `start` concerns the
    backbone's loaded layers. `step_flops` are the multiply-accumulates of a step's forward pass (see
    `Precision`). `callbacks` take part in every step; the caller enters their `watching`.
    """

    def __init__(
        self,
        model: Network,
        config: TrainingConfig,
        *,
        task: Task,
        codes: np.ndarray,
        start: Start,
        device: str,
        step_flops: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        check_sampling(config, task, codes)
        self.callbacks = (*callbacks, *penalties(model, config))
        steps_per_epoch = config.steps(len(codes))
        self.schedule = LR_SCHEDULES[config.lr_schedule.name](
            config.lr_schedule,  # type: ignore[arg-type]
            epochs=config.epochs,
            steps_per_epoch=steps_per_epoch,
        )
        self.loss = build_loss(config, task=task, codes=codes, feature_dim=model.feature_dim)
        self.loss.attach(model)
        self.freezer = Freezer(model, start)
        self._stopper = Stopper(model, config.ends)
        optimizer = build_optimizer(
            model,
            config,
            loaded=self.freezer.rates,
            beside=[parameter for callback in self.callbacks for parameter in callback.parameters()],
        )
        self.precision = Precision(config.amp, device, step_flops)
        self.model, self.optimizer = self.precision.prepare(model, optimizer)
        self.ema = (
            ExponentialMovingAverage(self.model, config.ema.decay, warmup=config.ema.warmup)
            if config.ema is not None
            else None
        )
        self.learns = learns(model)
        self._tables = TableUpdates(model, config.tables, self.freezer.rates)
        self._both = WithTables(self.optimizer, self._tables)
        self._limit = config.clip_global_norm
        # At the end without the cheap epochs, whose weights are those of less data or smaller inputs.
        whole = config.epochs - config.progressive.epochs
        averaged = config.average_epochs
        self.mean = None if averaged is None else EpochMean(self.model, min(averaged, whole))
        self._base_rate = optimizer.get_lr()
        self._steps_per_epoch = steps_per_epoch
        self._centralized = centralized_parameters(self.model) if config.gradient_centralization else []
        # State that a forward pass changes: running statistics of normalizations.
        self._statistics = [tensor for tensor in self.model.state_dict().values() if tensor.stop_gradient]
        # A gradient of a table, even one of zeros, would take longer than the rest of a step.
        self._solved = solved_parameters(self.model)
        self._place, self._stride, self._ahead = 0.0, 1.0, 0.0

    @classmethod
    def on(
        cls,
        model: Network,
        data: PreparedData,
        config: TrainingConfig,
        *,
        split: Split | None = None,
        start: Start | None = None,
        device: str = "cpu",
        callbacks: Sequence[Callback] = (),
    ) -> Learner:
        """Return the learner of a training on `split` of `data`, by default the training split."""
        return cls(
            model,
            config,
            task=data.task,
            codes=(data.train if split is None else split).codes,
            start=start or Start(),
            device=device,
            step_flops=flops_of_step(model, data.specs, config.batch_size),
            callbacks=callbacks,
        )

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimizer.get_lr())

    def planned_epoch(self, epoch: int) -> int:
        """Return which epoch of the plan begins with epoch `epoch`: a later one, where the schedule ran faster."""
        return epoch + int(self._ahead / self._steps_per_epoch)

    def begin(self, epoch: int, steps: int | None = None) -> None:
        """Set everything to training mode for epoch `epoch`, from 1.

        If `steps` differs from the number of steps of a whole epoch, the epoch still covers as much of the learning
        rate's schedule as a whole one.
        """
        self._place = float((epoch - 1) * self._steps_per_epoch) + self._ahead
        self._stride = self._steps_per_epoch / (steps or self._steps_per_epoch)
        self.model.train()
        self.loss.train()
        self.freezer.begin(self.planned_epoch(epoch))
        for parameter in self._solved:
            parameter.stop_gradient = True

    def step(self, inputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        """Learn from a batch; return the loss before the step, shape [].

        `inputs` are the network's arguments [B, ...] in the order of `Input.specs`; targets [B, K].
        """
        self._stopper.at(self._place / self.schedule.steps)
        factor = self.schedule.factor(self._place)
        self.optimizer.set_lr(self._base_rate * factor)
        loss = self._forward(tuple(inputs), targets)
        self.precision.backward(loss)
        if isinstance(self.optimizer, TwoPassOptimizer):
            self._second_pass(self.optimizer, tuple(inputs), targets)
        if self._centralized:
            centralize(self._centralized)
        self._update(factor)
        self.optimizer.clear_grad(set_to_zero=False)
        self.loss.after_step()
        for callback in self.callbacks:
            callback.after_step()
        if self.ema is not None:
            self.ema.update()
        self._advance()
        return loss.detach()

    def _advance(self) -> None:
        """Go to the place of the next step in the schedule."""
        self._place += self._stride
        planned = self.schedule.steps - self._place
        steps, epochs = planned / self._stride, planned / self._steps_per_epoch
        speed = max((callback.speed(steps, epochs) for callback in self.callbacks), default=1.0)
        if speed > 1:
            self._ahead += (speed - 1) * self._stride
            self._place += (speed - 1) * self._stride

    @property
    def ended(self) -> bool:
        """Whether the schedule has ended before its last planned step, because it ran faster."""
        return self._ahead > 0 and self._place >= self.schedule.steps

    def _update(self, factor: float) -> None:
        """Change weights and tables by their gradients, tables with `factor` times their learning rate."""
        if not self._tables:
            self.precision.step(self.optimizer)
            return
        self._both.factor = factor
        # The limit is for true gradients, which the scaler's step would only make after this.
        self.precision.unscale(self._both)
        self._both.clip(self._limit)
        self.precision.step(self._both)
        self._tables.forget()

    def _second_pass(self, optimizer: TwoPassOptimizer, inputs: tuple[Tensor, ...], targets: Tensor) -> None:
        """Replace the gradients by those at the point that `optimizer` chooses."""
        with paddle.no_grad():
            kept = [tensor.clone() for tensor in self._statistics]
        optimizer.climb()
        self.precision.backward(self._forward(inputs, targets, again=True))
        # Before the step, which a scaler may skip.
        optimizer.descend()
        with paddle.no_grad():
            for backup, tensor in zip(kept, self._statistics, strict=True):
                paddle.assign(backup, output=tensor)

    def _forward(self, inputs: tuple[Tensor, ...], targets: Tensor, *, again: bool = False) -> Tensor:
        self._tables.watch()
        with self.precision.context(), self._tables.mixing(targets, again=again) as targets:
            features = self.model.features(*inputs)
            outputs = self.model.head(features)
        if self.precision.description != "float32":
            outputs, features = outputs.astype("float32"), features.astype("float32")
        # Most networks have one branch: their outputs.
        branches = self.model.backbone.loss_branches(features) or (outputs,)
        losses = [self.loss(branch, features, targets) for branch in branches]
        loss: Tensor = losses[0] if len(losses) == 1 else paddle.add_n(losses)
        done = ForwardPass(inputs, targets, features, outputs, self._tables.blended)
        for callback in self.callbacks:
            loss = callback.loss(done, loss)
        return loss

    def end_epoch(self) -> None:
        """Take the weights at the end of an epoch into their mean over the last epochs, if there is one."""
        if self.mean is not None:
            self.mean.end_epoch()

    @contextmanager
    def evaluated(self, before: Callable[[Network], None] | None = None) -> Iterator[Network]:
        """Yield the network for evaluation and saving: with the averaged weights if there are any.

        Callbacks, and `before`, may change these weights and the statistics first.
        """
        with self.precision.evaluation_context(), self._averaged():
            for callback in self.callbacks:
                callback.before_evaluation()
            if before is not None:
                before(self.model)
            yield self.model

    def _averaged(self) -> AbstractContextManager[None]:
        """Return the context with the average that is evaluated; the options allow one kind of average at most."""
        if isinstance(self.optimizer, AveragingOptimizer):
            return self.optimizer.averaged()
        if self.mean is not None:
            return self.mean.applied()
        return nullcontext() if self.ema is None else self.ema.applied()

    def finish(self, weights: dict[str, Tensor]) -> None:
        """Put the network into float32 and evaluation mode, with `weights`, and make all parameters trainable."""
        self.freezer.release()
        for parameter in self._solved:
            parameter.stop_gradient = False
        self._stopper.release()
        self.precision.restore(self.model)
        self.model.set_state_dict(weights)
        self.model.eval()


def copy_of_weights(model: paddle.nn.Layer) -> dict[str, Tensor]:
    """Return a copy of the state dict that later steps do not change."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
