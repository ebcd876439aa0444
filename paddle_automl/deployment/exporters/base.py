"""The interface of export formats, which write a network's files and run them."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from paddle_automl.core.errors import OutputError, UnsupportedError
from paddle_automl.core.paths import readable
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.repair import Repaired
from paddle_automl.inputs.base import Arrays, TensorSpec
from paddle_automl.tasks.base import Final

Runtime = Literal["paddle", "onnx", "openvino"]


class Session(Protocol):
    """An exported network, loaded and ready; calls from several threads are safe."""

    def __call__(self, arrays: Arrays) -> np.ndarray:
        """Return outputs, float32 [N, K], for the network's arrays [N, ...] by name, as made by `Input.batch`."""
        ...

    def all_outputs(self, arrays: Arrays) -> list[np.ndarray]:
        """Return the same outputs, and after them the rejection score [N, 1] if the file has it."""
        ...


class Exporter(ABC):
    """Writes a network, with the last step of its task, in one file format, and loads such files.

    A bundle names its exporter, so that prediction finds the loader for the files.
    """

    class Config(PluginConfig):
        """Options of the exporter."""

    name: str = ""
    runtime: ClassVar[Runtime] = "paddle"
    """Runtime of the files: Paddle Inference, ONNX Runtime or OpenVINO."""
    exact: ClassVar[bool] = True
    """Whether the outputs equal those of the network up to rounding; false: it computes in fewer bits, and some
    answers may differ."""
    calibrated: ClassVar[bool] = False
    """Whether it needs training items (`calibration`) to find the ranges of 8-bit activations."""
    int8: ClassVar[str] = ""
    """Name of the format with 8-bit weights for the same runtime that is made from a float network; empty: none."""
    extra: ClassVar[str] = ""
    """Extra of this package that installs what it needs; empty: it needs nothing else."""
    to_run: ClassVar[tuple[str, ...]] = ()
    """Packages that running its files needs."""
    to_export: ClassVar[tuple[str, ...]] = ()
    """Packages that writing and running them needs."""

    def __init__(self, config: PluginConfig) -> None:
        self.config = config

    @classmethod
    def require(cls, *, to_run: bool = False) -> None:
        """Raise UnsupportedError that names the extra if a package for exporting (or running) is missing."""
        missing = cls.missing(to_run=to_run)
        if missing:
            advice = f"install the extra: pip install 'paddle_automl[{cls.extra}]'"
            if not cls.extra:
                advice = "install it: pip install paddlepaddle, or use a bundle that also has an ONNX file"
            absent = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
            raise UnsupportedError(f"exporter {cls.name}: {absent}; {advice}")

    @classmethod
    def missing(cls, *, to_run: bool = False) -> list[str]:
        """Return the packages of the extra that are not installed."""
        return [name for name in (cls.to_run if to_run else cls.to_export) if find_spec(name) is None]

    @abstractmethod
    def export(
        self,
        model: Any,
        folder: Path,
        *,
        specs: Sequence[TensorSpec],
        final: Final,
        calibration: Arrays | None = None,
    ) -> None:
        """Write the network's files into the existing `folder`.

        `model` is a Paddle layer from the arrays of `specs`, in their order, to raw outputs, float32 [N, K];
        `final` is the last step, which the files include. The batch size stays open. The layer is exported in
        evaluation mode, and its modes are restored afterwards. `calibration` are training items, [M, ...] by name,
        for a format that is not exact. Raises UnsupportedError for a network that the format cannot represent,
        OutputError if the folder cannot be written.
        """

    def export_accepted(
        self,
        model: Any,
        folder: Path,
        *,
        specs: Sequence[TensorSpec],
        final: Final,
        calibration: Arrays | None = None,
        accept: Callable[[Session], bool],
    ) -> Repaired:
        """Write files that `accept` finds close enough to the network, if the format can be repaired.

        A format in 8 bits leaves as many layers in float as that takes, and returns their names; raises
        UnsupportedError if no layer could be in 8 bits. Other formats are written as by `export`.
        """
        del accept
        self.export(model, folder, specs=specs, final=final, calibration=calibration)
        return Repaired()

    @abstractmethod
    def session(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> Session:
        """Load the files written by `export`; raises BundleError for files that cannot be loaded."""


EXPORTERS: Registry[Exporter] = Registry("exporter", "paddle_automl.deployment.exporters", "deployment.exporter")


def fed(arrays: Arrays, names: Sequence[str]) -> list[np.ndarray]:
    """Return the arrays that a network's file names, in its order; raises ValueError if one is missing."""
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(
            f"the network takes the arrays {', '.join(names)}; got {', '.join(arrays) or 'none'}: "
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        )
    return [np.ascontiguousarray(arrays[name]) for name in names]


def put(source: Path, folder: Path) -> None:
    """Copy a finished file into `folder`; raises OutputError."""
    target = folder / source.name
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(f"cannot write '{readable(target)}': {reason}") from None
