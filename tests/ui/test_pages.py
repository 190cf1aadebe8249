"""The web interface in a real browser, from an upload to the notebook that repeats it all."""

from __future__ import annotations

import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import nbformat
import onnxruntime
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from people import census, tabwright
from playwright.sync_api import expect

from tabwright import load_model
from tabwright.testing.clusters import LoopbackCluster
from tabwright.ui.tables import Source, Tables
from tabwright.ui.workspace import Workspace

MENU = ("/", "/data", "/runs", "/new", "/models", "/notebook", "/machine")


@contextmanager
def interface(workspace, *arguments, **environment):
    """``tabwright ui`` on a free port; its address."""
    command = [sys.executable, "-m", "tabwright.cli.main", "ui", "--port", "0", "--workspace", workspace, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=os.environ | environment)  # fmt: skip
    lines, found = [], queue.Queue()

    def read():
        for line in process.stdout:
            lines.append(line)
            if match := re.search(r"tabwright ui on (http://\S+)", line):
                found.put(match[1])
        found.put("")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        url = found.get(timeout=90)
        assert url, "".join(lines)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        reader.join(timeout=10)
        process.stdout.close()
    assert not [line for line in lines if "Traceback" in line], "".join(lines)


@contextmanager
def user(browser, **options):
    """A page in a browser of its own; what its scripts complain about fails the test."""
    complaints = []
    with browser.new_context(viewport={"width": 1440, "height": 900}, **options) as context:
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        yield page
    ignored = ("401", "404", "ERR_CONNECTION_REFUSED", "WebSocket")  # of a server that a test stops
    assert [c for c in complaints if not any(i in c for i in ignored)] == []


def upload(page, url, path):
    page.goto(f"{url}/data")
    page.wait_for_selector("input[type=file]", state="attached")
    page.set_input_files("input[type=file]", path)
    page.wait_for_url(re.compile(r"/data/[^/?]+$"))


DROP = """(zone, files) => { const data = new DataTransfer();
    for (const [name, text] of files) data.items.add(new File([text], name));
    for (const type of ["dragover", "drop"])
        zone.dispatchEvent(new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: data})) }"""


def choose(page, label, option):
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=option, exact=True).click()


def test_from_an_upload_to_the_notebook(browser, tmp_path):
    data = tmp_path / "people.csv"
    census().to_csv(data, index=False, sep=";")
    with interface(tmp_path / "workspace") as url, user(browser) as page:
        upload(page, url, data)
        expect(page.get_by_text("900", exact=True).first).to_be_visible()
        choose(page, "Column to predict (target)", "income")
        choose(page, "Kind of zone", "categorical")
        expect(page.get_by_label("Kind of zone", exact=True).first).to_have_value("categorical")
        _run(page)
        _lead_by_the_fastest(page)
        model = _export(page, tmp_path)
        _what_if(page)
        _score(page, tmp_path)
        _explain(page)
        page.goto(f"{url}/notebook")
        for title in ("Read people", "Take column zone as categorical", "Run people", "lead people", "Export people",
                      "What if", "Score people", "Explain people"):  # fmt: skip
            expect(page.get_by_role("heading", name=re.compile(title)).first).to_be_visible()
        with page.expect_download() as got:
            page.get_by_role("button", name="Download .ipynb").click()
        got.value.save_as(tmp_path / "session.ipynb")
        with page.expect_download() as got:
            page.get_by_role("button", name="Download .py").click()
        got.value.save_as(tmp_path / "session.py")
    _repeat(tmp_path, model)


def _run(page):
    page.get_by_role("button", name="New run").click()
    page.wait_for_url(re.compile("/new"))
    expect(page.get_by_text("roc_auc of a constant prediction")).to_be_visible()
    page.get_by_label("Candidates at most").fill("3")
    choose(page, "Folds", "3")
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url(re.compile("/runs/people$"))
    expect(page.get_by_role("cell", name="lightgbm_1", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_role("cell", name="lightgbm_1", exact=True)).to_be_visible()
    expect(page.get_by_text("finished", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("ensemble|_1$")).first).to_be_visible()


def _lead_by_the_fastest(page):
    page.get_by_role("tab", name="Front").click()
    page.get_by_role("button", name="Work the front out").click()
    expect(page.get_by_role("img", name="The Pareto front: score by latency")).to_be_visible()
    page.get_by_role("button", name="Let it lead").last.click()
    expect(page.get_by_text(re.compile("^Delivered: .* chosen from the front"))).to_be_visible()


def _export(page, folder):
    page.get_by_role("button", name="Export the leader").click()
    page.wait_for_url(re.compile("/models/people$"))
    expect(page.get_by_text("rows compared")).to_be_visible()
    with page.expect_download() as got:
        page.get_by_role("button", name="Download the file").click()
    got.value.save_as(folder / "people.onnx")
    onnxruntime.InferenceSession(folder / "people.onnx", providers=["CPUExecutionProvider"])
    return load_model(folder / "people.onnx")


def _what_if(page):
    page.get_by_role("tab", name="What if").click()
    told = page.get_by_test_id("prediction")
    expect(told).to_contain_text("income =")
    before = told.inner_text()
    page.get_by_label("age", exact=True).fill("70")
    page.get_by_label("education-num", exact=True).fill("14")
    expect(told).not_to_have_text(before)
    page.get_by_role("button", name="Show contributions").click()
    expect(page.get_by_role("img", name="Contributions", exact=True)).to_be_visible()
    said = re.search(r"= (\S+) \(", told.inner_text())[1]
    expect(page.get_by_text(f"P({said})", exact=True)).to_be_visible()
    page.get_by_role("button", name="Keep this row in the notebook").click()
    expect(page.get_by_text("'age': 70").first).to_be_visible()


def _score(page, folder):
    page.get_by_role("tab", name="Score a table").click()
    page.get_by_role("button", name="Score it").click()
    expect(page.get_by_text("900 predictions.")).to_be_visible()
    with page.expect_download() as got:
        page.get_by_role("button", name="Download predictions").click()
    got.value.save_as(folder / "predictions.csv")
    assert list(pd.read_csv(folder / "predictions.csv").columns) == ["prediction", "p_<=50K", "p_>50K"]


def _explain(page):
    page.get_by_role("tab", name="Explain").click()
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(page.get_by_role("img", name="Importance of columns")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Effect of"))).to_be_visible()


def _repeat(folder, model):
    """The notebook runs as it is, and makes a model of the same columns."""
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "done.ipynb", "session.ipynb"],
        cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"TMPDIR": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(folder / "done.ipynb", as_version=4).cells
    assert sum(cell.cell_type == "code" for cell in cells) >= 8
    (again,) = Path(folder).glob("tabwright-notebook-*/people.onnx")
    assert load_model(again).schema.used == model.schema.used
    compile((folder / "session.py").read_text(), "session.py", "exec")


def test_runs_go_on_without_the_server(browser, tmp_path):
    workspace = tmp_path / "workspace"
    census(300).to_csv(tmp_path / "people.csv", index=False)
    with user(browser) as page:
        with interface(workspace) as url:
            upload(page, url, tmp_path / "people.csv")
            choose(page, "Column to predict (target)", "income")
            page.goto(f"{url}/new?table=people")
            page.get_by_label("Time for everything, seconds").fill("300")
            page.get_by_role("button", name="Start the run").click()
            page.wait_for_url(re.compile("/runs/people$"))
            expect(page.get_by_text("running", exact=True)).to_be_visible()
            expect(page.get_by_text(re.compile(r"Running now: \w+_\d+, fold \d"))).to_be_visible()
        with interface(workspace) as url:
            page.goto(f"{url}/runs/people")
            expect(page.get_by_text("running", exact=True)).to_be_visible()
            page.get_by_role("button", name="Stop").click()
            expect(page.get_by_text("stopped", exact=True)).to_be_visible()
            page.get_by_role("button", name="Go on").click()
            page.get_by_label("Seconds more").fill("5")
            page.get_by_role("dialog").get_by_role("button", name="Go on").click()
            expect(page.get_by_text("finished", exact=True)).to_be_visible()
            page.get_by_role("tab", name="Time line").click()
            expect(page.get_by_text("worker 1").first).to_be_visible()


def test_a_run_on_a_dask_cluster(browser, tmp_path):
    census(300).to_csv(tmp_path / "people.csv", index=False)
    with LoopbackCluster() as cluster, interface(tmp_path / "w") as url, user(browser) as page:
        cluster.add(2)
        upload(page, url, tmp_path / "people.csv")
        choose(page, "Column to predict (target)", "income")
        page.goto(f"{url}/machine")
        expect(page.get_by_text("No running job uses one.")).to_be_visible()
        page.goto(f"{url}/new?table=people")
        choose(page, "Where folds are fitted", "Dask: a scheduler's address")
        page.get_by_label("Scheduler's address").fill("nowhere")
        expect(page.get_by_text(re.compile("Option engine is 'nowhere'"))).to_be_visible()
        page.get_by_label("Scheduler's address").fill(cluster.address)
        page.get_by_label("Time for everything, seconds").fill("200")
        page.get_by_role("button", name="Start the run").click()
        page.wait_for_url(re.compile("/runs/people$"))
        expect(page.get_by_text(re.compile("Running now"))).to_be_visible()
        page.goto(f"{url}/machine")
        expect(page.get_by_role("heading", name=cluster.address)).to_be_visible()
        expect(page.get_by_label(f"Workers of {cluster.address}").get_by_role("row")).to_have_count(3)
        page.get_by_role("button", name="Stop Run people").click()
        expect(page.get_by_text("No running job uses one.")).to_be_visible()


def test_two_users_a_token_and_faults(browser, tmp_path):
    token = "a token of the tests"
    census(60).to_csv(tmp_path / "people.csv", index=False)
    with interface(tmp_path / "w", "--token", token) as url, user(browser) as one, user(browser) as two:
        for page in (one, two):
            page.goto(f"{url}/data")
            page.get_by_label("Token").fill("not the token" if page is one else token)
            page.get_by_role("button", name="Sign in").click()
        expect(one.get_by_role("alert")).to_have_text("This is not the token.")
        one.get_by_label("Token").fill(token)
        one.get_by_role("button", name="Sign in").click()
        expect(one.get_by_role("heading", name="Data", exact=True)).to_be_visible()
        upload(one, url, tmp_path / "people.csv")
        upload(two, url, tmp_path / "people.csv")
        assert one.url.endswith("/data/people") and two.url.endswith("/data/people-2")
        two.goto(f"{url}/notebook")
        expect(two.get_by_role("heading", name=re.compile("Read people-2"))).to_be_visible()
        assert two.get_by_role("heading", name=re.compile(r"Read people \(")).count() == 0
        one.goto(f"{url}/data")
        one.get_by_role("tab", name="Path").click()
        one.get_by_label(re.compile("^Path of a file")).fill(str(tmp_path / "peple.csv"))
        one.get_by_role("button", name="Read it").click()
        expect(one.get_by_text(re.compile("there is no file .*people.csv"))).to_be_visible()
        for path in ("/data/none", "/runs/none", "/models/none", "/runs/none/models/x", "/data/..%2F..%2Fetc"):
            one.goto(url + path)
            expect(one.get_by_role("alert").or_(one.get_by_text("404")).first).to_be_visible()


def test_files_are_dropped_and_tables_put_together(browser, tmp_path):
    zones = pd.DataFrame({"zone": [1, 2, 3, 3], "region": ["north", "south", "east", "far east"]})
    census(60).to_csv(tmp_path / "people.csv", index=False)
    with interface(tmp_path / "w") as url, user(browser) as page:
        upload(page, url, tmp_path / "people.csv")
        page.get_by_role("tab", name="Join and append").click()
        expect(page.get_by_text("There is no other table yet.")).to_be_visible()
        page.goto(f"{url}/data")
        page.get_by_role("tab", name="Path").click()  # files may be dropped whatever is open
        page.get_by_label(re.compile("^Path of a file")).wait_for()
        page.locator(".tw-drop").evaluate(DROP, [["a.csv", "x"], ["b.csv", "x"]])
        expect(page.get_by_text("Drop one file at a time.")).to_be_visible()
        page.locator(".tw-drop").evaluate(DROP, [["zones.csv", zones.to_csv(index=False)]])
        page.wait_for_url(re.compile("/data/zones$"))
        page.goto(f"{url}/data/people?tab=Join and append")
        expect(page.get_by_label("Key columns here")).to_be_visible()
        choose(page, "Keep", "all rows of this table")
        page.get_by_role("button", name="Join", exact=True).click()
        expect(page.get_by_text(re.compile("rows, 8 columns"))).to_be_visible()
        expected = census(60).merge(zones, how="left", on="zone")
        joined = pd.read_parquet(tmp_path / "w" / "tables" / "people-zones" / "table.parquet")
        assert joined["region"].isna().tolist() == expected["region"].isna().tolist()
        page.get_by_role("button", name="Append", exact=True).click()
        expect(page.get_by_text(re.compile("Column 'age' is in people and not in"))).to_be_visible()
        page.get_by_role("switch", name=re.compile("^Leave cells")).click()
        page.get_by_role("button", name="Append", exact=True).click()
        expect(page.get_by_role("link", name="people-more")).to_be_visible()
        page.goto(f"{url}/notebook")
        expect(page.get_by_text("join_tables(people, zones, ['zone'], how='left')").first).to_be_visible()
        expect(page.get_by_text(re.compile("tabwright append .* --fill")).first).to_be_visible()


def test_a_new_run_is_told_what_its_columns_would_stop(browser, tmp_path):
    census(200).to_csv(tmp_path / "people.csv", index=False)
    with interface(tmp_path / "w") as url, user(browser) as page:
        upload(page, url, tmp_path / "people.csv")
        choose(page, "Column to predict (target)", "income")
        page.goto(f"{url}/new?table=people")
        expect(page.get_by_text("200 rows, 6 columns")).to_be_visible()
        choose(page, "Groups", "zone")
        expect(page.get_by_text("200 rows, 5 columns")).to_be_visible()
        choose(page, "Time", "age")
        expect(page.get_by_text(re.compile("group_column can't be combined with time_column"))).to_be_visible()
        expect(page.get_by_role("button", name="Start the run")).to_be_disabled()


def test_what_the_page_of_a_server_says_can_be_sent(browser, tmp_path, regression_run):
    workspace = Workspace.open(tmp_path / "w")
    workspace.reserve("models", "hours")
    tabwright("export", regression_run, "--out", workspace.path("models", "hours") / "model.onnx")
    with interface(workspace.root) as url, user(browser) as page:
        page.goto(f"{url}/models/hours")
        expect(page.get_by_role("cell", name="SHA-256")).to_be_visible()
        expect(page.get_by_role("cell", name="threshold")).to_have_count(0)
        page.goto(f"{url}/models/hours?tab=Serve")
        page.get_by_role("button", name="Start a server").click()
        told = page.get_by_text(re.compile("^curl -s http"))
        expect(told).to_be_visible()
        done = subprocess.run(shlex.split(told.inner_text()), capture_output=True, text=True, check=True)
        assert len(json.loads(done.stdout)["predictions"]) == 1
        page.get_by_role("button", name="Stop it").click()
        expect(page.get_by_role("button", name="Start a server")).to_be_visible()


TABS = {"/data/people": ("Columns", "Rows", "Quality", "Set-up", "Split and compare", "Join and append"),
        "/runs/people": ("Leaderboard", "Front", "Families", "Failures", "Time line", "Settings", "Log"),
        "/models/people": ("Report", "Explain", "What if", "Score a table", "Test", "Serve", "Other languages"),
        "/runs/people/models/linear_1": ("Quality", "Settings")}  # fmt: skip
OTHERS = ("/runs/people/compare?a=linear_1&b=lightgbm_1", "/data/none", "/runs/empty", "/login")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), pytest.param("dark", 390, marks=pytest.mark.slow)])
def test_every_page_is_accessible(browser, tmp_path, binary_run, scheme, width):
    """axe-core finds nothing serious, in light mode on a desk and in dark mode on a telephone."""
    workspace = Workspace.open(tmp_path / "w")
    tables = Tables(workspace)
    for name in ("people", "others"):
        census().to_csv(tmp_path / f"{name}.csv", index=False)
        tables.save(replace(tables.bring(Source("path", str(tmp_path / f"{name}.csv"))), target="income"))
    shutil.copytree(binary_run, workspace.root / "runs" / "people")
    workspace.reserve("runs", "empty")
    workspace.reserve("models", "people")
    tabwright("export", binary_run, "--examples", "--out", workspace.path("models", "people", "model.onnx"))
    paths = [*MENU, *OTHERS, *(f"{path}?tab={tab}" for path, tabs in TABS.items() for tab in tabs)]
    token = "a token of the tests"
    found = []
    with interface(workspace.root, "--token", token) as url, user(browser, color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(url)
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{url}/")
        for path in paths:
            page.goto(url + path)
            expect(page.locator("h1")).to_have_count(1)
            page.wait_for_timeout(500)  # what follows the first paint
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            told = Axe().run(page).response["violations"]
            found += [(path, v["id"], v["nodes"][0]["html"][:200])
                      for v in told if v["impact"] in ("serious", "critical")]  # fmt: skip
    assert found == []


def test_every_page_works_by_keyboard_and_on_a_telephone(browser, tmp_path):
    with interface(tmp_path / "w") as url, user(browser) as page:
        page.set_viewport_size({"width": 390, "height": 800})
        for path in MENU:
            page.goto(url + path)
            expect(page.locator("h1")).to_have_count(1)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        page.goto(url + "/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Try the demo table").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("/data/california_housing"))
        expect(page.get_by_text("20,640")).to_be_visible()
