"""How fluid the web interface is: python benchmarks/ui.py [--rows 300000] [--models 500].

Told are medians over some loads in headless Chromium on loopback: the first page (server's answer, and until it is
drawn), a large table's page (drawn, and its columns' profile), a page of its rows (first, and turned), and a
leaderboard of many models (first drawn, filtered, scrolled to its end). The leaderboard's run is a real one whose
journal is filled with made-up candidates.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
from playwright.sync_api import Page

from tabwright.testing.browser import chromium
from tabwright.ui.tables import Source, Tables
from tabwright.ui.workspace import Workspace


def timed(action, repeats: int = 5) -> float:
    """Median seconds."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def large_table(workspace: Workspace, rows: int, folder: Path) -> None:
    rng = np.random.default_rng(0)
    made = pd.DataFrame({f"x{j}": rng.normal(size=rows) for j in range(17)})
    for name, n_levels in (("few", 3), ("many", 40), ("lots", 5000)):
        made[name] = rng.integers(0, n_levels, rows).astype(str)
        made[name] = name + made[name]
    made.to_parquet(folder / "large.parquet")
    Tables(workspace).bring(Source("path", str(folder / "large.parquet")))


def large_board(workspace: Workspace, models: int) -> None:
    """A real run, and candidates like its first one in its journal."""
    table = workspace.root / "tables" / "small.parquet"
    pd.DataFrame({"x": np.arange(200.0), "y": np.arange(200.0) % 7}).to_parquet(table)
    path = workspace.root / "runs" / "many"
    subprocess.run([sys.executable, "-m", "tabwright.cli.main", "fit", str(table), "--target", "y", "--max-models", "1",
                    "--include-families", "linear", "--quiet", "--out", str(path)], check=True)  # fmt: skip
    with sqlite3.connect(path / "journal.sqlite") as journal:
        for k in range(models):
            name = f"linear_{k + 100}"
            journal.execute("INSERT INTO candidates SELECT ?, family, params, seed, origin, created FROM candidates "
                            "LIMIT 1", (name,))  # fmt: skip
            journal.execute(
                "INSERT INTO folds SELECT ?, fold, status, reason, started, seconds, cpu_seconds, peak_memory_mib, "
                "score + ?, n_iterations, artefact_sha256, worker, stages FROM folds WHERE model_id = "
                "(SELECT model_id FROM candidates LIMIT 1)", (name, k * 1e-4),
            )  # fmt: skip
    journal.close()


def measure(url: str, page: Page, kept: Path) -> None:
    client = httpx.Client(base_url=url)
    client.get("/")
    print(f"first page, server's answer    {timed(lambda: client.get('/')) * 1000:8.0f} ms")

    def first() -> None:
        page.goto(url)
        page.get_by_role("heading", name="Overview").wait_for()

    print(f"first page, drawn              {timed(first) * 1000:8.0f} ms")

    def looked_at() -> float:
        """Milliseconds until the columns have been looked at, after the page was drawn; the profile is made anew."""
        kept.unlink(missing_ok=True)
        page.goto(f"{url}/data/large")
        page.get_by_role("heading", name="large").wait_for()
        drawn.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        page.get_by_role("button", name="x16", exact=True).wait_for()
        return float(page.evaluate("performance.now()"))

    drawn: list[float] = []
    profiled = statistics.median(looked_at() for _ in range(3))
    print(f"table's page, first paint      {statistics.median(drawn):8.0f} ms")
    print(f"table's page, profile drawn    {profiled:8.0f} ms")

    def table() -> None:
        page.goto(f"{url}/data/large?tab=Rows")
        page.get_by_role("cell", name="49", exact=True).wait_for()

    print(f"page of rows, first drawn      {timed(table) * 1000:8.0f} ms")
    state = {"start": 0}

    def turn() -> None:
        state["start"] += 50
        page.get_by_label("Next page").click()
        page.get_by_role("cell", name=f"{state['start'] + 49:,}", exact=True).wait_for()

    print(f"page of rows, turned           {timed(turn) * 1000:8.0f} ms")

    def board() -> None:
        page.goto(f"{url}/runs/many")
        page.get_by_role("link", name=re.compile("^linear_")).first.wait_for()

    print(f"leaderboard, first drawn       {timed(board) * 1000:8.0f} ms")
    names = iter(range(300, 400))

    def search() -> None:
        name = f"linear_{next(names)}"
        page.get_by_label("Filter").fill(name)
        page.get_by_role("link", name=name, exact=True).wait_for()

    print(f"leaderboard, filtered          {timed(search) * 1000:8.0f} ms (0.2 s of it wait for the next key)")
    page.get_by_label("Filter").fill("")
    page.get_by_role("link", name=re.compile("^linear_")).nth(10).wait_for()
    last = page.locator("a[href*='/models/linear_']").last

    def scroll() -> None:
        page.evaluate("document.querySelector('.tw-sticky .q-table__middle').scrollTop = 0")
        page.get_by_role("cell", name="2", exact=True).first.wait_for()
        before = last.inner_text()
        page.evaluate("document.querySelector('.tw-sticky .q-table__middle').scrollTop = 1e7")
        page.wait_for_function("before => [...document.querySelectorAll(\"a[href*='/models/linear_']\")].at(-1)"
                               ".innerText !== before", arg=before)  # fmt: skip

    print(f"leaderboard, scrolled to end   {timed(scroll) * 1000:8.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--models", type=int, default=500)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tabwright-ui-"))
    workspace = Workspace.open(folder / "workspace")
    large_table(workspace, args.rows, folder)
    large_board(workspace, args.models)
    print(f"{args.rows:,} rows, {args.models} models")
    command = [sys.executable, "-m", "tabwright.cli.main", "ui", "--port", "0", "--workspace", str(workspace.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = re.search(r"http://\S+", server.stdout.readline())
            assert url is not None
            with chromium() as browser:
                kept = workspace.path("tables", "large", "profile.json")
                measure(url[0], browser.new_page(viewport={"width": 1440, "height": 900}), kept)
        finally:
            server.terminate()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
