"""From a YAML file, its bases and the command line's overrides to a validated configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.extras import installed
from paddle_automl.core.field_types import with_texts
from paddle_automl.core.merging import merge, path_in, with_override
from paddle_automl.core.moved import moved_key, moved_overrides, with_moved_keys
from paddle_automl.core.plugins import KEY, absolute_plugins, load_plugins, plugins_of
from paddle_automl.core.schema import Section, issues_of
from paddle_automl.core.yaml_io import Positions, read_word, read_yaml

S = TypeVar("S", bound=Section)
logger = logging.getLogger(__name__)
_told: set[Path] = set()


def read_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], Positions]:
    """Return the merged mapping of a file, its bases and `overrides`, and where each key comes from.

    ``_base_`` (a path or a list, relative to the file that names it) is merged first. A mapping in place of a path,
    ``{extra: pretrained, file: a.yaml, otherwise: b.yaml}``, is `file` where that extra of the package is installed
    and `otherwise` elsewhere, with one warning. Keys that have moved (`core.moved`) are under their new names.
    Raises ConfigError.
    """
    return overridden(*_read_with_bases(Path(path), ()), overrides or {})


def overridden(
    data: Mapping[str, Any], positions: Positions, overrides: Mapping[str, Any]
) -> tuple[dict[str, Any], Positions]:
    """Return `data` with `overrides` merged in, and where each key comes from, as arguments of `validate`."""
    result, places = dict(data), dict(positions)
    words = overrides.places if isinstance(overrides, Overrides) else {}
    for key, value in moved_overrides(overrides).items():
        result = with_override(result, key, value)
        path = path_in(result, key)
        places[path] = f"-o {key}"
        places.update({(*path, *inner): place for inner, place in words.get(key, {}).items()})
    return result, places


class Overrides(dict[str, Any]):
    """``{dotted key: value}`` of a command line; `places` holds the text that the values of each key come from."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, Positions] = {}

    def add(self, key: str, text: str) -> None:
        """Add the text after ``key=``: YAML, or any text for a text option."""
        self[key], self.places[moved_key(key)] = read_word(text, f"-o {key}")


def parse_overrides(items: Sequence[str]) -> Overrides:
    """Return ``{dotted key: value}`` for command-line words ``key=value``.

    The text after the first ``=`` is read as YAML without comments; `validate` gives text options the text that was
    written.
    """
    overrides = Overrides()
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"-o {item}: must be key=value, as in -o training.epochs=5")
        overrides.add(key.strip(), text)
    return overrides


def validate(model: type[S], data: Mapping[str, Any], positions: Positions | None = None) -> S:
    """Return `data` as an instance of `model`; raises one ConfigError that lists every mistake."""
    places = positions or {}
    texts, unreadable = with_texts(model, data, places)
    issues = list(unreadable.values())
    try:
        valid = model.model_validate(texts)
    except ValidationError as error:
        issues += issues_of(error, _locator(places), known=unreadable)
    if issues:
        raise ConfigError(issues)
    return valid


def load_config(model: type[S], path: str | Path, overrides: Mapping[str, Any] | None = None) -> S:
    """Return the validated configuration of a file with its bases and `overrides`.

    Loads the plugins that it names first, because they define names and options too.
    """
    data, positions = read_config(path, overrides)
    try:
        names = plugins_of(data)
        load_plugins(names)
    except ConfigError as error:
        where = _locator(positions)((KEY,))
        raise ConfigError([f"{where}{issue}" for issue in error.issues]) from error
    if names:
        data[KEY] = list(absolute_plugins(names))
    return validate(model, data, positions)


def _read_with_bases(path: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], Positions]:
    resolved = path.resolve()
    if resolved in above:
        chain = " -> ".join(str(item) for item in (*above, resolved))
        raise ConfigError(f"{path}: _base_ leads back to the file itself: {chain}")
    data, positions = read_yaml(path)
    # Before merging: a file may use an old name for what its base sets under the new one.
    data = with_moved_keys(data, positions)
    bases = data.pop("_base_", [])
    bases = [_base_file(path, base) for base in (bases if isinstance(bases, list) else [bases])]
    merged: dict[str, Any] = {}
    places: Positions = {}
    for base in bases:
        base_data, base_places = _read_with_bases(path.parent / base, (*above, resolved))
        merged = merge(merged, base_data)
        places.update(base_places)
    places.update(positions)
    return merge(merged, data), places


def _base_file(path: Path, base: Any) -> str:
    """Return the path of a base: as written, or the one that fits the installed extras."""
    if isinstance(base, str):
        return base
    keys = ("extra", "file", "otherwise")
    if not isinstance(base, dict) or set(base) != set(keys) or not all(isinstance(base[key], str) for key in keys):
        raise ConfigError(
            f"{path}: _base_: must be a path, a list of paths, or a mapping of {', '.join(keys)}, got {base!r}"
        )
    if installed(base["extra"]):
        return str(base["file"])
    if path not in _told:
        _told.add(path)
        logger.warning(
            '%s: uses %s, because the extra "%s" is not installed; with it (pip install "paddle_automl[%s]") it '
            "uses %s",
            *(path, base["otherwise"], base["extra"], base["extra"], base["file"]),
        )
    return str(base["otherwise"])


def _locator(positions: Positions) -> Callable[[tuple[Any, ...]], str]:
    def locate(loc: tuple[Any, ...]) -> str:
        for end in range(len(loc), 0, -1):
            if loc[:end] in positions:
                return f"{positions[loc[:end]]}: "
        return ""

    return locate
