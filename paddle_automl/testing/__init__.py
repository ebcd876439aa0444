"""Contracts that every plugin of a kind must keep, as test classes for pytest; one file per kind.

Whoever writes a plugin derives a class from the contract of its kind and names the plugin's class::

    import pytest
    from my_package.schedules import OneCycle
    from paddle_automl.testing.lr_schedules import LrScheduleContract

    @pytest.mark.parametrize("plugin", [OneCycle])
    class TestOneCycle(LrScheduleContract):
        pass

The package itself is tested by the same classes. They need pytest, which an installation without the extra
``test`` does not have.
"""

import pkgutil

import pytest

# Failed assertions then show what they compared.
pytest.register_assert_rewrite(*(f"{__name__}.{info.name}" for info in pkgutil.iter_modules(__path__)))
