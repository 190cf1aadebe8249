"""Boosting libraries without the interfaces that nothing here uses.

LightGBM and XGBoost import scikit-learn, pandas and Dask, where these are installed, for estimators of their own. That
is most of the time that importing them takes, and a worker process imports them before its first fold.
"""

from __future__ import annotations

import sys
from importlib import import_module

LIBRARIES = ("lightgbm", "xgboost")
UNUSED = ("sklearn", "pandas", "dask", "distributed", "matplotlib")


def load() -> None:
    """Import the libraries as if they stood alone; nothing where what they would import is there already."""
    if any(name in sys.modules for name in UNUSED):
        return
    sys.modules.update(dict.fromkeys(UNUSED))  # type: ignore[arg-type]  # None refuses the import, as if not installed
    try:
        for name in LIBRARIES:
            import_module(name)
    finally:
        for name in UNUSED:
            del sys.modules[name]


def forget() -> None:
    """Let what a user brings import them whole."""
    for name in LIBRARIES:
        if name in sys.modules and not sys.modules[f"{name}.compat"].SKLEARN_INSTALLED:
            for module in [m for m in sys.modules if m.split(".")[0] == name]:
                del sys.modules[module]
