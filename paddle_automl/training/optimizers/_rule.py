"""Optimizers that Paddle does not have, implemented with tensor operations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import paddle
from paddle import Tensor


class RuleOptimizer(paddle.optimizer.Optimizer):
    """A Paddle optimizer, with clipping, L2 decay, rates and state dict, whose step is `update`.

    `decay` maps Paddle's names of parameters to a decoupled weight decay; others have none. Parameters of low
    precision are updated through float32 copies, which are kept.
    """

    states: ClassVar[Sequence[str]] = ("velocity",)
    """Names of the state tensors of each parameter: float32, initially zero."""

    def __init__(self, *, decay: Mapping[str, float], **options: Any) -> None:
        super().__init__(**options)
        self.decay = decay
        self._multi_precision = True
        # The rates of a step by their factor: making one takes as long as the update of a bias.
        self._rates: dict[float, Tensor] = {}

    @abstractmethod
    def update(self, name: str, parameter: Tensor, gradient: Tensor, rate: Tensor, *states: Tensor) -> None:
        """Change `parameter` and `states` in place, all of them float32.

        `name` is Paddle's name of the parameter, the key in `decay`; `rate` has one element.
        """

    def _create_accumulators(self, block: Any, parameters: Sequence[Tensor]) -> None:
        del block
        for parameter in parameters:
            for state in self.states:
                self._add_accumulator(state, parameter, dtype="float32")

    def _create_optimization_pass(self, *args: Any, **options: Any) -> Any:
        self._rates.clear()
        return super()._create_optimization_pass(*args, **options)

    def _create_param_lr(self, param_and_grad: tuple[Tensor, Tensor]) -> Tensor:
        factor = param_and_grad[0].optimize_attr["learning_rate"]
        if factor not in self._rates:
            self._rates[factor] = super()._create_param_lr(param_and_grad)
        return self._rates[factor]

    def _append_optimize_op(self, block: Any, param_and_grad: tuple[Tensor, Tensor]) -> None:
        del block
        parameter, gradient = param_and_grad
        rate = self._create_param_lr(param_and_grad)
        states = [self._get_accumulator(state, parameter) for state in self.states]
        with paddle.no_grad():
            if parameter.dtype == paddle.float32:
                self.update(parameter.name, parameter, gradient, rate, *states)
                return
            master = self._create_master_weight(parameter)
            self.update(parameter.name, master, gradient.astype("float32"), rate, *states)
            paddle.assign(master.astype(parameter.dtype), output=parameter)
