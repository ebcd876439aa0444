"""Tracing of networks to programs, without the rewriting of code that needs none."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paddle import nn

PACKAGE = Path(__file__).parents[1]
PLAIN = frozenset({"paddle", PACKAGE.name})
"""Packages whose layers have no branch or loop that depends on values of tensors."""
OURS = types.ModuleType(PACKAGE.name)
"""Stands for all code in the folder of this package."""
OURS.__file__ = str(PACKAGE / "__init__.py")


def forget_failed_traces() -> None:
    """Forget the parameters that Paddle recorded in traces which ended with an error.

    Paddle records them by the address of the program. A later program at the same address would be saved with
    parameters of another network, or not at all.
    """
    from paddle.jit.dy2static.program_translator import ProgramTranslator

    ProgramTranslator.get_instance()._params_recorder.params_dict.clear()


@contextmanager
def as_written(layer: nn.Layer) -> Iterator[None]:
    """Trace `layer` by running its code as it is, if all its layers are of Paddle or of this package.

    Paddle rewrites the source of every function that is called, so that branches and loops may depend on values of
    tensors: most of the time of an export of a deep network. Those of this package depend on none, and the program
    is the same without it. A network with a layer from elsewhere is rewritten as ever.
    """
    forget_failed_traces()
    if not all(type(item).__module__.partition(".")[0] in PLAIN for item in layer.sublayers(include_self=True)):
        yield
        return
    from paddle.jit.dy2static import convert_call_func

    # Code in the folder of such a module counts as built in. `paddle.jit.ignore_module` is for the whole process.
    ignored = convert_call_func.BUILTIN_LIKELY_MODULES
    ignored.append(OURS)
    try:
        yield
    finally:
        ignored.remove(OURS)
