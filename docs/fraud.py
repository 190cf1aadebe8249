"""From a table with rare frauds to a watched model: trains, exports, serves, tells outcomes, and makes the data drift.

    python docs/fraud.py [--data DIR] [--seconds 60] [--screenshots DIR]

Without ``--data`` (a folder with sales_fraud.parquet) the table is made up: 2 % frauds among 20,000 payments.
docs/fraud.md walks through it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
from prometheus_client.parser import text_string_to_metric_families
from sklearn.metrics import average_precision_score, roc_auc_score

from tabwright import AutoMLClassifier, load_model

WINDOW_S = 240


def payments(n: int = 20_000, seed: int = 0) -> tuple[pd.DataFrame, str, str, str]:
    """A made-up table, its target, the class that is the fraud, and the column that will drift."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "amount": np.round(rng.lognormal(4, 1, n), 2), "hour": rng.integers(0, 24, n),
        "country": rng.choice(["DE", "FR", "PL", "US", "BR"], n, p=[0.4, 0.3, 0.15, 0.1, 0.05]),
        "channel": rng.choice(["web", "app", "phone"], n), "account_age_days": rng.integers(0, 3000, n),
    })  # fmt: skip
    risk = (
        -5.6 + 0.9 * (np.log(frame["amount"]) - 4) + 1.2 * ((frame["hour"] < 6) & (frame["channel"] == "phone"))
        + 1.5 * (frame["account_age_days"] < 60) + 0.8 * frame["country"].isin(["US", "BR"])
    )  # fmt: skip
    frame["fraud"] = np.where(rng.random(n) < 1 / (1 + np.exp(-risk)), "yes", "no")
    return frame, "fraud", "yes", "amount"


def sales(folder: str) -> tuple[pd.DataFrame, str, str, str]:
    """The sales fraud table (Torgo, Data Mining with R)."""
    return pd.read_parquet(Path(folder) / "sales_fraud.parquet"), "Insp", "fraud", "Val"


def split(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from, and a stratified 40 % that arrive later."""
    rng = np.random.default_rng(0)
    later = np.zeros(len(frame), bool)
    for value in frame[target].unique():
        rows = rng.permutation(np.flatnonzero(frame[target] == value))
        later[rows[: int(0.4 * len(rows))]] = True
    return frame[~later].reset_index(drop=True), frame[later].sample(frac=1, random_state=0).reset_index(drop=True)


class Shop:
    """What calls the server."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60)

    def pay(self, rows: pd.DataFrame, outcomes: pd.Series | None = None) -> None:
        """Ask about rows in small requests, and tell their outcomes where they are known."""
        records = json.loads(rows.to_json(orient="records"))
        truth = None if outcomes is None else outcomes.tolist()
        for start in range(0, len(records), 25):
            answer = self.http.post("/predict", json=records[start : start + 25])
            answer.raise_for_status()
            if truth is not None:
                pairs = zip(answer.json()["ids"], truth[start : start + 25], strict=True)
                self.http.post("/feedback", json=[{"id": i, "outcome": o} for i, o in pairs]).raise_for_status()

    def metric(self, name: str, **labels: str) -> float | None:
        """The sample of /metrics with that name and these labels."""
        for family in text_string_to_metric_families(self.http.get("/metrics").text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return None

    def wait_for(self, wanted: float, name: str, **labels: str) -> None:
        """Until a metric has a value."""
        end = time.monotonic() + 60
        while self.metric(name, **labels) != wanted:
            if time.monotonic() > end:
                raise SystemExit(f"{name} did not become {wanted:g}")
            time.sleep(0.5)


def photograph(url: str, path: Path) -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        print("no Chromium here, so no screenshot")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1180, "height": 900})
        page.goto(url + "/monitor")
        page.wait_for_selector(".numbers")
        page.screenshot(path=path, full_page=True)
        browser.close()
    print(f"screenshot: {path}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder with sales_fraud.parquet")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--screenshots", type=Path, default=None)
    args = parser.parse_args()
    frame, target, fraud, column = sales(args.data) if args.data else payments()
    learn, later = split(frame, target)
    rows, truth = later.drop(columns=[target]), later[target]
    share = (frame[target].astype(str) == fraud).mean()
    print(f"{len(frame):,} rows, {share:.1%} {target} = {fraud}; {len(learn):,} to learn from")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "fraud.onnx"
        aml = AutoMLClassifier(max_runtime_secs=args.seconds, sort_metric="roc_auc", progress=False)
        print(aml.fit(learn, target=target).export(path))
        model = load_model(path)
        position = [str(c) for c in model.classes_].index(fraud)
        score, is_fraud = model.predict_proba(rows)[:, position], truth.astype(str) == fraud
        print(f"later rows, by the exported file: AUC {roc_auc_score(is_fraud, score):.4f}, average precision "
              f"{average_precision_score(is_fraud, score):.4f} (chance: {is_fraud.mean():.4f})")  # fmt: skip
        command = [sys.executable, "-m", "tabwright.cli.main", "serve", str(path), "--port", "0", "--window-secs",
                   str(WINDOW_S), "--evaluate-secs", "2"]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            url = re.search(r"http://\S+", process.stdout.readline())[0]
            watch(Shop(url), url, (rows, truth), column, args.screenshots)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    return 0


def watch(shop: Shop, url: str, later: tuple[pd.DataFrame, pd.Series], column: str, screenshots: Path | None) -> None:
    """Ordinary traffic with outcomes, then traffic that has drifted."""
    rows, truth = later
    half = len(rows) // 2
    shop.pay(rows[:half], truth[:half])
    shop.wait_for(float(half), "tabwright_window_outcomes")
    alert = {"name": "tabwright_alert", "kind": "column_drift", "column": column}
    psi = {"name": "tabwright_column_drift_psi", "column": column}
    live = {m: shop.metric("tabwright_live_metric", metric=m) for m in ("roc_auc", "average_precision_rare_class")}
    print(f"{half:,} rows served and their outcomes told: live AUC {live['roc_auc']:.4f}, average precision "
          f"{live['average_precision_rare_class']:.4f}; drift of {column}: PSI {shop.metric(**psi):.3f}, alarm "
          f"{shop.metric(**alert):.0f}")  # fmt: skip
    if screenshots:
        photograph(url, screenshots / "monitor.png")
    began = time.monotonic()
    shop.pay(rows[half:].assign(**{column: rows[column][half:] * 5}))
    shop.wait_for(1.0, **alert)
    print(f"{len(rows) - half:,} rows with {column} five times as large: PSI {shop.metric(**psi):.3f}, alarm on after "
          f"{time.monotonic() - began:.0f} s")  # fmt: skip
    if screenshots:
        photograph(url, screenshots / "monitor-drift.png")


if __name__ == "__main__":
    sys.exit(main())
