"""paddle_automl: from a folder of images to a small, fast, verified Paddle Inference model."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from paddle_automl.core.runtime import silence_known_warnings
from paddle_automl.core.version import VERSION

if TYPE_CHECKING:
    from paddle_automl.api import compress, evaluate, export, refit, run_search, train
    from paddle_automl.deployment.predictor import Predictor

__version__ = VERSION
__all__ = ["Predictor", "__version__", "compress", "evaluate", "export", "refit", "run_search", "train"]


def __getattr__(name: str) -> Any:
    # Loaded when first used: `import paddle_automl` stays light, and prediction loads no search or training.
    if name == "Predictor":
        from paddle_automl.deployment.predictor import Predictor

        return Predictor
    if name in __all__:
        with warnings.catch_warnings():
            silence_known_warnings()
            from paddle_automl import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
