"""Export in the program format before Paddle 3: ``inference.pdmodel`` and ``inference.pdiparams``."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.exporters.base import EXPORTERS, Exporter, Session, put
from paddle_automl.deployment.exporters.paddle_inference import (
    GPU_MEMORY_MB,
    WEIGHTS,
    PaddleSession,
    check_specs,
    naming_unused,
    static_specs,
)
from paddle_automl.deployment.network import final_layer
from paddle_automl.deployment.runtime import import_paddle, quiet_warnings
from paddle_automl.inputs.base import Arrays, TensorSpec
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.paddle_compat.tracing import as_written
from paddle_automl.tasks.base import Final

STEM = "inference"
PROGRAM = f"{STEM}.pdmodel"
INT8_OPERATORS = {"conv2d", "depthwise_conv2d", "fused_conv2d", "fc", "concat", "elementwise_add"}


@EXPORTERS.register("paddle_program")
class PaddleProgramExporter(Exporter):
    """Paddle Inference in the program format of Paddle 2, float32 or quantized to 8 bits.

    A quantized network runs with oneDNN's 8-bit kernels on a CPU; only this format has them.
    """

    class Config(PluginConfig):
        """No options: batch size open, the task's last step included, 8 bits if the network is quantized."""

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
        """Write ``inference.pdmodel`` and ``inference.pdiparams``; see the base class."""
        paddle = import_paddle()
        from paddle_automl.paddle_compat.slim.old_ir import old_ir
        from paddle_automl.paddle_compat.slim.packing import is_quantized, pack_int8

        check_specs(specs, self.name)
        # Paddle's C++ writer uses UTF-8 for names in every locale, so only an ASCII path is safe.
        with tempfile.TemporaryDirectory(prefix="paddle_automl-export-") as scratch:
            plain, packed = Path(scratch) / "plain" / STEM, Path(scratch) / "packed" / STEM
            layer = final_layer(model, final)
            with evaluating(model), quiet_warnings():
                try:
                    with naming_unused(specs, self.name), old_ir(), as_written(layer):
                        paddle.jit.save(layer, str(plain), input_spec=static_specs(specs))
                except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
                    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
                    raise UnsupportedError(
                        "exporter paddle_program: the network has an operation that the format before Paddle 3 "
                        f"does not support: {lines[-1] if lines else type(error).__name__}; use paddle_inference"
                    ) from error
            source = plain
            if is_quantized(plain.with_suffix(".pdmodel")):
                packed.parent.mkdir()
                pack_int8(str(plain), str(packed))
                source = packed
            for name in (PROGRAM, WEIGHTS):
                put(source.parent / name, folder)

    def session(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> Session:
        """Load the two files into a Paddle Inference predictor; see the base class."""
        return PaddleProgramSession(folder, device=device, threads=threads)


class PaddleProgramSession(PaddleSession):
    """The predictor of a ``.pdmodel`` file; with oneDNN's 8-bit kernels if the network is quantized."""

    program = PROGRAM

    @staticmethod
    def load(folder: Path, gpu: int | None, threads: int) -> Any:
        """Return Paddle's predictor for the files in a folder; see the base class."""
        return _load(folder, gpu, threads)


def _load(folder: Path, gpu: int | None, threads: int) -> Any:
    import_paddle()
    from paddle import inference

    from paddle_automl.paddle_compat.slim.packing import is_quantized

    config = inference.Config(str(folder / PROGRAM), str(folder / WEIGHTS))
    config.disable_glog_info()
    if gpu is not None:
        config.enable_use_gpu(GPU_MEMORY_MB, gpu)
    elif is_quantized(folder / PROGRAM):
        config.enable_mkldnn()
        config.enable_mkldnn_int8(INT8_OPERATORS)
    config.set_cpu_math_library_num_threads(threads)
    with _silent_stderr():
        return inference.create_predictor(config)


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Suppress the lines that oneDNN's passes write to standard error; exceptions are still raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
