"""Values of deep grey images above a range that was chosen by a sample of the files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from paddle_automl.core.paths import readable

if TYPE_CHECKING:
    from paddle_automl.inputs.image.decoding import Decoder


def watching(decoder: Decoder) -> tuple[Callable[[Any], np.ndarray], Callable[[], str]]:
    """Return a function that decodes as `decoder` does, and one that says which files had larger values."""
    assert decoder.range is not None
    high, above = decoder.range[1], dict[str, int]()

    def read(source: Any) -> np.ndarray:
        largest: list[int] = []
        item = replace(decoder, seen=largest.append)(source)
        if largest and max(largest) > high:
            above[readable(os.fspath(source)) if isinstance(source, str | os.PathLike) else "an image"] = max(
                largest
            )
        return item

    def noted() -> str:
        if not above:
            return ""
        name = max(above, key=lambda name: (above[name], name))
        count = f"{len(above)} image{'s have' if len(above) > 1 else ' has'}"
        top = 2 ** above[name].bit_length() - 1
        return (
            f"{count} values above {high:.0f}, the range of a sample of the files, which become white (for example "
            f"{name}, up to {above[name]}); if they matter, set data.input.range: [0, {top}]"
        )

    return read, noted
