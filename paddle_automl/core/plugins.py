"""Plugins from outside the package: modules, files, and installed packages that declare an entry point.

A plugin is any Python code that registers a class in one of the registries. It is named by the root key `plugins`
of a configuration, as a dotted module or as the path of a ``.py`` file, or it is an installed package with an
entry point in the group ``paddle_automl.plugins``. Naming a plugin runs its code: name only what you trust.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.paths import absolute_path, located, readable
from paddle_automl.core.registry import registrations, take_back

LOGGER = logging.getLogger(__name__)

GROUP = "paddle_automl.plugins"
"""Group of the entry points with which an installed package declares plugins; each names a module."""
KEY = "plugins"
"""Root key of the configuration."""

_loaded: set[str] = set()
_entry_points_read = False


class LoadPlugins:
    """Loads plugins in the process that unpickles it; the unpickled value is None.

    A process unpickles its arguments in order, and a class that a plugin defines can be unpickled only after the
    plugin is loaded. So pass it as the first argument of a process::

        Process(target=run, args=(LoadPlugins(config.plugins), request))
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def __reduce__(self) -> tuple[Callable[..., None], tuple[tuple[str, ...]]]:
        return load_plugins, (self.names,)


def plugins_of(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names under `plugins` in the raw mapping of a configuration.

    Raises ConfigError if they are not a list of texts.
    """
    names = data.get(KEY, ())
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name.strip() for name in names):
        hint = f"; write [{names}]" if isinstance(names, str) and names.strip() else ""
        raise ConfigError(f"{KEY}: must be a list of dotted modules and paths of .py files, got {names!r}{hint}")
    return tuple(names)


def absolute_plugins(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names with the paths of files made absolute, so that they hold in any working directory."""
    return tuple(absolute_path(name) if _is_path(name) else name for name in names)


def load_plugins(names: Sequence[str]) -> None:
    """Import the plugins that installed packages declare, then those in `names`; each is imported once.

    A name is a dotted module, searched in Python's path and then in the working directory, or the path of a ``.py``
    file, relative to the working directory. Raises one ConfigError for all plugins that cannot be imported,
    register nothing or register a name that is taken.
    """
    _load_entry_points()
    issues: list[str] = []
    cause = None
    for name in names:
        try:
            _load(name)
        except ConfigError as error:
            issues.extend(f"{KEY}: {name}: {issue}" for issue in error.issues)
            cause = cause or error.__cause__
    if issues:
        raise ConfigError(issues) from cause


def _load_entry_points() -> None:
    global _entry_points_read
    if _entry_points_read:
        return
    _entry_points_read = True
    for point in metadata.entry_points(group=GROUP):
        try:
            _checked(point.module, point.load)
        except ConfigError as error:
            package = point.dist.name if point.dist is not None else "an unknown package"
            LOGGER.warning(
                "the plugin '%s = %s' of the installed package %s is left out: %s",
                point.name,
                point.value,
                package,
                error,
            )


def _load(name: str) -> None:
    if _is_path(name):
        path = _file(name)
        module = _module_name(path)
        load: Callable[[], Any] = lambda: _import_file(module, path)  # noqa: E731
    elif all(part.isidentifier() for part in name.split(".")):
        module = name
        load = lambda: _import_module(name)  # noqa: E731
    else:
        raise ConfigError("is neither a dotted module, such as my_package.my_plugin, nor the path of a .py file")
    if module not in _loaded:
        _checked(module, load)
        _loaded.add(module)


def _checked(module: str, load: Callable[[], Any]) -> None:
    """Import a plugin and check that it registered something; a failed import leaves nothing registered."""
    before = len(registrations())
    try:
        load()
    except (Exception, SystemExit) as error:
        # A failed module is removed from sys.modules; modules that it imported remain, with their registrations.
        take_back(item for item in registrations()[before:] if item.cls.__module__ not in sys.modules)
        raise ConfigError(_reason(error, module)) from error
    inside = (item.cls.__module__ for item in registrations())
    if len(registrations()) == before and not any(f"{item}.".startswith(f"{module}.") for item in inside):
        raise ConfigError(
            "registers nothing: a plugin decorates a class, as in "
            "@BACKBONES.register('my_backbone') with paddle_automl.models.backbones.base.BACKBONES"
        )


def _import_module(name: str) -> None:
    top = name.partition(".")[0]
    importlib.invalidate_caches()
    if top not in sys.modules and importlib.util.find_spec(top) is None:
        # A script has its own folder in Python's path, not the working directory.
        folder = os.getcwd()
        if folder not in sys.path:
            sys.path.append(folder)
    importlib.import_module(name)


def _import_file(name: str, path: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise


def _is_path(name: str) -> bool:
    return name.endswith(".py") or "/" in name or os.sep in name


def _file(name: str) -> Path:
    path = located(name).resolve()
    if path.is_dir():
        raise ConfigError(f"{readable(path)} is a folder; name a .py file in it")
    if path.suffix != ".py":
        raise ConfigError("must end in .py, or be a dotted module such as my_package.my_plugin")
    if not path.is_file():
        raise ConfigError(f"there is no file {readable(path)}")
    return path


def _module_name(path: Path) -> str:
    """Return a module name for a file that is the same in every process, so that its classes can be pickled."""
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return f"paddle_automl_plugin_{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}_{digest}"


def _reason(error: BaseException, module: str) -> str:
    """Return why an import failed, in one sentence with the line of the plugin."""
    place = _place(error)
    if isinstance(error, ConfigError):
        return f"{error} ({place})"
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return (
            f"cannot be imported: there is no module '{error.name}'; install its package, add its folder to "
            "PYTHONPATH, or give the path of its .py file"
        )
    return f"cannot be imported: {type(error).__name__}: {error} ({place})"


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename not in (__file__, importlib.__file__, metadata.__file__)
        and not frame.filename.startswith("<frozen")
    ]
    if not frames:
        return "before its first line"
    # Other code that the plugin calls may have raised the error: the plugin's own last line is wanted.
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f"{own[-1].filename}:{own[-1].lineno}"
