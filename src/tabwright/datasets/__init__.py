"""The bundled demo table."""

from __future__ import annotations

from pathlib import Path

CALIFORNIA_HOUSING = Path(__file__).with_name("california_housing.parquet")
"""20,640 rows of the 1990 US census, target ``MedHouseVal`` in 100,000 US$ (StatLib; Pace & Barry 1997,
doi:10.1016/S0167-7152(96)00140-X)."""
