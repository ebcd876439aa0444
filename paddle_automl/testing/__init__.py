"""Contract tests for each kind of plugin, as test classes for pytest; one file per kind.

To test a plugin, derive a class from the contract of its kind and name the plugin's class::

    import pytest
    from my_package.schedules import OneCycle
    from paddle_automl.testing.lr_schedules import LrScheduleContract

    @pytest.mark.parametrize("plugin", [OneCycle])
    class TestOneCycle(LrScheduleContract):
        pass

The package itself is tested by the same classes. They need pytest, which comes with the extra ``test``.
"""

import pkgutil

import pytest

# Failed assertions then show the compared values.
pytest.register_assert_rewrite(*(f"{__name__}.{info.name}" for info in pkgutil.iter_modules(__path__)))
