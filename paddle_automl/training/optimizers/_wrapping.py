"""Optimizers that wrap another one, their option `base`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import paddle
from paddle import Tensor
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError, core_schema

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import Plugin, PluginConfig, default
from paddle_automl.models.kinds import Kind
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, OptimizerConfig, ParameterGroup

if TYPE_CHECKING:
    from typing_extensions import Self

OUTER = frozenset({"learning_rate", "weight_decay"})
"""Options of the base that are given next to `base`, at the level where every optimizer has them."""


class _Bases(Registry[Optimizer]):
    """The optimizers that can be a base: those that do not wrap another one, so options are nested only once."""

    def __getitem__(self, name: str) -> type[Optimizer]:
        cls = OPTIMIZERS[name]
        if cls.wraps:
            raise ConfigError(f"'{name}' cannot be the base of another optimizer; valid: {', '.join(self.names())}")
        return cls

    def names(self) -> list[str]:
        return [name for name in OPTIMIZERS.names() if not OPTIMIZERS[name].wraps]


BASES = _Bases(OPTIMIZERS.kind, OPTIMIZERS.package, OPTIMIZERS.section)


class Base(Plugin):
    """Marks the option for a base; of the base's options, those in `OUTER` are neither accepted nor written."""

    def validate(self, value: Any) -> PluginConfig | None:
        if isinstance(value, PluginConfig):
            value = value.model_dump(exclude=set(OUTER))
        stated = sorted(OUTER & value.keys()) if isinstance(value, dict) else []
        if stated:
            raise PydanticCustomError("stated", f"set {' and '.join(stated)} next to base, not in it")
        return super().validate(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value, info: value.model_dump(mode=info.mode, exclude=set(OUTER)), info_arg=True
            ),
        )


class WrapperConfig(OptimizerConfig):
    """Options of an optimizer with a base; learning rate and weight decay are by default those of the base."""

    learning_rate: float = Field(0.05, gt=0)
    """Largest step size of the base, by default the base's own default; the schedule multiplies it."""
    weight_decay: float = Field(0.0, ge=0)
    """Weight decay of the base, by default the base's own default."""
    base: Annotated[PluginConfig, Base(BASES, "momentum")] = default("momentum")
    """The optimizer that takes the steps; its learning_rate and weight_decay are set next to it, not in it."""

    def unit(self, kind: Kind, batch_size: int) -> float:
        """Return the unit of the base."""
        base: OptimizerConfig = self.base  # type: ignore[assignment]
        return base.unit(kind, batch_size)

    def check(self, kinds: Collection[Kind]) -> None:
        """Raise ConfigError if the base cannot train a network that has parameters of these kinds."""
        base: OptimizerConfig = self.base  # type: ignore[assignment]
        base.check(kinds)

    def scaled(self, factor: float) -> Self:
        """Return the same options with all learning rates times `factor`, those in the base too."""
        base: OptimizerConfig = self.base  # type: ignore[assignment]
        return super().scaled(factor).model_copy(update={"base": base.scaled(factor)})

    @model_validator(mode="before")
    @classmethod
    def _as_the_base(cls, data: Any) -> Any:
        """Fill in the base's default rate and decay if they are not given."""
        if not isinstance(data, dict):
            return data
        usual = cls.model_fields["base"].default
        base = data.get("base", usual)
        name = base.get("name", usual) if isinstance(base, dict) else getattr(base, "name", base)
        if not isinstance(name, str) or name not in BASES:
            return data
        fields = BASES[name].Config.model_fields
        return {**{key: fields[key].default for key in sorted(OUTER)}, **data}


def in_type(tensor: Tensor, dtype: paddle.dtype) -> Tensor:
    """Return a tensor of this type: the same one where it has it."""
    return tensor if tensor.dtype == dtype else tensor.astype(dtype)


def float32_copy(tensor: Tensor) -> Tensor:
    """Return a float32 copy of a tensor."""
    return in_type(tensor.detach().clone(), paddle.float32)


def build_base(
    config: WrapperConfig, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
) -> paddle.optimizer.Optimizer:
    """Return Paddle's optimizer for the base, with the rate and the decay of `config`."""
    stated = {key: getattr(config, key) for key in OUTER}
    return BASES[config.base.name](config.base.model_copy(update=stated)).build(groups, clip)  # type: ignore[arg-type]


class Wrapped(paddle.optimizer.Optimizer):
    """A wrapper of another optimizer that changes ``step``: rate, gradients, state and the rest are the base's."""

    def __init__(self, base: paddle.optimizer.Optimizer) -> None:
        # Paddle's own __init__ would make a second state for the same parameters.
        self.base = base

    def __getattr__(self, name: str) -> Any:
        if name == "base":
            raise AttributeError(name)
        return getattr(self.base, name)

    @property
    def _multi_precision(self) -> bool:
        return bool(self.base._multi_precision)

    @_multi_precision.setter
    def _multi_precision(self, value: bool) -> None:
        # Set by `paddle.amp.decorate`.
        self.base._multi_precision = value

    def exact(self, parameter: Tensor) -> Tensor:
        """Return the weights of `parameter` with which the base steps: float32 where it keeps such copies."""
        found: Tensor = self.base._master_weights.get(parameter.name, parameter)
        return found

    def place(self, weights: Tensor, parameter: Tensor) -> None:
        """Replace the weights of `parameter`, and those with which the base steps, by float32 `weights`."""
        exact = self.exact(parameter)
        if exact is not parameter:
            paddle.assign(weights, output=exact)
        paddle.assign(in_type(weights, parameter.dtype), output=parameter)

    def step(self) -> None:
        """Step the base."""
        self.base.step()

    def get_lr(self) -> float:
        """Return the learning rate of the base."""
        return float(self.base.get_lr())

    def set_lr(self, value: float) -> None:
        """Set the learning rate of the base."""
        self.base.set_lr(value)

    def clear_grad(self, set_to_zero: bool = True) -> None:
        """Clear the gradients of all parameters."""
        self.base.clear_grad(set_to_zero=set_to_zero)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base."""
        return dict(self.base.state_dict())

    def set_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Set the state of the base."""
        self.base.set_state_dict(state_dict)
