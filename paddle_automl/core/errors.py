"""The exception tree of the package, and the helper that suggests a valid name for a wrong one.

A message says where (the dotted key, the file, the row), what was got, what is valid, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class AutoMLError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(AutoMLError):
    """One or more mistakes in a configuration; all of them are reported at once."""

    def __init__(self, issues: str | Sequence[str]) -> None:
        self.issues: tuple[str, ...] = (issues,) if isinstance(issues, str) else tuple(issues)
        super().__init__(self.issues)

    def __str__(self) -> str:
        if len(self.issues) == 1:
            return self.issues[0]
        return "\n".join([f"{len(self.issues)} mistakes:", *(f"  {issue}" for issue in self.issues)])


class DataError(AutoMLError):
    """The data cannot be used as configured; the message names the file or the row."""


class StudyError(AutoMLError):
    """The output folder holds another study, or the study cannot be continued."""


class OutputError(AutoMLError):
    """A result cannot be written."""


class MachineError(AutoMLError):
    """The machine ended a job: no space, an I/O error, no process, killed from outside. It can be tried again."""


class TrialError(AutoMLError):
    """A trial failed in a known way (divergence, memory, time); the search goes on."""


class TimeUpError(TrialError):
    """A job was ended because the time for it was up."""


class InfeasibleError(TrialError):
    """A trial was not trained, because its network is beyond a constraint of the search."""


class SearchFailedError(AutoMLError):
    """The search ended without one usable trial."""


class InterruptedRunError(AutoMLError):
    """Ctrl-C ended the command; the message says what is kept and how to go on."""


class BundleError(AutoMLError):
    """A folder is not a bundle, or the bundle is damaged."""


class ParityError(AutoMLError):
    """The exported model does not predict what the trained network predicts."""


class UnsupportedError(AutoMLError):
    """The combination of options is valid, but the chosen component does not support it."""


def did_you_mean(name: object, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest valid name, or an empty string."""
    matches = difflib.get_close_matches(str(name), list(valid), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def unknown_name(kind: str, name: object, valid: Iterable[str]) -> str:
    """Return the sentence for a name that no plugin has: the name and all valid names."""
    names = sorted(valid)
    listing = ", ".join(names) if names else "none"
    hint = did_you_mean(name, names)
    return f"unknown {kind} '{name}'{hint if hint else ';'} valid: {listing}"
