"""Export to Paddle Inference: ``inference.json`` (the program) and ``inference.pdiparams`` (the weights)."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.errors import BundleError, UnsupportedError
from paddle_automl.core.paths import readable
from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.exporters.base import EXPORTERS, Exporter, Session, fed, put
from paddle_automl.deployment.network import MOST_INPUTS, final_layer
from paddle_automl.deployment.runtime import (
    ascii_alias,
    check_threads,
    gpu_index,
    import_paddle,
    in_lasting_thread,
    keep_in_children,
    quiet_warnings,
)
from paddle_automl.inputs.base import Arrays, TensorSpec
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.paddle_compat.tracing import as_written
from paddle_automl.tasks.base import Final

STEM = "inference"
PROGRAM = f"{STEM}.json"
WEIGHTS = f"{STEM}.pdiparams"
GPU_MEMORY_MB = 256


@EXPORTERS.register("paddle_inference")
class PaddleInferenceExporter(Exporter):
    """Paddle Inference in the program format of Paddle 3 (PIR), float32."""

    class Config(PluginConfig):
        """No options: batch size open, the task's last step included."""

    to_run: ClassVar[tuple[str, ...]] = ("paddle",)
    to_export: ClassVar[tuple[str, ...]] = ("paddle",)

    def export(
        self,
        model: Any,
        folder: Path,
        *,
        specs: Sequence[TensorSpec],
        final: Final,
        calibration: Arrays | None = None,
    ) -> None:
        """Write ``inference.json`` and ``inference.pdiparams``; see the base class."""
        paddle = import_paddle()
        _require_float32(model)
        check_specs(specs, self.name)
        # Paddle's C++ writer uses UTF-8 for names in every locale, so only an ASCII path is safe.
        with tempfile.TemporaryDirectory(prefix="paddle_automl-export-") as scratch:
            layer = final_layer(model, final)
            with evaluating(model), quiet_warnings(), naming_unused(specs, self.name), as_written(layer):
                paddle.jit.save(layer, str(Path(scratch) / STEM), input_spec=static_specs(specs))
            for name in (PROGRAM, WEIGHTS):
                written = Path(scratch) / name
                if not written.is_file():
                    raise UnsupportedError(
                        f"exporter paddle_inference: Paddle {paddle.__version__} wrote no {name}; unset "
                        "FLAGS_enable_pir_api, and see that the network has at least one parameter"
                    )
                put(written, folder)

    def session(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> Session:
        """Load the two files into a Paddle Inference predictor; see the base class."""
        return PaddleSession(folder, device=device, threads=threads)


class PaddleSession:
    """A Paddle Inference predictor behind a lock: its input and output buffers are shared by all calls.

    A call changes the number of math threads of the calling thread: see `in_lasting_thread`.
    """

    program: ClassVar[str] = PROGRAM

    def __init__(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> None:
        check_threads(threads)
        for name in (self.program, WEIGHTS):
            if not (folder / name).is_file():
                raise BundleError(f"{readable(folder)}: the file {name} is missing; export again")
        self._lock = threading.Lock()
        gpu = gpu_index(device)
        with ascii_alias(folder) as safe:
            try:
                self._predictor = in_lasting_thread(partial(self.load, safe, gpu, threads))
            except Exception as error:
                lines = [line for line in str(error).splitlines() if line.strip()]
                reason = lines[0] if lines else type(error).__name__
                raise BundleError(
                    f"{readable(folder)}: Paddle Inference cannot load {self.program}: {reason}; export again"
                ) from error
        self._prepare()

    def _prepare(self) -> None:
        self._names = list(self._predictor.get_input_names())
        self._inputs = [self._predictor.get_input_handle(name) for name in self._names]
        self._output_names = list(self._predictor.get_output_names())
        keep_in_children(self)

    def __call__(self, arrays: Arrays) -> np.ndarray:
        """Return outputs, float32 [N, K], of the network's arrays, [N, ...] by name."""
        return self.all_outputs(arrays)[0]

    def all_outputs(self, arrays: Arrays) -> list[np.ndarray]:
        """Return all outputs of the file in its order; see `Session`."""
        given = fed(arrays, self._names)
        with self._lock:
            for handle, array in zip(self._inputs, given, strict=True):
                handle.copy_from_cpu(array)
            self._predictor.run()
            return [self._predictor.get_output_handle(name).copy_to_cpu() for name in self._output_names]

    @staticmethod
    def load(folder: Path, gpu: int | None, threads: int) -> Any:
        """Return Paddle's predictor for the files in a folder, on a GPU if its number is given."""
        return _load(folder, gpu, threads)


def _load(folder: Path, gpu: int | None, threads: int) -> Any:
    import_paddle()
    from paddle import inference

    config = inference.Config(str(folder / PROGRAM), str(folder / WEIGHTS))
    config.disable_glog_info()
    if gpu is not None:
        config.enable_use_gpu(GPU_MEMORY_MB, gpu)
    config.set_cpu_math_library_num_threads(threads)
    # In this order: without the two switches before it, memory optimization raises on PIR programs.
    config.enable_new_ir(True)
    config.enable_new_executor(True)
    config.enable_memory_optim()
    return inference.create_predictor(config)


def check_specs(specs: Sequence[TensorSpec], exporter: str) -> None:
    """Raise UnsupportedError for more arrays than can be exported."""
    if not 1 <= len(specs) <= MOST_INPUTS:
        raise UnsupportedError(
            f"exporter {exporter}: a network may take 1 to {MOST_INPUTS} arrays, got {len(specs)}: "
            f"{', '.join(item.name for item in specs)}"
        )


def static_specs(specs: Sequence[TensorSpec]) -> list[Any]:
    """Return Paddle's description of the arrays, with an open batch axis."""
    static = import_paddle().static
    return [static.InputSpec([None, *item.shape], item.dtype, name=item.name) for item in specs]


@contextmanager
def naming_unused(specs: Sequence[TensorSpec], exporter: str) -> Iterator[None]:
    """Convert Paddle's error about an array that the network does not use to UnsupportedError."""
    try:
        yield
    except ValueError as error:
        if "feed_var" not in str(error):
            raise
        raise UnsupportedError(
            f"exporter {exporter}: the network does not use all of its arrays "
            f"({', '.join(item.name for item in specs)}); an exported network has to"
        ) from error


def _require_float32(model: Any) -> None:
    for name, parameter in model.named_parameters():
        if parameter.dtype.name not in {"FLOAT32", "float32"}:
            raise UnsupportedError(
                f"exporter paddle_inference: parameter '{name}' is {parameter.dtype.name.lower()}; "
                "it exports float32: load the weights into a float32 network (layer.float()) first"
            )
