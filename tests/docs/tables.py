"""Made-up tables that the pages of the documentation are tried on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def houses(*names: str, n: int = 300) -> None:
    """Write tables with the target ``price``; the suffix of a name tells the format."""
    for k, name in enumerate(names):
        rng = np.random.default_rng(k)
        frame = pd.DataFrame({
            "rooms": rng.integers(1, 9, n), "area": np.round(rng.normal(90, 25, n), 1),
            "region": rng.choice(["north", "south", "coast"], n), "age": np.round(rng.uniform(18, 90, n)),
        })  # fmt: skip
        frame["price"] = np.round(2000 * frame["area"] + 40_000 * (frame["region"] == "coast")
                                  + 9000 * frame["rooms"] + rng.normal(0, 8000, n))  # fmt: skip
        write(frame, name)


def census(*names: str, n: int = 300) -> None:
    """Write tables of the bundled kind, with the target ``MedHouseVal``."""
    from tabwright.datasets import CALIFORNIA_HOUSING

    whole = pd.read_parquet(CALIFORNIA_HOUSING)
    for k, name in enumerate(names):
        write(whole.sample(n, random_state=k).reset_index(drop=True), name)


def payments(*names: str, n: int = 400) -> None:
    """Write tables with the target ``fraud`` ("yes" or "no")."""
    for k, name in enumerate(names):
        rng = np.random.default_rng(k)
        frame = pd.DataFrame({
            "amount": np.round(rng.lognormal(4, 1, n), 2), "hour": rng.integers(0, 24, n),
            "country": rng.choice(["DE", "FR", "PL"], n), "channel": rng.choice(["web", "app"], n),
        })  # fmt: skip
        risk = -2 + np.log(frame["amount"]) - 4 + 1.5 * (frame["country"] == "PL")
        frame["fraud"] = np.where(rng.random(n) < 1 / (1 + np.exp(-risk)), "yes", "no")
        write(frame, name)


def write(frame: pd.DataFrame, name: str) -> None:
    """One table as CSV or Parquet."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(name, index=False) if name.endswith(".parquet") else frame.to_csv(name, index=False)
