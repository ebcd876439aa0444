"""Facts about a bundle, for commands and stages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Strict

from paddle_automl.core.schema import Section, Sequence
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.repair import Repaired


class FormatResult(Section):
    """A further format of a bundle."""

    name: str
    """Name of its exporter."""
    parity_summary: str
    """The parity check in one sentence."""
    latency: Sequence[dict[str, Any]]
    """The records of its timing."""
    verified: bool
    """Whether its parity check passed."""
    repaired: str = ""
    """Which layers of a format in 8 bits had to be left in float."""


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
    """Whether its parity check passed."""
    formats: Sequence[FormatResult] = ()
    """Its further formats."""
    fastest: str | None = None
    """Name of the fastest of its formats."""

    calibration: dict[str, Any] | None = None
    """The record of the calibration of its probabilities."""
    rejection: dict[str, Any] | None = None
    """The record of its refusal of items of no class."""
    calibration_summary: str = ""
    """The calibration in one sentence; empty if there is none."""
    intervals_summary: str = ""
    """The coverage of its intervals in one sentence; empty if there are none."""
    rejection_summary: str = ""
    """The refusal in one sentence; empty if there is none."""

    notes: Sequence[str] = ()
    """What has changed in the data since the training."""
    kept: str = ""
    """Why this earlier bundle was kept instead of the one that was asked for; empty: it is that one."""

    def fault(self) -> str:
        """Return which parity checks did not pass, with the figures; empty if all did."""
        if self.verified:
            return ""
        failed = [f"format {item.name}: {item.parity_summary}" for item in self.formats if not item.verified]
        first = self.parity is None or not self.parity.get("verified")
        return "; ".join([*([self.parity_summary] if first or not failed else []), *failed])

    def parity_text(self) -> str:
        """Return one sentence: the verdict, the figures and where the difference is largest."""
        return f"{self.bundle}: {self.fault() or self.parity_summary}"

    @classmethod
    def of(cls, bundle: Bundle, notes: Sequence[str] = ()) -> BundleResult:
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
                    repaired=Repaired(tuple(item.float_layers), item.layers).describe(),
                )
                for item in bundle.info.formats
            ),
            fastest=bundle.info.fastest,
            size_mb=round(bundle.size_mb, 4),
            verified=bundle.verified,
            calibration=facts["calibration"],
            rejection=facts["rejection"],
            calibration_summary=bundle.info.calibration.describe() if bundle.info.calibration else "",
            intervals_summary=bundle.info.intervals.describe() if bundle.info.intervals else "",
            rejection_summary=bundle.info.rejection.describe() if bundle.info.rejection else "",
            notes=tuple(notes),
        )
