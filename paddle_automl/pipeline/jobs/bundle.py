"""What a command or a stage says of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Strict

from paddle_automl.core.schema import Section, Sequence
from paddle_automl.deployment.bundle import Bundle


class FormatResult(Section):
    """A further format of a bundle."""

    name: str
    """Name of its exporter."""
    parity_summary: str
    """The parity check in one sentence."""
    latency: Sequence[dict[str, Any]]
    """The records of its timing."""
    verified: bool
    """Whether it was found to predict what the trained network predicts."""


class BundleResult(Section):
    """An exported bundle with its scores, its parity check and its speed, as recorded in its ``bundle.yaml``."""

    bundle: Annotated[Path, Strict(False)]
    """Its folder."""
    metrics: dict[str, Any]
    """Scores on `validation` and `test`, and `costs`."""
    parity: dict[str, Any] | None
    """The record of the parity check."""
    parity_summary: str
    """The parity check in one sentence."""
    latency: Sequence[dict[str, Any]]
    """The records of its timing."""
    size_mb: float
    """Its size on disk."""
    verified: bool
    """Whether it was found to predict what the trained network predicts."""
    formats: Sequence[FormatResult] = ()
    """Its further formats."""
    fastest: str | None = None
    """Name of the fastest of its formats."""

    def parity_text(self) -> str:
        """Return one sentence: the verdict, the figures and where the difference is largest."""
        return f"{self.bundle}: {self.parity_summary}"

    @classmethod
    def of(cls, bundle: Bundle) -> BundleResult:
        """Return what a command says of a bundle."""
        facts = bundle.info.model_dump(mode="json")
        return cls(
            bundle=bundle.folder,
            metrics=facts["metrics"],
            parity=facts["parity"],
            parity_summary=bundle.info.parity.describe() if bundle.info.parity else "not compared",
            latency=facts["latency"],
            formats=tuple(
                FormatResult(
                    name=item.exporter.name,
                    parity_summary=item.parity.describe() if item.parity else "not compared",
                    latency=tuple(record.model_dump(mode="json") for record in item.latency),
                    verified=item.verified,
                )
                for item in bundle.info.formats
            ),
            fastest=bundle.info.fastest,
            size_mb=round(bundle.size_mb, 4),
            verified=bundle.verified,
        )
