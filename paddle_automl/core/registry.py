"""Registry of one kind of plugin, filled from the files of a folder at the first look-up.

A plugin is a class in a file of the folder, decorated with ``@REGISTRY.register("its_name")``. Adding
one is adding one file. Importing the package that owns a registry imports no plugin. A class from outside the
package is registered in the same way by a module that `core.plugins` imports.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from paddle_automl.core.errors import ConfigError, unknown_name

T = TypeVar("T")
C = TypeVar("C", bound=type)


class Registration(NamedTuple):
    """A class from outside the package that owns the registry, registered under a name.

    `replaced` is the class of an earlier import of the same file, which the new one replaces.
    """

    registry: Registry[Any]
    name: str
    cls: type
    replaced: type | None


_registrations: list[Registration] = []


def registrations() -> tuple[Registration, ...]:
    """Return the registrations from outside the registries' own packages, oldest first."""
    return tuple(_registrations)


def take_back(items: Iterable[Registration]) -> None:
    """Undo registrations, newest first, as after an import that failed halfway."""
    for item in reversed(list(items)):
        _registrations.remove(item)
        item.registry._restore(item.name, item.replaced)


class Registry(Generic[T]):
    """Classes of one kind by name.

    `kind` is the word used in messages and by the ``describe`` command. `package` is the dotted name of the
    folder (or the single module) whose files register the classes. `section` is the configuration key of the kind.
    """

    def __init__(self, kind: str, package: str, section: str) -> None:
        self.kind = kind
        self.package = package
        self.section = section
        self._classes: dict[str, type[T]] = {}
        self._missing: dict[str, str] = {}
        self._scanned = False

    def register(self, name: str) -> Callable[[C], C]:
        """Return the decorator that registers a class under `name`.

        A name can be given once: raises ConfigError if another class has it, including the built-in ones.
        A class of the same name from the same file replaces the earlier one, so that a module can be reloaded.
        """
        if not isinstance(name, str):
            raise TypeError(f'a {self.kind} is registered by name, as in @REGISTRY.register("my_{self.kind}")')

        def enter(cls: C) -> C:
            foreign = _top(cls.__module__) != _top(self.package)
            if foreign:
                # The name may belong to a file of the folder that is not imported yet.
                self._import_all()
            known = self._classes.get(name)
            if known is not None and not _same(known, cls):
                raise ConfigError(
                    f"{self.kind} '{name}' is registered already, by {_full_name(known)}; "
                    f"give {_full_name(cls)} another name"
                )
            other = next((key for key, value in self._classes.items() if value is cls and key != name), None)
            if other is not None:
                raise ConfigError(
                    f"{_full_name(cls)} is registered as {self.kind} '{other}' already; "
                    f"derive a class from it to register it as '{name}'"
                )
            self._classes[name] = cls
            cls.name = name  # type: ignore[attr-defined]
            if foreign:
                _registrations.append(Registration(self, name, cls, known))
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

    def _restore(self, name: str, cls: type[T] | None) -> None:
        if cls is None:
            del self._classes[name]
        else:
            self._classes[name] = cls

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
            # A missing optional library only disables the plugin that needs it; modules of this package must exist.
            if error.name is None or error.name.split(".")[0] == "paddle_automl":
                raise
            self._missing[file] = str(error)


def _top(module: str) -> str:
    return module.partition(".")[0]


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _same(known: type, cls: type) -> bool:
    """Return whether both come from one class statement, even if its file is imported under two module names."""
    if known.__qualname__ != cls.__qualname__:
        return False
    return known.__module__ == cls.__module__ or _file(known) == _file(cls) is not None


def _file(cls: type) -> str | None:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return os.path.realpath(file) if file else None
