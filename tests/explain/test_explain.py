"""Explanations of real runs and of a made model whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, load_model
from tabwright.cli.main import main
from tabwright.data.infer import infer_schema
from tabwright.errors import DataError, OptionError
from tabwright.explain import explain
from tabwright.explain.explanation import explain_subject
from tabwright.explain.subject import Subject
from tabwright.testing.tables import mixed_frame
from tabwright.types import Task

QUICK = {"max_runtime_secs": 60, "max_models": 2, "include_families": ["lightgbm", "linear"], "nfolds": 2,
         "progress": False}  # fmt: skip


def known(task=Task.REGRESSION):
    """y = 3a + (shop is 'x') - half of b; `twin` is a again, but the model does not read it; c is noise."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=800), "b": rng.normal(size=800), "c": rng.normal(size=800)})
    frame["twin"] = frame["a"] + 0.05 * rng.normal(size=800)
    frame["shop"] = rng.choice(["x", "y", "z"], 800)
    schema = infer_schema(frame, None, task)

    def score(rows):
        value = 3 * rows.numbers[:, 0] + (rows.strings[:, 0] == "x") - 0.5 * rows.numbers[:, 1]
        if task is Task.REGRESSION:
            return value[:, None]
        p = 1 / (1 + np.exp(-value))
        return np.column_stack([1 - p, p])

    classes = np.array([], object) if task is Task.REGRESSION else np.array(["no", "yes"], object)
    subject = Subject(schema, task, classes, score)
    truth = 3 * frame["a"] + (frame["shop"] == "x") - 0.5 * frame["b"]
    return subject, frame, truth


def test_importance_tells_what_the_model_reads():
    subject, frame, truth = known()
    found = explain_subject(subject, frame, truth).importance.set_index("columns")
    assert list(found.index[:2]) == ["a", "a + twin"] or list(found.index[:2]) == ["a + twin", "a"]
    assert found.loc["c", "importance"] == 0 and found.loc["twin", "importance"] == 0
    assert bool(found.loc["a + twin", "is_group"])
    assert (found.low <= found.importance + 1e-9).all() and (found.importance <= found.high + 1e-9).all()
    # rmse after dealing a out anew: sqrt(2) * 3 standard deviations of a
    assert found.loc["a", "importance"] == pytest.approx(np.sqrt(2) * 3 * frame["a"].std(), rel=0.1)
    without = explain_subject(subject, frame).importance.set_index("columns")
    assert without.loc["a", "importance"] > without.loc["b", "importance"] > without.loc["c", "importance"] == 0


def test_dependence_recovers_slopes_and_steps():
    subject, frame, truth = known()
    found = explain_subject(subject, frame, truth)
    for name, slope in (("a", 3.0), ("b", -0.5), ("c", 0.0)):
        table = found.dependence(name).table
        for kind in ("mean", "ale"):
            assert np.polyfit(table["value"], table[kind], 1)[0] == pytest.approx(slope, abs=1e-9), (name, kind)
    shop = found.dependence("shop").table.set_index("value")["mean"]
    assert shop["x"] - shop["y"] == pytest.approx(1.0) and shop["y"] == pytest.approx(shop["z"])
    assert found.dependence("a").ice.shape == (300, 20)


def test_slices_find_the_planted_weakness_and_nothing_in_noise():
    subject, frame, truth = known()
    noise = np.random.default_rng(1).normal(size=800)
    assert explain_subject(subject, frame, truth + noise).slices.empty
    planted = truth + noise * np.where((frame["shop"] == "z") & (frame["c"] > frame["c"].quantile(0.6)), 6, 1)
    first = explain_subject(subject, frame, planted).slices
    assert first["slice"].str.contains("shop = 'z'").iloc[0] or first["slice"].str.contains("c >").iloc[0]
    assert any("shop = 'z'" in s and "c >" in s for s in first["slice"])
    assert (first.p_value < 0.05).all() and (first.ratio > 1).all()


def test_surrogate_imitates_and_says_how_well():
    subject, frame, _ = known()
    found = explain_subject(subject, frame).surrogate
    assert 0.7 < found.fidelity < 1 and found.rules["share"].sum() == pytest.approx(1.0)
    assert "a >" in found.rules["rule"].iloc[0]


def test_fairness_of_classes_and_numbers():
    subject, frame, truth = known(Task.BINARY)
    frame = frame.assign(sex=np.where(frame["a"] > 0, "f", "m"), age=np.arange(800))
    found = explain_subject(subject, frame, np.where(truth > 0, "yes", "no"))
    fair = found.fairness("sex")  # no feature of the model
    assert fair.positive == "yes" and fair.groups["rows"].sum() == 800
    rates = fair.groups["selection_rate"]
    expected = {g: float((truth[frame["sex"] == g] > 0).mean()) for g in ("f", "m")}
    assert rates.to_dict() == pytest.approx(expected, abs=0.01)
    assert fair.gaps["demographic_parity_difference"] == pytest.approx(rates["f"] - rates["m"])
    assert fair.gaps["equalised_odds_difference"] <= 0.01  # the model is right in both groups
    assert len(found.fairness("age").groups) == 4
    flipped = found.fairness("sex", positive="no")
    assert flipped.groups["selection_rate"].to_dict() == pytest.approx((1 - rates).to_dict())
    with pytest.raises(OptionError, match="one per row"):
        found.fairness(["f", "m"])
    subject, frame, truth = known()
    numbers = explain_subject(subject, frame, truth + 1.0 * (frame["shop"] == "y")).fairness("shop")
    assert numbers.groups.loc["y", "mean_error"] == pytest.approx(-1.0)
    assert numbers.gaps["mean_error_difference"] == pytest.approx(1.0)


def test_counterfactuals_reach_the_goal_with_few_changes():
    subject, frame, truth = known(Task.BINARY)
    found = explain_subject(subject, frame)
    row = int(np.argmin(truth))
    answers = found.counterfactuals(row)
    assert len(answers) and answers["n_changes"].is_monotonic_increasing
    schema_rows = answers[[c.name for c in subject.schema.columns]]
    again = explain_subject(subject, schema_rows).prediction[:, 1]
    assert (again >= 0.5).all()
    kept = found.counterfactuals(row, fixed=["a"])
    assert kept.empty or (kept["a"] == frame["a"].iloc[row]).all()
    regression, frame, truth = known()
    up = explain_subject(regression, frame).counterfactuals(row, above=2.0)
    assert (explain_subject(regression, up[[c.name for c in regression.schema.columns]]).prediction >= 2.0).all()
    with pytest.raises(OptionError, match="no goal"):
        explain_subject(regression, frame).counterfactuals(row)


def test_counterfactuals_are_scored_as_they_are_told():
    frame = pd.DataFrame({"t": 1.7e9 + np.arange(200)})  # numbers that are the same in single precision
    schema = infer_schema(frame, None, Task.REGRESSION)
    subject = Subject(schema, Task.REGRESSION, np.array([], object), lambda rows: rows.numbers[:, :1])
    found = explain_subject(subject, frame).counterfactuals(0, above=1.7e9 + 100)
    assert len(found) and (found["t"] >= 1.7e9 + 100).all()


@pytest.fixture(scope="module")
def frame():
    frame = mixed_frame(500, seed=3)
    signal = np.nan_to_num(frame["amount"].to_numpy(float)) + 4 * (frame["colour"] == "red") + frame["count"] / 10
    frame["price"] = signal
    frame["level"] = pd.qcut(signal, 3, labels=["low", "mid", "high"]).astype(str)
    return frame


@pytest.fixture(scope="module")
def fitted(frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    regressor = AutoMLRegressor(**QUICK, export_checkpoints_dir=folder / "price")
    classifier = AutoMLClassifier(**QUICK, export_checkpoints_dir=folder / "level")
    regressor.fit(frame.drop(columns=["level"]), target="price")
    classifier.fit(frame.drop(columns=["price"]), target="level")
    regressor.export(folder / "price.onnx")
    return regressor, classifier, folder


def test_contributions_add_up_to_what_is_predicted(fitted, frame):
    for made in fitted[:2]:
        found = made.explain(frame.head(60), max_evaluations=3000)
        assert not found.shap.exact
        if made is fitted[0]:
            table = found.contributions()
            np.testing.assert_allclose(table["prediction"], made.predict(frame.head(60)), rtol=1e-9)
            total = table["base"] + table[found.subject.names].sum(axis=1)
            np.testing.assert_allclose(total, table["prediction"], rtol=1e-9)
        else:
            for k, name in enumerate(made.classes_):
                shown = found.contributions(class_=name)["prediction"]
                np.testing.assert_allclose(shown, made.predict_proba(frame.head(60))[:, k], atol=1e-9)


def test_each_row_is_told_by_the_class_that_is_predicted_of_it(fitted, frame):
    made = fitted[1]
    told = made.explain(frame.head(60), max_evaluations=3000).row_by_row()
    proba = made.predict_proba(frame.head(60))
    assert told["class"].tolist() == made.predict(frame.head(60)).tolist() and told["class"].nunique() == 3
    np.testing.assert_allclose(told["prediction"], proba.max(axis=1), atol=1e-9)
    first = told["reason_1"].iloc[0]
    strongest = told.iloc[0, 1:-5].astype(float).abs().idxmax()
    assert strongest in first


def test_a_file_is_explained_as_its_estimator(fitted, frame):
    made, _, folder = fitted
    model = load_model(folder / "price.onnx")
    data = frame.head(100)
    by_file = explain(model, data, "price", max_evaluations=2000)
    by_run = made.explain(data, "price", max_evaluations=2000)
    pd.testing.assert_frame_equal(by_file.importance, by_run.importance)
    np.testing.assert_allclose(by_file.shap.values, by_run.shap.values, atol=1e-9)
    assert by_file.importance["columns"].iloc[0] == "amount"
    reasons = by_file.reasons(top=2)
    assert list(reasons.columns) == ["prediction", "reason_1", "reason_2"] and len(reasons) == 100
    one = by_file.reasons(data.iloc[0].drop(["price", "level"]).to_dict(), top=1)
    assert len(one) == 1


def test_a_run_explains_its_own_table_out_of_fold(fitted):
    for made in fitted[:2]:
        found = made.explain(max_evaluations=2000, max_rows=300)
        assert len(found.rows) in (299, 300, 301) and found.y is not None
        assert not np.allclose(found.honest_prediction, found.prediction)
        html = found._repr_html_()
        assert html.count("<svg") >= 4 and "http" not in html.replace('xmlns="http://www.w3.org/2000/svg"', "")
        text = pd.DataFrame(found.importance)
        assert len(text) >= 9


def test_command_line(fitted, frame, tmp_path, capsys):
    *_, folder = fitted
    frame.head(20).to_csv(tmp_path / "rows.csv", index=False)
    out = ["--rows", str(tmp_path / "c.csv"), "--out", str(tmp_path / "e.html"), "--by", "colour"]
    assert main(["explain", str(folder / "price.onnx"), str(tmp_path / "rows.csv"), *out]) == 0
    shown = capsys.readouterr().out
    assert "amount" in shown and "by colour" in shown
    written = pd.read_csv(tmp_path / "c.csv")
    assert {"base", "prediction", "reason_3"} <= set(written.columns) and len(written) == 20
    assert (tmp_path / "e.html").read_text().startswith("<!doctype html>")
    assert main(["explain", str(folder / "level"), "--max-rows", "20"]) == 0
    assert main(["explain", str(folder / "price.onnx")]) == 0
    assert "explained on 32 rows" in capsys.readouterr().out
    assert main(["explain", str(folder / "price.onnx"), str(tmp_path / "rows.csv"), "--by", "nothing"]) == 2


def test_faults_are_named(fitted, frame):
    made, other, _ = fitted
    found = made.explain(frame.head(30).drop(columns=["price"]))
    with pytest.raises(DataError, match="without true values"):
        _ = found.slices
    with pytest.raises(OptionError, match="does not use"):
        found.dependence("nothing")
    with pytest.raises(OptionError, match="no class"):
        other.explain(frame.head(30)).contributions(class_="huge")
    with pytest.raises(DataError, match="500 rows and y has 3"):
        made.explain(frame, [1, 2, 3])
    with pytest.raises(DataError, match="no column 'nix'"):
        made.explain(frame, "nix")
    with pytest.raises(OptionError, match="more than two classes"):
        other.explain(frame.head(30)).counterfactuals(0)
