"""What notebooks show, and the tutorials run as notebooks."""

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from tabwright import AutoMLRegressor
from tabwright.display import progress_html
from tabwright.search.snapshot import Snapshot

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.ipynb"))


def test_a_fitted_estimator_shows_its_leader_and_board():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    made = AutoMLRegressor(max_models=1, include_families=["linear"], nfolds=2, max_runtime_secs=60, progress=False)
    assert made._repr_html_().startswith("<pre>") and "text/html" not in made._repr_mimebundle_()
    made.fit(frame, pd.Series(frame["a"] * 2 + frame["b"], name="<i>y</i>"))
    shown = made._repr_mimebundle_()["text/html"]
    assert "linear_1" in shown and "&lt;i&gt;y" in shown and "<i>y" not in shown and "<script" not in shown


def test_progress_tells_where_a_run_stands():
    html = progress_html(Snapshot(5.0, 15.0, "ensemble", 0.4, "rmse", (("xgboost_1", 0),), 3, 1), 20.0, "price")
    assert "width:25.0%" in html and "15 s left" in html and "xgboost_1 fold 1" in html and "0.4" in html
    assert "5 s gone" in progress_html(Snapshot(5.0, 0.0, "constant", float("nan"), "rmse", (), 0, 0), None, "price")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.stem, marks=() if p.stem == "fraud" else pytest.mark.slow) for p in TUTORIALS]
)
def test_tutorials_run(path, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_SECS", "120")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    budget = "max_runtime_secs=SECONDS"
    book = nbformat.reads(path.read_text("utf-8").replace(budget, f"{budget}, max_models=3, nfolds=2"), as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    done = NotebookClient(book, timeout=200, kernel_name="python3", resources=where).execute()
    outputs = [o for c in done.cells if c.cell_type == "code" for o in c.outputs]
    assert any("text/html" in o.get("data", {}) for o in outputs)
    assert any("predicting" in o.get("data", {}).get("text/html", "") for o in outputs)  # progress was shown


def test_there_are_three_tutorials():
    assert {p.stem for p in TUTORIALS} == {"housing", "fraud", "text_and_dates"}
