"""AutoML for tables: from data to one exact, portable, measured ONNX file.

``AutoMLClassifier`` and ``AutoMLRegressor`` train; ``load_model`` scores an exported file and needs nothing but
onnxruntime and NumPy. Names are loaded when first used, so importing the package costs almost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tabwright.api import AutoMLClassifier, AutoMLRegressor
    from tabwright.errors import TabwrightError, UserError
    from tabwright.runtime import Model, load_model

__version__ = "0.1.0"
__all__ = ["AutoMLClassifier", "AutoMLRegressor", "Model", "TabwrightError", "UserError", "load_model"]

_HOME = {
    "AutoMLClassifier": "tabwright.api", "AutoMLRegressor": "tabwright.api", "Model": "tabwright.runtime",
    "TabwrightError": "tabwright.errors", "UserError": "tabwright.errors", "load_model": "tabwright.runtime",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'tabwright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
