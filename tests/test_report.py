"""The report and the model card of real runs."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, load_model
from tabwright.cli.main import main
from tabwright.curves import calibration, confusion, precision_recall, roc
from tabwright.report.performance import figures
from tabwright.testing.tables import mixed_frame

QUICK = {"max_runtime_secs": 60, "max_models": 2, "include_families": ["lightgbm", "linear"], "nfolds": 2,
         "progress": False}  # fmt: skip
SECTIONS = ("Summary", "Data", "Quality", "Search", "Leaderboard", "What can be delivered: score against latency",
            "The leader's curves", "Which columns matter", "How far columns move predictions", "In three questions",
            "Where it is worst", "Failures", "Environment")  # fmt: skip


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects what a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.fetched, self.headings = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag != "meta":
            self.open.append(tag)
        self.fetched += [found[k] for k in ("src", "href", "xlink:href") if found.get(k)]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module", params=["price", "two", pytest.param("level", marks=pytest.mark.slow)])
def made(request, tmp_path_factory):
    frame = mixed_frame(400, seed=3)
    signal = np.nan_to_num(frame["amount"].to_numpy(float)) + 4 * (frame["colour"] == "red") + frame["count"] / 10
    targets = {"price": signal, "two": np.where(signal > np.median(signal), "<b>yes</b>", "no & never"),
               "level": pd.qcut(signal, 3, labels=["low", "mid", "high"]).astype(str)}  # fmt: skip
    folder = tmp_path_factory.mktemp("run") / request.param
    cls = AutoMLRegressor if request.param == "price" else AutoMLClassifier
    return cls(**QUICK, export_checkpoints_dir=folder).fit(frame, pd.Series(targets[request.param], name=request.param))


def test_report_is_one_page_that_loads_nothing(made, tmp_path):
    path = made.report(tmp_path / "report.html", max_evaluations=2000, max_rows=200)
    text = path.read_text()
    page = Page(text)
    assert all(link.startswith("#") for link in page.fetched)
    assert "url(http" not in text and "@import" not in text and "<script" not in text
    assert [h for h in SECTIONS if h not in page.headings] == []
    assert "<b>yes</b>" not in text  # classes are data, not markup
    board = made.leaderboard()
    assert f"{board.score.iloc[0]:.4g}" in text and "lightgbm_1" in text
    assert ">nan<" not in text and ">None<" not in text and ">NaT<" not in text


def test_model_card_tells_the_facts_and_travels_with_the_file(made, tmp_path):
    text = made.model_card(tmp_path / "card.md", intended_use="Pricing of second-hand shops.")
    assert (tmp_path / "card.md").read_text() == text
    assert "Pricing of second-hand shops." in text and "95 % interval" in text and "400 rows" in text
    for column in made.schema.used:
        assert f"| {column.name} |" in text
    made.export(tmp_path / "m.onnx")
    stored = load_model(tmp_path / "m.onnx").card
    assert stored.startswith(f"# Model card: {made.schema.target}") and "has not stated a use" in stored


@pytest.mark.parametrize("made", ["price", pytest.param("two", marks=pytest.mark.slow)], indirect=True)
def test_command_line(made, tmp_path, capsys):
    out = [str(made.run_dir), "--out", str(tmp_path / "r.html"), "--card", str(tmp_path / "c.md")]
    assert main(["report", *out]) == 0
    assert (tmp_path / "r.html").stat().st_size > 20_000 and (tmp_path / "c.md").exists()
    assert main(["report", str(made.run_dir), "--out", str(tmp_path / "no" / "r.html")]) == 2
    assert "Option --out" in capsys.readouterr().err


def test_curves_count_weights_as_the_metrics_do():
    frame = mixed_frame(300, seed=3)
    signal = np.nan_to_num(frame["amount"].to_numpy(float)) + np.random.default_rng(0).normal(size=300)
    frame["two"], frame["w"] = np.where(signal > np.median(signal), "yes", "no"), np.geomspace(1, 100, 300)
    quick = QUICK | {"max_models": 1, "include_families": ["linear"]}
    made = AutoMLClassifier(**quick).fit(frame, target="two", weights_column="w")
    found = re.search(r"ROC of &#x27;yes&#x27;: area ([0-9.]+)", figures(made._finished))
    assert float(found[1]) == pytest.approx(made._finished.metrics["roc_auc"], abs=1e-4)
    y, p, w = np.array([0, 1, 0, 1], bool), np.array([0.1, 0.2, 0.7, 0.9]), np.array([1.0, 3.0, 1.0, 1.0])
    assert calibration(y, p, w, bins=2)[0].y.tolist() == [0.75, 0.5]


def test_curves_by_hand():
    truth, score = np.array([0, 0, 1, 1], bool), np.array([0.1, 0.4, 0.35, 0.8])
    assert roc(truth, score).area == 0.75 and roc(truth, score).x[-1] == 1
    assert precision_recall(truth, score).area == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    curve, rows = calibration(truth, score, bins=2)
    assert curve.y.tolist() == [0.5, 0.5] and rows.tolist() == [2, 2] and curve.x == pytest.approx([0.225, 0.6])
    assert confusion(np.array([0, 1, 1]), np.array([1, 1, 0]), 2).tolist() == [[0, 1], [1, 1]]
    many = roc(np.arange(5000) % 2 == 0, np.random.default_rng(0).random(5000))
    assert len(many.x) <= 200 and many.x[0] == 0 and many.x[-1] == 1
