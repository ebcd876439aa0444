"""Setting individual weights to zero with PaddleSlim's unstructured pruners."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import Tensor, nn

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.paddle_compat.slim.repairs import import_paddleslim, quiet

_MASK = "_mask"
SHORTEST_STEP = 11
"""Fewest training steps between two increases of the ratio in PaddleSlim's gradual schedule."""
_WEIGHTED = (nn.Conv1D, nn.Conv2D, nn.Conv2DTranspose, nn.Linear)
_RECURRENT = (nn.SimpleRNN, nn.GRU, nn.LSTM)


def prunable_weights(model: nn.Layer) -> dict[str, Tensor]:
    """Return the kernels of convolutions and the weights of linear and recurrent layers by name.

    Not tables of vectors, such as those of tokens and places: their rows are inputs, not weights of inputs.
    """
    found: dict[str, Tensor] = {}
    for path, layer in model.named_sublayers(include_self=True):
        if isinstance(layer, _WEIGHTED):
            names = ["weight"]
        elif isinstance(layer, _RECURRENT):
            names = [name for name, _ in layer.named_parameters(include_sublayers=False) if "weight" in name]
        else:
            continue
        found |= {f"{path}.{name}" if path else name: getattr(layer, name) for name in names}
    return found


def _skipped(model: nn.Layer) -> set[str]:
    """Return what PaddleSlim leaves alone: parameters, and layers without others, by Paddle's names."""
    pruned = {tensor.name for tensor in prunable_weights(model).values()}
    owners: set[str] = set()
    others: set[str] = set()
    for layer in model.sublayers():
        # Not the cells of recurrent layers: the same weights would count twice.
        (owners if isinstance(layer, _WEIGHTED + _RECURRENT) else others).add(layer.full_name())
    return {parameter.name for parameter in model.parameters() if parameter.name not in pruned} | (others - owners)


class WeightPruning:
    """PaddleSlim's pruner of one network, which it changes in place.

    The `prunable_weights` are pruned by magnitude, all together (`local` false) or the same fraction of each layer.
    With `steps` the fraction of zeros is raised `increases` times over that many training steps (GMP: Zhu and Gupta
    2017, To Prune, or Not to Prune, eq. 1); without, it is `ratio` at once. Before `finish` is called the network
    must not be exported. Raises UnsupportedError for a network without such weights.
    """

    def __init__(self, model: nn.Layer, ratio: float, *, local: bool, steps: int | None, increases: int) -> None:
        slim = import_paddleslim()
        self.model = model
        if not prunable_weights(model):
            raise UnsupportedError(
                "prune_weights: the network has no convolution, linear or recurrent layer; leave the step out"
            )
        # By itself it would prune all parameters of two axes or more: tables of tokens, of n-grams, of places.
        options: dict[str, Any] = {"ratio": ratio, "local_sparsity": local, "skip_params_func": _skipped}
        self._hooks = {id(layer): set(layer._forward_pre_hooks) for layer in model.sublayers()}
        with quiet():
            if steps is None:
                self._pruner: Any = slim.UnstructuredPruner(model, mode="ratio", **options)
                self._pruner.step()
            else:
                self._pruner = slim.GMPUnstructuredPruner(model, **options, configs=_schedule(steps, increases))

    def step(self) -> None:
        """Update the choice of zeros if the schedule says so; call after each training step."""
        with quiet():
            self._pruner.step()

    @paddle.no_grad()
    def apply(self) -> None:
        """Set the chosen weights to zero; a training step changes them."""
        self._pruner.update_params()

    def finish(self) -> None:
        """Make the zeros permanent and remove PaddleSlim's masks and hooks from the network."""
        self.apply()
        for layer in self.model.sublayers(include_self=True):
            for name in [name for name in layer._buffers if name.endswith(_MASK)]:
                del layer._buffers[name]
            kept = self._hooks.get(id(layer), set())
            for key in [key for key in layer._forward_pre_hooks if key not in kept]:
                del layer._forward_pre_hooks[key]


def _schedule(steps: int, increases: int) -> dict[str, Any]:
    return {
        "stable_iterations": 0,
        "pruning_iterations": steps,
        # Keeps the last ratio for longer than any training takes.
        "tunning_iterations": steps,
        "resume_iteration": 0,
        "pruning_steps": increases,
        "initial_ratio": 0.0,
    }
