"""Groups of items that belong together, by a column of the data set or a pattern over file names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import ConfigError, DataError, did_you_mean
from paddle_automl.core.paths import readable
from paddle_automl.data.samples import Samples


def groups_of(samples: Samples, group: str | None) -> tuple[str, ...] | None:
    """Return the group of each item by `data.group`, or by the data set itself; None if there are no groups.

    Raises ConfigError for a name that is neither a column nor a pattern, and DataError for an item without a group.
    """
    if group is None:
        return samples.groups
    if group in samples.columns:
        values = samples.columns[group]
        missing = next((row for row, value in enumerate(values) if not value.strip()), None)
        if missing is not None:
            raise DataError(
                f"data.group: {samples.place(missing)}: the column '{group}' is empty or missing; every item "
                "needs a group"
            )
        return values
    return _matched(samples, group, _pattern(samples, group))


def numbered(texts: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return a number for each text, int64 ``[N]``, and the text of each number."""
    names, numbers = np.unique(np.array(texts, dtype=np.str_), return_inverse=True)
    return numbers.astype(np.int64), tuple(str(name) for name in names)


def _pattern(samples: Samples, group: str) -> re.Pattern[str]:
    columns = f"; columns: {', '.join(samples.columns)}" if samples.columns else ""
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ConfigError(
            f"data.group: '{group}' is neither a column nor a regular expression: {error}{columns}"
        ) from None
    if pattern.groups != 1:
        hint = did_you_mean(group, samples.columns)
        raise ConfigError(
            f"data.group: '{group}' must be a column of the data set, or a regular expression with one group in "
            f"parentheses, such as ^(patient[0-9]+)_{hint}{columns}"
        )
    return pattern


def _matched(samples: Samples, group: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    sources = samples.sources
    if sources is None or not all(isinstance(source, Path) for source in sources):
        raise ConfigError(f"data.group: '{group}' is a pattern over file names, but the data set has no files")
    texts = [readable(source).replace("\\", "/") for source in sources]
    found = [pattern.search(text if "/" in group else text.rpartition("/")[2]) for text in texts]
    missing = [text for text, match in zip(texts, found, strict=True) if match is None or match.group(1) is None]
    if missing:
        where = "path" if "/" in group else "name"
        raise DataError(
            f"data.group: '{group}' is not found in the {where} of {len(missing)} of {len(texts)} files, "
            f"for example {missing[0]}; every file needs a group"
        )
    return tuple(match.group(1) for match in found if match is not None)
