"""Which errors are faults of the machine."""

import errno

import pytest

from paddle_automl.core.errors import ConfigError, DataError, MachineError, OutputError, TrialError
from paddle_automl.core.machine_faults import is_machine_fault


def raised_for(outer, inner, hide):
    try:
        try:
            raise inner
        except type(inner):
            raise outer from (None if hide else inner)
    except type(outer) as error:
        return error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE])
def test_space_and_files_and_disks_are_the_machines(number):
    error = OSError(number, "x")
    assert is_machine_fault(error)
    # Also behind an error that hides where it comes from, as of a picture that could not be opened.
    assert is_machine_fault(raised_for(DataError("a.png: x"), error, hide=True))
    assert is_machine_fault(raised_for(ValueError("x"), error, hide=False))


@pytest.mark.parametrize("error", [OutputError("x"), MachineError("x")])
def test_what_cannot_be_written_is_the_machines(error):
    assert is_machine_fault(error)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "x"),
        MemoryError(),
        TrialError("diverged"),
        ConfigError("x"),
        ValueError("x"),
    ],
)
def test_all_else_belongs_to_the_configuration(error):
    assert not is_machine_fault(error)
    assert not is_machine_fault(raised_for(DataError("x"), error, hide=True))
