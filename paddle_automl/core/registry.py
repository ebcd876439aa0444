"""Registry of one kind of plugin, filled from the files of a folder on the first look-up.

A plugin is a class in a file of the folder, decorated with ``@REGISTRY.register("its_name")``. Adding
one is adding one file. Importing the package that owns a registry imports no plugin.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Generic, TypeVar

from paddle_automl.core.errors import ConfigError, unknown_name

T = TypeVar("T")
C = TypeVar("C", bound=type)


class Registry(Generic[T]):
    """Classes of one kind by name.

    `kind` is the word used in messages and by the ``describe`` command. `package` is the dotted name of the
    folder (or the single module) whose files register the classes. `section` is where in a configuration
    the kind stands.
    """

    def __init__(self, kind: str, package: str, section: str) -> None:
        self.kind = kind
        self.package = package
        self.section = section
        self._classes: dict[str, type[T]] = {}
        self._missing: dict[str, str] = {}
        self._scanned = False

    def register(self, name: str) -> Callable[[C], C]:
        """Return the decorator that enters a class under `name`; a second class of that name is an error."""

        def enter(cls: C) -> C:
            known = self._classes.get(name)
            if known is not None and known.__qualname__ != cls.__qualname__:
                raise ValueError(f"{self.kind} '{name}' is registered twice: {known!r} and {cls!r}")
            self._classes[name] = cls
            cls.name = name  # type: ignore[attr-defined]
            return cls

        return enter

    def __getitem__(self, name: str) -> type[T]:
        """Return the class registered as `name`; raises ConfigError with the nearest valid name."""
        if name not in self._classes:
            self._import_file(name)
        if name not in self._classes:
            self._import_all()
        if name not in self._classes:
            raise ConfigError(self._unknown(name))
        return self._classes[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._classes or name in self.names())

    def names(self) -> list[str]:
        """Return all names in alphabetical order; imports every file of the folder once."""
        self._import_all()
        return sorted(self._classes)

    def summary(self, name: str) -> str:
        """Return the first line of the class's docstring."""
        doc = self[name].__doc__ or ""
        return doc.strip().splitlines()[0] if doc.strip() else ""

    def _unknown(self, name: str) -> str:
        message = unknown_name(self.kind, name, self._classes)
        for file, reason in self._missing.items():
            message += f"\n  not loaded: {file}: {reason}"
        return message

    def _import_file(self, name: str) -> None:
        package = importlib.import_module(self.package)
        files = {info.name for info in pkgutil.iter_modules(getattr(package, "__path__", ()))}
        if name in files:
            self._import(name)

    def _import_all(self) -> None:
        if self._scanned:
            return
        package = importlib.import_module(self.package)
        for info in pkgutil.iter_modules(getattr(package, "__path__", ())):
            if not info.name.startswith("_") and info.name != "base":
                self._import(info.name)
        self._scanned = True

    def _import(self, file: str) -> None:
        try:
            importlib.import_module(f"{self.package}.{file}")
        except ModuleNotFoundError as error:
            # A plugin whose optional library is missing only disables itself; our own modules must exist.
            if error.name is None or error.name.split(".")[0] == "paddle_automl":
                raise
            self._missing[file] = str(error)
