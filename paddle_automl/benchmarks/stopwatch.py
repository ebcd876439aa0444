"""The time of a training step by phase and layer; all time is assigned to exactly one of them.

Forward passes are separated by wrapping the layers' `forward`. Backward passes cannot be wrapped, because the
engine calls the operators. Instead each layer's result gets a hook, which the engine calls with the result's
gradient, right before it computes the layer's own gradients; until the next layer's hook, time is assigned to that
layer. Hooks on layers would not work: fused layers are not called one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from paddle import Tensor, nn

from paddle_automl.models.kernels.memory import known
from paddle_automl.models.profile import operations

_MARK = "_has_stopwatch"
REST = "sums, concatenations, other"
_KINDS = {"norm": "normalization", "activation": "activation", "pooling": "pooling"}


@dataclass
class LayerFacts:
    """Facts about a layer besides its times."""

    kind: str
    operations: int = 0
    """Floating-point operations of a step, forward and backward; 0 where they are not counted."""


@dataclass
class Stopwatch:
    """CPU seconds by (phase of the step, name of the layer or empty)."""

    spent: dict[tuple[str, str], float] = field(default_factory=dict)
    layers: dict[str, LayerFacts] = field(default_factory=dict)
    _stack: list[tuple[str, str]] = field(default_factory=list)
    _since: float = 0.0

    def start(self, part: str) -> None:
        """Start to measure; time is assigned to `part` unless something inside takes it."""
        self._stack = [(part, "")]
        self._since = time.process_time()

    def stop(self) -> None:
        """End the measurement."""
        self._charge()
        self._stack = []

    @property
    def running(self) -> bool:
        """Whether it measures now."""
        return bool(self._stack)

    @contextmanager
    def on(self, part: str, layer: str = "") -> Iterator[None]:
        """Assign the time inside the block to `part` and `layer`."""
        self._charge()
        self._stack.append((part, layer))
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def pass_on(self, layer: str) -> None:
        """Assign the time from here on to the gradients of `layer`, during the backward pass."""
        if self._stack and self._stack[-1][0] == "backward":
            self._charge()
            self._stack[-1] = ("backward", layer)

    def _charge(self) -> None:
        now = time.process_time()
        place = self._stack[-1]
        self.spent[place] = self.spent.get(place, 0.0) + now - self._since
        self._since = now

    @contextmanager
    def watching(self, model: nn.Layer) -> Iterator[None]:
        """Measure the layers of `model` separately inside the block."""
        with ExitStack() as stack:
            for name, layer in model.named_sublayers():
                self.layers.setdefault(name, LayerFacts(_kind(layer)))
                for method in ("forward", "normalize", "activated"):
                    if hasattr(layer, method):
                        stack.enter_context(replaced(layer, method, self._timed(name, layer, method)))
            yield

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` with its time assigned to `part`."""

        def timed(*args: Any, **options: Any) -> Any:
            with self.on(part):
                return function(*args, **options)

        return timed

    def _timed(self, name: str, layer: nn.Layer, method: str) -> Callable[..., Any]:
        function = getattr(layer, method)

        def timed(*args: Any, **options: Any) -> Any:
            if not self.running:
                return function(*args, **options)
            for option, word in (("relu", "ReLU"), ("gelu", "GELU")):
                if options.get(option):
                    self.layers[name].kind = f"{_KINDS['norm']} with {word}"
            with self.on("forward", name):
                y = function(*args, **options)
                if isinstance(y, Tensor):
                    self._note(name, layer, args[0], y)
            return y

        return timed

    def _note(self, name: str, layer: nn.Layer, x: Tensor, y: Tensor) -> None:
        """Count the operations of a layer and register for its gradient."""
        facts = self.layers[name]
        if not facts.operations and isinstance(layer, nn.Conv2D | nn.Linear):
            # Two for a multiply-accumulate; as much for the gradients of the weights and, if wanted, of the input.
            passes = 2 if x.stop_gradient else 3
            facts.operations = 2 * passes * operations(layer, y)
            facts.kind += _groups(layer, x)
        # Between fast layers gradients flow through the memory of a result and not through the result itself.
        memory = known(y)
        target = y if memory is None else memory
        # A container's result is that of its last layer, which was registered before.
        if not target.stop_gradient and not hasattr(target, _MARK):
            setattr(target, _MARK, True)
            target.register_hook(lambda _: self.pass_on(name))


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of `owner` by `value`, and restore it afterwards."""
    own = name in vars(owner)
    before = vars(owner)[name] if own else None
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def _kind(layer: nn.Layer) -> str:
    """Return the kind of a layer, by the file of its Paddle class."""
    for ancestor in type(layer).__mro__:
        package, _, file = ancestor.__module__.rpartition(".")
        if package != "paddle.nn.layer":
            continue
        if file == "conv":
            return f"convolution {' x '.join(map(str, layer.weight.shape[2:]))}"
        return _KINDS.get(file) or (ancestor.__name__.lower() if file == "common" else REST)
    return REST


def _groups(layer: nn.Layer, x: Tensor) -> str:
    """Return the suffix for a convolution's kind if it is grouped or depth-wise."""
    if isinstance(layer, nn.Linear) or x.shape[1] == layer.weight.shape[1]:
        return ""
    return ", depth-wise" if layer.weight.shape[1] == 1 else f", {x.shape[1] // layer.weight.shape[1]} groups"
