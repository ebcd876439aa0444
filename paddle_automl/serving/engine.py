"""Temporary: what the server needs of a predictor, on today's one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.deployment.predictor import Prediction, Predictor
from paddle_automl.deployment.runtime import in_lasting_thread


@dataclass(frozen=True)
class Raw:
    outputs: np.ndarray
    known: np.ndarray | None = None


class Engine(Predictor):
    def read(self, source: Any) -> np.ndarray:
        return self.input.read(source)

    def check_arrays(self, arrays: Any) -> None:
        names = [spec.name for spec in self.bundle.info.inputs]
        if sorted(arrays) != sorted(names):
            raise DataError(f"inputs: needs {', '.join(names)}, got {', '.join(arrays)}")
        for spec in self.bundle.info.inputs:
            if arrays[spec.name].dtype != np.dtype(spec.dtype):
                raise DataError(f"inputs: {spec.name} must be {spec.dtype}, got {arrays[spec.name].dtype}")
        self._check(arrays)

    def run(self, arrays: Any) -> Raw:
        return Raw(in_lasting_thread(lambda: self._session_here()(arrays)))

    def answer(self, raw: Raw) -> list[Any]:
        return [Dicted(None, answer) for answer in self.answers(raw.outputs)]


class Dicted(Prediction):
    def as_dict(self, top: int | None = None) -> dict[str, Any]:
        answer = self.answer
        return {"label": answer.text, "probability": answer.score, "probabilities": dict(self.top(top or 10**9))}
