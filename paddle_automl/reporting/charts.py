"""Drawings for the report: Matplotlib's SVG with texts as texts, so any script is shown by the reader's fonts.

Each drawing is embedded as a picture: a browser runs no script in it and looks up nothing outside it.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from typing import Any

from paddle_automl.core.display_text import shown

BLUE, ORANGE, GREEN, RED, GREY = "#2563ab", "#d9730d", "#2f855a", "#c53030", "#9aa3ad"
COLORS = (BLUE, ORANGE, GREEN, "#7b4fb3", "#b5475d", "#0f8b8d", "#8a6d1d", GREY)
LONGEST = 28
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "paddle_automl",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#7a838c",
    "axes.labelcolor": "#3b434b",
    "xtick.color": "#3b434b",
    "ytick.color": "#3b434b",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7ea",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_FONTS = re.compile(rb"font-family: [^;\"]*")
_FAMILY = b"font-family: 'Helvetica Neue', Arial, 'Noto Sans', 'Noto Sans CJK SC', 'Microsoft YaHei', sans-serif"


def label(text: object, longest: int = LONGEST) -> str:
    r"""Return a text for a drawing: shortened in the middle, invisible characters made visible.

    ``$`` begins no formula: the drawings are made with `parse_math` off.
    """
    plain = shown(text)
    if len(plain) <= longest:
        return plain
    half = (longest - 1) // 2
    return f"{plain[:half]}\u2026{plain[-half:]}"


class Drawing:
    """One drawing: ``with Drawing(...) as d: d.axes.plot(...)`` and then ``d.svg()``.

    `size` is in inches; 8.4 is the width of the page.
    """

    def __init__(self, size: tuple[float, float] = (8.4, 3.2), columns: int = 1, **options: Any) -> None:
        # It builds its font cache on first use, and tells so.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        self._context = matplotlib.rc_context(_STYLE)
        self._context.__enter__()
        # The object interface draws without a window system and without pyplot's global state.
        self.figure: Any = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(self.figure)
        found = self.figure.subplots(1, columns, squeeze=False, **options)
        self.all_axes: list[Any] = list(found[0])

    def __enter__(self) -> Drawing:
        return self

    def __exit__(self, *exception: object) -> None:
        self._context.__exit__(None, None, None)

    @property
    def axes(self) -> Any:
        """Return the only, or the first axes."""
        return self.all_axes[0]

    def whole_numbers(self, axis: Any) -> None:
        """Let an axis have ticks at whole numbers only."""
        from matplotlib.ticker import MaxNLocator

        axis.set_major_locator(MaxNLocator(integer=True))

    def svg(self) -> bytes:
        """Return the drawing; no text in it is read as a formula."""
        from matplotlib.text import Text

        for text in self.figure.findobj(Text):
            text.set_parse_math(False)
        stream = io.BytesIO()
        with warnings.catch_warnings():
            # Signs that its own font lacks are drawn by the reader's fonts.
            warnings.simplefilter("ignore")
            self.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        found = stream.getvalue()
        found = found[found.index(b"<svg") :]
        return _FONTS.sub(_FAMILY, found)
