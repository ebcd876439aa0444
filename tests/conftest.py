"""Time limits: a test that hangs fails with the stacks of its threads instead of holding up the suite.

The limit of an ordinary test is in pyproject.toml; one that needs another has ``@pytest.mark.timeout(seconds)``.
"""

from pathlib import Path

import pytest

COMMANDS = Path(__file__).parent / "e2e"
COMMANDS_S = 600
"""For a test that runs whole commands, and the fixtures that it is the first to use."""
SLOW_S = 3600
"""For a test marked as slow."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that are meant to take long a limit of their own."""
    for item in items:
        if item.get_closest_marker("timeout") is not None:
            continue
        if item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.timeout(SLOW_S))
        elif COMMANDS in item.path.parents:
            item.add_marker(pytest.mark.timeout(COMMANDS_S))
