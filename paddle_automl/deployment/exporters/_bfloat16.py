"""Running a float32 export in bfloat16: the same files with another option."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

from paddle_automl.deployment.exporters.paddle_inference import PROGRAM, WEIGHTS, PaddleSession
from paddle_automl.deployment.runtime import ascii_alias, check_threads, import_paddle, in_lasting_thread


class Bfloat16Session(PaddleSession):
    """A Paddle Inference predictor of a `paddle_inference` export that computes in bfloat16 on a CPU."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        check_threads(threads)
        self._lock = threading.Lock()
        with ascii_alias(folder) as safe:
            self._predictor = in_lasting_thread(partial(_load, safe, threads))
        self._prepare()


def _load(folder: Path, threads: int) -> Any:
    import_paddle()
    from paddle import inference

    config = inference.Config(str(folder / PROGRAM), str(folder / WEIGHTS))
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(threads)
    config.enable_new_ir(True)
    config.enable_new_executor(True)
    config.enable_mkldnn()
    config.enable_mkldnn_bfloat16()
    return inference.create_predictor(config)
