"""The monitoring page in a real browser."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect
from serving import ROW, serving
from test_monitoring import random_rows

from tabwright.serve import auth


@pytest.fixture
def page(browser):
    """A fresh page; what its scripts complain about fails the test."""
    complaints = []
    with browser.new_context() as context:
        opened = context.new_page()
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        yield opened
    assert [c for c in complaints if "401" not in c] == []


def test_figures_and_charts(models, page):
    rng = np.random.default_rng(0)
    options = ("--evaluate-secs", "0.3", "--window-secs", "120")
    with serving(models, *options) as run:
        told = run.post("/models/fraud/predict", json=random_rows(1500, rng, shift=1.5)).json()
        truth = rng.random(1500) < np.array(told["probabilities"])[:, 1]
        items = [{"id": i, "outcome": "yes" if t else "no"} for i, t in zip(told["ids"], truth, strict=True)]
        run.post("/feedback", json=items)
        run.post("/models/sum/predict", json={})
        run.wait_for(lambda: run.get("/monitor.json").json()["alerts"])
        page.goto(run.url + "/")  # leads to the page
        expect(page.get_by_role("heading", name="fraud version 1")).to_be_visible(timeout=15_000)
        expect(page.get_by_text("model=fraud version=1").first).to_be_visible()
        expect(page.get_by_text("column drift").first).to_be_visible()
        for name in ("Live roc_auc", "Calibration", "Latency, ms", "Requests per second", "Distribution of x",
                     "Drift by column: population stability index"):  # fmt: skip
            expect(page.get_by_role("img", name=name).first).to_be_visible()
        figure = page.locator(".numbers div", has_text="live roc_auc").first.inner_text()
        assert 0.5 < float(figure.split()[0]) <= 1
        assert page.locator("rect[fill='var(--red)']").count() >= 1  # the column that drifted
        expect(page.get_by_role("cell", name="MiB").first).to_be_visible()


def test_a_key_is_asked_for(models, page, tmp_path):
    key = auth.add_key(tmp_path / "keys", "me")
    with serving(models / "sum.onnx", "--keys", tmp_path / "keys", "--evaluate-secs", "0.3") as run:
        run.post("/predict", json=ROW, headers={"x-api-key": key})
        page.goto(run.url + "/monitor")
        field = page.get_by_label("API key")
        expect(field).to_be_visible(timeout=15_000)
        assert page.get_by_role("heading", name="sum").count() == 0
        field.fill(key)
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("heading", name="sum version 1")).to_be_visible(timeout=15_000)
        expect(field).to_be_hidden()


def test_names_from_models_are_no_markup(make_model, page, tmp_path):
    from tabwright import reference
    from tabwright.schema import Column, Schema
    from tabwright.types import Kind, Task

    evil = "<img src=x onerror=document.title='hacked'>"
    schema = Schema((Column(evil, Kind.NUMERIC),), "y", Task.REGRESSION)
    made = reference.build(schema, np.zeros((500, 1)), [], None)
    (tmp_path / "m.onnx").write_bytes(make_model(schema, reference=made))
    with serving(tmp_path / "m.onnx", "--evaluate-secs", "0.3") as run:
        run.post("/predict", json=[{evil: 5.0}] * 300)
        run.wait_for(lambda: run.get("/monitor.json").json()["alerts"])
        page.goto(run.url + "/monitor")
        expect(page.get_by_text("column drift").first).to_be_visible(timeout=15_000)
        assert page.title() == "tabwright: models in production"
        assert page.locator("img").count() == 0
