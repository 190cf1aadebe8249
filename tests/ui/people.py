"""Made-up people, and runs on them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pandas as pd

from tabwright.cli.main import main


def census(rows=900, seed=0):
    """Made-up people like those of the Adult table: numbers, categories, missing values, two classes."""
    rng = np.random.default_rng(seed)
    education = rng.choice(["HS-grad", "Some-college", "Bachelors", "Masters"], rows, p=[0.4, 0.3, 0.2, 0.1])
    years = pd.Series(education).map({"HS-grad": 9, "Some-college": 10, "Bachelors": 13, "Masters": 14}).to_numpy()
    age, hours = rng.integers(17, 80, rows), rng.integers(10, 70, rows)
    z = 0.35 * (years - 10) + 0.04 * (age - 40) + 0.03 * (hours - 40) + rng.normal(0, 0.8, rows)
    made = pd.DataFrame({
        "age": age, "workclass": rng.choice(["Private", "State-gov", "Self-emp"], rows), "education": education,
        "education-num": years, "hours-per-week": hours, "zone": rng.integers(1, 6, rows),
        "income": np.where(z > 0.8, ">50K", "<=50K"),
    })  # fmt: skip
    made.loc[rng.random(rows) < 0.1, "workclass"] = None
    return made


def tabwright(*arguments: object) -> str:
    """What a command prints, which is done."""
    with contextlib.redirect_stdout(io.StringIO()) as told:
        assert main([*map(str, arguments)]) == 0
    return told.getvalue()


def finished_run(folder: Path, frame: pd.DataFrame, target: str) -> Path:
    """A run of two linear candidates and a boosted one."""
    data, path = folder / "table.parquet", folder / "run"
    frame.to_parquet(data)
    tabwright("fit", data, "--target", target, "--max-models", 2, "--max-runtime-secs", 100, "--nfolds", 3,
              "--include-families", "linear,lightgbm", "--quiet", "--out", path)  # fmt: skip
    return path
