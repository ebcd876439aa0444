"""The plugins that a bundle needs: code, and therefore never taken from the bundle itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from paddle_automl.core.errors import BundleError
from paddle_automl.core.paths import located
from paddle_automl.core.plugins import load_plugins
from paddle_automl.deployment.integrity import declared_plugins


def load_declared_plugins(bundle: Path) -> None:
    """Load the plugins that the configuration in a bundle names, so that its input and its task are known.

    A bundle is data that may come from anybody. Raises BundleError for a plugin that lies in the bundle's own
    folder, and ConfigError for one that cannot be loaded.
    """
    names = declared_plugins(bundle)
    inside = [name for name in names if _lies_in(name, bundle)]
    if inside:
        raise BundleError(
            f"{bundle}: names the plugin {', '.join(inside)} in its own folder; code in a bundle is not run. "
            "If you trust it, put it elsewhere and name it there"
        )
    load_plugins(names)


def _lies_in(name: str, bundle: Path) -> bool:
    folder = bundle.resolve()
    if name.endswith(".py") or os.sep in name:
        found = [located(name).resolve()]
    else:
        path = Path(*name.split("."))
        found = [Path(entry, path).resolve() for entry in (os.getcwd(), *sys.path)]
    return any(folder in item.parents or item == folder for item in found)
