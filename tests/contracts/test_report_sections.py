"""Every section of the report against its contract."""

import pytest

from paddle_automl.reporting.base import SECTIONS
from paddle_automl.testing.report_sections import ReportSectionContract
from tests.unit.reporting import materials

CLASSES = [SECTIONS[name] for name in SECTIONS.names()]
WHOLE = materials.whole()
TWO_OBJECTIVES = materials.whole(materials.stored(metrics=("accuracy", "latency_ms")))


@pytest.mark.parametrize("plugin", CLASSES, ids=lambda plugin: plugin.name)
class TestSections(ReportSectionContract):
    def material_for(self, plugin):
        return TWO_OBJECTIVES if plugin.name == "pareto" else WHOLE
