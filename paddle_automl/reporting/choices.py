"""Names and values of decisions, short enough for tables and drawings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from paddle_automl.core.display_text import shown
from paddle_automl.space import SearchSpace

_BELOW = re.compile(r"(?P<above>.*)\[(?P<option>[^\]]*)\]\.(?P<rest>.+)", re.DOTALL)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return a short text for each decision's name; those with equal short texts keep their whole names.

    ``model.backbone[vgg].width`` becomes ``width [vgg]``, ``model.dropout`` becomes ``dropout``.
    """
    found = {name: _short(name) for name in names}
    texts = list(found.values())
    return {name: text if texts.count(text) == 1 else name for name, text in found.items()}


def _short(name: str) -> str:
    below = _BELOW.fullmatch(name)
    if below is not None:
        return f"{below['rest']} [{below['option']}]"
    return name.rsplit(".", 1)[-1]


def describe_params(space: SearchSpace, params: Mapping[str, Any]) -> str:
    """Return a trial's choices as ``backbone=resnet width=8 blocks=[1,2]``."""
    parts = []
    for key, value in space.overrides(params).items():
        text = f"{value:.3g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False).strip('"')
        parts.append(f"{key.rsplit('.', 1)[-1]}={text.replace(' ', '')}")
    return shown(" ".join(parts))
