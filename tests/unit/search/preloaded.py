"""A module that a fork server imports before any job: it remembers who imported it."""

import os

IMPORTED_BY = os.getpid()
