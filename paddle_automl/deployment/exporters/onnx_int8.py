"""Export to ONNX with 8-bit weights and activations: ``inference.onnx``."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.deployment.exporters._onnx_quantizing import (
    Quantizer,
    float_only,
    fold,
    last_nodes,
    layer_names,
)
from paddle_automl.deployment.exporters.base import EXPORTERS, Session, put
from paddle_automl.deployment.exporters.onnx import PROGRAM, OnnxConfig, OnnxExporter, OnnxSession, float_onnx
from paddle_automl.deployment.repair import BeyondRepairError, Repaired, damage, fewest, ranked
from paddle_automl.inputs.base import Arrays, TensorSpec
from paddle_automl.tasks.base import Final

logger = logging.getLogger(__name__)

PROBES = 128
"""Number of items on which the damage by each layer is measured."""


@EXPORTERS.register("onnx_int8")
class OnnxInt8Exporter(OnnxExporter):
    """ONNX, quantized to 8 bits by ONNX Runtime from the float network. Needs the extra `onnx`.

    Weights get a scale per output channel; the ranges of activations are those of training items. If the outputs
    are numbers, the last layer stays in float32: in 8 bits they would be rounded to 256 values. So do layers with
    the attribute `float_only`, such as the whitening of speednet. If the answers differ too much, the layers that
    change them most go back to float32 (`deployment.parity`).
    """

    class Config(OnnxConfig):
        """Version of the operators; batch size open, the task's last step included."""

    exact: ClassVar[bool] = False
    calibrated: ClassVar[bool] = True

    def export(
        self,
        model: Any,
        folder: Path,
        *,
        specs: Sequence[TensorSpec],
        final: Final,
        calibration: Arrays | None = None,
    ) -> None:
        """Write ``inference.onnx``; see the base class. Raises UnsupportedError without `calibration`."""
        self.export_accepted(
            model, folder, specs=specs, final=final, calibration=calibration, accept=lambda session: True
        )

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
        """Write the file with as many layers in 8 bits as `accept` allows; see the base class."""
        if not calibration or not len(next(iter(calibration.values()))):
            raise UnsupportedError(f"exporter {self.name}: needs training items to calibrate the activations")
        with tempfile.TemporaryDirectory(prefix="paddle_automl-onnx-") as name:
            scratch = Path(name)
            plain = float_onnx(model, scratch, specs, final, self.config.opset, self.name)
            folded = scratch / "folded.onnx"
            fold(plain, folded)
            quantizer = Quantizer(folded, calibration, [*last_nodes(folded, final), *float_only(folded, model)])
            repair = _Repair(self, quantizer, folded, scratch / "trials", accept)
            groups = repair.run(calibration, probabilities=final.activation == "softmax")
            put(repair.file, folder)
            names = layer_names(plain, model)
        found = Repaired(tuple(names.get(group.split("/")[0], group) for group in groups), len(quantizer.groups))
        if groups:
            logger.info("%s: %s", self.name, found.describe())
        return found

    def loaded(self, file: Path) -> Session:
        """Return a session of a quantized file, as prediction runs it; see `session`."""
        return OnnxSession(file.parent)


class _Repair:
    """Finds the fewest layers to leave in float; the last accepted file is `file`."""

    def __init__(
        self,
        exporter: OnnxInt8Exporter,
        quantizer: Quantizer,
        folded: Path,
        scratch: Path,
        accept: Callable[[Session], bool],
    ) -> None:
        self._exporter, self._quantizer, self._accept = exporter, quantizer, accept
        self._folded, self._scratch = folded, scratch
        self.file = Path()

    def run(self, calibration: Arrays, *, probabilities: bool) -> list[str]:
        """Return the groups of operators that had to be left in float; raises UnsupportedError if all of them."""
        groups = self._quantizer.groups
        if self._works([]):
            return []
        order = self._ranking(calibration, probabilities=probabilities)
        count = fewest(len(order) - 1, lambda count: self._works(order[:count])) if len(order) > 1 else None
        if count is None:
            raise BeyondRepairError(
                f"exporter {self._exporter.name}: no layer of the network can be in 8 bits within the allowed loss "
                f"({len(groups)} tried); use a float format"
            )
        return order[:count]

    def _works(self, kept: Sequence[str]) -> bool:
        """Write the file with the groups `kept` in float, and return whether it is accepted."""
        file = self._written(f"{len(kept)}", float_nodes=self._nodes(kept))
        works = self._accept(self._exporter.loaded(file))
        if works:
            self.file = file
        return works

    def _ranking(self, calibration: Arrays, *, probabilities: bool) -> list[str]:
        """Return the groups, the one that alone changes the outputs most first."""
        probes = {name: array[:PROBES] for name, array in calibration.items()}
        (self._scratch / "float").mkdir(parents=True)
        shutil.copyfile(self._folded, self._scratch / "float" / PROGRAM)
        before = OnnxSession(self._scratch / "float")(probes)
        groups = self._quantizer.groups
        damages = []
        for number, nodes in enumerate(groups.values()):
            session = OnnxSession(self._written(f"alone{number}", only=nodes).parent)
            damages.append(damage(before, session(probes), probabilities=probabilities))
        return ranked(list(groups), damages)

    def _nodes(self, groups: Sequence[str]) -> list[str]:
        return [node for group in groups for node in self._quantizer.groups[group]]

    def _written(self, name: str, **which: Sequence[str]) -> Path:
        file = self._scratch / name / PROGRAM
        file.parent.mkdir(parents=True, exist_ok=True)
        self._quantizer.write(file, **which)
        return file
