"""Entering classes of a test into a registry for a while, as a plugin does for good."""

from contextlib import contextmanager

from paddle_automl.core.registry import registrations, take_back


@contextmanager
def registered(registry, name, cls):
    """Enter the class under the name, and take it out again."""
    before = set(registrations())
    registry.register(name)(cls)
    try:
        yield cls
    finally:
        take_back([item for item in registrations() if item not in before])
