"""Export to OpenVINO, run in bfloat16."""

from __future__ import annotations

from typing import ClassVar

from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.exporters.onnx import OnnxConfig
from paddle_automl.deployment.exporters.openvino import OpenVinoExporter


@EXPORTERS.register("openvino_bfloat16")
class OpenVinoBfloat16Exporter(OpenVinoExporter):
    """OpenVINO, computed in bfloat16 where the processor can, else in float32. Needs the extra `openvino`.

    The weights are stored in half precision: a file of half the size.
    """

    class Config(OnnxConfig):
        """Version of the ONNX operators in between; batch size open, the task's last step included."""

    exact: ClassVar[bool] = False
    precision: ClassVar[str] = "bf16"
