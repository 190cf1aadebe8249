"""Row-by-row comparison of an exported graph with the Python model."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from tabwright.errors import ParityError
from tabwright.types import Floats

RELATIVE_TOLERANCE = 1e-5
MAX_SHARE_BEYOND = 0.0


@dataclass(frozen=True)
class Parity:
    """How far ONNX and Python are apart.

    ``max_relative`` is |ONNX - Python|, of probabilities as it is, of values over the target's standard deviation or,
    where that is larger, the prediction's distance from its mean; ``share_beyond`` the share of rows where it exceeds
    ``tolerance``.
    """

    rows: int
    max_absolute: float
    max_relative: float
    share_beyond: float
    tolerance: float = RELATIVE_TOLERANCE

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def compare(onnx: Floats, python: Floats, mean: float = 0.0, scale: float = 1.0) -> Parity:
    """Compare predictions of shape (n_rows, n_outputs): probabilities, or values of a target with this mean and scale.

    What double precision itself leaves of a value is no difference.
    """
    difference = np.abs(onnx - python)
    beyond = np.maximum(difference - 8.0 * np.finfo(np.float64).eps * np.abs(python), 0.0)
    relative = beyond / np.maximum(np.abs(python - mean), max(scale, 1e-300))
    worst = relative.max(axis=1) if relative.size else np.zeros(0)
    finite = np.isfinite(onnx).all() and np.isfinite(python).all()
    return Parity(
        len(python), float(difference.max(initial=0.0)) if finite else float("inf"),
        float(worst.max(initial=0.0)) if finite else float("inf"),
        float((worst > RELATIVE_TOLERANCE).mean()) if len(worst) else 0.0,
    )  # fmt: skip


def require(parity: Parity) -> None:
    """ParityError if any row differs by more than the tolerance."""
    if parity.share_beyond > MAX_SHARE_BEYOND or not np.isfinite(parity.max_absolute):
        raise ParityError(
            f"The exported graph differs from the Python model on {parity.share_beyond:.2%} of {parity.rows} rows "
            f"(largest relative difference {parity.max_relative:.2g}); nothing was written."
        )
