"""Made-up tables, broken files and odd requests: what ends in a traceback, or in an export that predicts otherwise.

    python benchmarks/fuzz.py [--seconds 3600] [--targets fit,readers,loader,server] [--seed 0] [--out found]

``fit``: tables of any mix of kinds, names, sizes and missing cells, through ``fit``, ``export`` and ``load_model``; the
file must predict what the estimator does, also of rows with cells emptied and in another order. ``readers``: bytes that
are nearly a table. ``loader``: exported files with bytes changed. ``server``: bodies that are nearly right. Allowed are
answers and errors of :class:`tabwright.errors.UserError`, over HTTP a status below 500; all else is written to
``--out``, with what it takes to repeat it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import tables  # noqa: F401  (switches the experience store off)
from tabwright import AutoMLClassifier, AutoMLRegressor, load_model
from tabwright.data.readers import read_table
from tabwright.errors import ModelFileError, UserError
from tabwright.models import FAMILIES

NAMES_OF_FAMILIES = tuple(f.name for f in FAMILIES if f.extra is None)
Rng = np.random.Generator


# --- tables -------------------------------------------------------------------------------------------------------

def words(rng: Rng, n: int, k: int) -> list[str]:
    letters = np.array(list("abcdeXYZ éß漢😀'\",;\n\t_-0123456789"))
    pool = ["".join(rng.choice(letters, rng.integers(1, 12))) for _ in range(k)]
    return [pool[i] for i in rng.integers(0, k, n)]


def _dates(rng: Rng, n: int) -> pd.Series:
    return pd.Series(pd.Timestamp("2001-01-01") + pd.to_timedelta(rng.integers(-(10**9), 10**9, n), unit="s"))


COLUMNS: dict[str, Callable[[Rng, int], Any]] = {
    "normal": lambda r, n: r.normal(size=n),
    "single": lambda r, n: r.normal(size=n).astype(np.float32),
    "half": lambda r, n: r.normal(size=n).astype(np.float16),
    "heavy": lambda r, n: r.standard_cauchy(n) ** 5,
    "huge": lambda r, n: r.normal(size=n) * 10.0 ** r.integers(-300, 300, n),
    "infinite": lambda r, n: np.where(r.random(n) < 0.1, np.inf, r.normal(size=n)),
    "small whole": lambda r, n: r.integers(-3, 4, n).astype(np.int8),
    "whole": lambda r, n: r.integers(-(2**62), 2**62, n),
    "unsigned": lambda r, n: r.integers(2**63, 2**64 - 1, n, dtype=np.uint64),
    "boolean": lambda r, n: r.random(n) < 0.3,
    "nullable whole": lambda r, n: pd.array(r.integers(0, 9, n), "Int64"),
    "nullable boolean": lambda r, n: pd.array(r.random(n) < 0.5, "boolean"),
    "few words": lambda r, n: words(r, n, 4),
    "many words": lambda r, n: words(r, n, 10 * n),
    "text": lambda r, n: [" ".join(words(r, 12, 30)) for _ in range(n)],
    "blank": lambda r, n: list(r.choice(["", " ", "NA", "?", "x"], n)),
    "spelt numbers": lambda r, n: [f"{v:,.2f} €" for v in 1e4 * r.normal(size=n)],
    "spelt wholes": lambda r, n: [str(v) for v in r.integers(0, 99, n)],
    "category": lambda r, n: pd.Categorical(words(r, n, 5)),
    "whole category": lambda r, n: pd.Categorical(r.integers(0, 5, n), ordered=True),
    "date": _dates,
    "zoned date": lambda r, n: _dates(r, n).dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata"),
    "spelt date": lambda r, n: _dates(r, n).dt.strftime("%Y-%m-%d").tolist(),
    "day": lambda r, n: _dates(r, n).dt.date.tolist(),
    "duration": lambda r, n: pd.to_timedelta(r.integers(0, 10**6, n), unit="s"),
    "mixed": lambda r, n: [(1, "a", 2.5, True, None)[i] for i in r.integers(0, 5, n)],
    "decimal": lambda r, n: [Decimal(int(v)) / 7 for v in r.integers(0, 999, n)],
    "constant": lambda _, n: np.full(n, 7.0),
    "empty": lambda _, n: [None] * n,
    "counter": lambda _, n: np.arange(n),
    "list": lambda _, n: [[1, 2]] * n,
}  # fmt: skip
TARGETS: dict[str, Callable[[Rng, int], Any]] = {
    "value": lambda r, n: r.normal(size=n),
    "skewed": lambda r, n: np.exp(3 * r.normal(size=n)),
    "count": lambda r, n: r.poisson(2, n),
    "far": lambda r, n: 1e12 + r.normal(size=n),
    "two": lambda r, n: r.random(n) < 0.4,
    "names": lambda r, n: [("yes", "nö", "")[i] for i in r.integers(0, 2, n)],
    "codes": lambda r, n: r.integers(5, 9, n),
    "rare": lambda _, n: (np.arange(n) < 3).astype(int),
    "many": lambda r, n: [f"class {k}" for k in r.integers(0, 40, n)],
    "as category": lambda r, n: pd.Categorical(list(r.choice(list("abc"), n)), categories=list("abcd")),
    "the same": lambda _, n: np.ones(n),
}
REGRESSION = ("value", "skewed", "count", "far", "the same")
NAMES = st.one_of(
    st.sampled_from(["a", "b", "index", "target", "y", "prediction", "lat", "lon", "numbers", "strings", "a b", "0"]),
    st.text(max_size=12), st.integers(0, 3),
)  # fmt: skip


@dataclass
class Case:
    """One table and how it is learned."""

    frame: pd.DataFrame
    target: Any
    kinds: list[str]
    regression: bool
    form: str
    options: dict[str, Any]
    rng: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=8))
    names = draw(st.lists(NAMES, min_size=len(kinds), max_size=len(kinds)))
    number = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(number)
    n = draw(st.sampled_from([1, 5, 20, 60, 150, 400]))
    columns = []
    for kind in kinds:
        column = pd.Series(COLUMNS[kind](rng, n))
        missing = draw(st.sampled_from([0.0, 0.0, 0.1, 0.9]))
        columns.append(column.mask(rng.random(n) < missing) if missing else column)
    frame = pd.concat(columns, axis=1)
    frame.columns = pd.Index(names, dtype=object)
    target = draw(st.sampled_from(sorted(TARGETS)))
    y = pd.Series(TARGETS[target](rng, n), name="the target")
    if draw(st.booleans()) and target in ("value", "names"):
        y = y.mask(rng.random(n) < 0.1)
    options: dict[str, Any] = {
        "max_runtime_secs": None, "max_models": draw(st.integers(1, 4)), "seed": draw(st.integers(0, 3)),
        "include_families": draw(st.lists(st.sampled_from(NAMES_OF_FAMILIES), min_size=1, max_size=2, unique=True)),
        "nfolds": draw(st.sampled_from(["auto", 2, 1])),
    }  # fmt: skip
    if target not in REGRESSION and draw(st.booleans()):
        options["balance_classes"] = True
    form = draw(st.sampled_from(["pandas", "polars", "arrow", "csv", "parquet"]))
    return Case(frame, y, [*kinds, target], target in REGRESSION, form, options, number)


def given_as(case: Case, folder: Path) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of ``fit``."""
    if case.form == "pandas":
        return (case.frame, case.target), {}
    whole = case.frame.assign(**{"the target": case.target})
    whole.columns = pd.Index([str(c) for c in whole.columns])
    if case.form == "csv":
        whole.to_csv(folder / "table.csv", index=False)
        return (folder / "table.csv",), {"target": "the target"}
    try:
        table = pa.Table.from_pandas(whole, preserve_index=False)
        made = pl.from_arrow(table) if case.form == "polars" else table
        if case.form == "parquet":
            whole.to_parquet(folder / "table.parquet")
    except (pa.ArrowException, pl.exceptions.PolarsError, ValueError, TypeError):  # what pandas alone can hold
        return (case.frame, case.target), {}
    return ((folder / "table.parquet") if case.form == "parquet" else made,), {"target": "the target"}


def changed(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Rows in another order, some cells emptied, columns backwards."""
    out = frame.sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)
    return out.mask(rng.random(out.shape) < 0.2)


def check_fit(case: Case, folder: Path) -> str:
    aml: Any = (AutoMLRegressor if case.regression else AutoMLClassifier)(**case.options, progress=False)
    arguments, named = given_as(case, folder)
    try:
        aml.fit(*arguments, **named)
    except UserError as error:
        return f"refused ({type(error).__name__})"
    source = read_table(arguments[0]) if named else case.frame
    frame = source.drop(columns=[n for n in named.values() if n in source.columns])
    report = aml.export(folder / "model.onnx")
    model = load_model(report.path)
    answers = []
    for rows in (frame, changed(frame, np.random.default_rng(case.rng))):
        found = []
        for m in (aml, model):
            try:
                found.append(np.asarray(m.predict(rows) if case.regression else m.predict_proba(rows), float))
            except UserError as error:
                found.append(str(error))
        answers.append(found)
    for first, second in answers:
        if isinstance(first, str) or isinstance(second, str):
            assert type(first) is type(second), (first, second)
            continue
        assert np.isfinite(first).all(), "predictions are not finite"
        scale = max(1.0, float(np.abs(first).max()))
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5 * scale)
    return "fitted"


# --- bytes --------------------------------------------------------------------------------------------------------

@st.composite
def broken(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Bytes with some changed, cut, doubled or put in."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        what = draw(st.sampled_from(["flip", "cut", "insert", "double", "text"]))
        if what == "flip" and data:
            data[at] = draw(st.integers(0, 255))
        elif what == "cut":
            del data[at : at + draw(st.integers(1, 400))]
        elif what == "insert":
            data[at:at] = draw(st.binary(max_size=20))
        elif what == "double":
            data += data[at : at + 100]
        else:
            data[at:at] = draw(st.text(st.sampled_from('",;\n\r\t{}[]:\x00é\\\'0'), max_size=8)).encode()
    return bytes(data)


def tables_of_all_forms() -> dict[str, bytes]:
    frame = pd.DataFrame({"a": [1, 2, None, 4] * 5, "b": ["x", "y, z", "", 'q"'] * 5, "c": np.arange(20) / 7,
                          "d": pd.date_range("2020-01-01", periods=20)})  # fmt: skip
    out = {".csv": frame.to_csv(index=False).encode(), ".tsv": frame.to_csv(index=False, sep="\t").encode("utf-16"),
           ".json": frame.to_json(orient="records", date_format="iso").encode(),
           ".jsonl": frame.to_json(orient="records", lines=True, date_format="iso").encode()}  # fmt: skip
    for suffix, write in ((".parquet", frame.to_parquet), (".feather", frame.to_feather)):
        buffer = io.BytesIO()
        write(buffer)
        out[suffix] = buffer.getvalue()
    buffer = io.BytesIO()
    frame.to_excel(buffer, index=False)
    out[".xlsx"] = buffer.getvalue()
    return out


FORMS = tables_of_all_forms()


def check_reader(told: tuple[str, bytes], folder: Path) -> str:
    suffix, data = told
    path = folder / f"table{suffix}"
    path.write_bytes(data)
    try:
        read_table(path)
    except UserError as error:
        return f"refused ({type(error).__name__})"
    return "read"


@contextlib.contextmanager
def small_model() -> Iterator[tuple[Path, pd.DataFrame]]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"amount": rng.normal(size=300), "shop": rng.choice(list("abc"), 300),
                      "new": rng.random(300) < 0.5, "when": _dates(rng, 300),
                      "note": words(rng, 300, 400)})  # fmt: skip
    y = np.where(X["amount"] + (X["shop"] == "a") > 0, "yes", "no")
    with tempfile.TemporaryDirectory() as folder:
        aml = AutoMLClassifier(max_runtime_secs=None, max_models=2, include_families=["lightgbm", "linear"],
                               nfolds=2, progress=False)  # fmt: skip
        yield Path(aml.fit(X, y).export(Path(folder) / "model.onnx").path), X


def check_loader(data: bytes, folder: Path, rows: pd.DataFrame, whole: bytes) -> str:
    path = folder / "model.onnx"
    path.write_bytes(data)
    try:
        model = load_model(path)
    except ModelFileError:
        return "refused"
    assert data == whole, "a changed file was loaded"
    model.predict_proba(rows)
    return "loaded"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=12,
)
PATHS = ("/predict", "/invocations", "/v2/models/model/infer", "/v1/models/model:predict", "/feedback", "/score",
         "/models/model/predict")  # fmt: skip
TYPES = ("application/json", "text/csv", "application/vnd.apache.arrow.stream", "application/octet-stream", "",
         "a/b;c=", "application/json; charset=utf-16")  # fmt: skip


@st.composite
def requests(draw: st.DrawFn, row: dict[str, Any]) -> tuple[str, str, bytes]:
    cells = {k: draw(st.one_of(st.just(v), JSON)) for k, v in row.items() if draw(st.integers(0, 9))}
    bodies = [
        {"rows": [cells]}, {"instances": [cells, row]}, {"dataframe_records": [cells]}, cells, [cells],
        {"inputs": [{"name": k, "shape": draw(st.lists(st.integers(-1, 3), max_size=2)), "datatype": "FP32",
                     "data": [v]} for k, v in cells.items()]},
        {"dataframe_split": {"columns": list(cells), "data": [list(cells.values())]}}, draw(JSON),
    ]  # fmt: skip
    text = json.dumps(draw(st.sampled_from(bodies)), default=str).encode()
    comma = ",".join(row).encode() + b"\n" + ",".join(str(v) for v in cells.values()).encode()
    body = draw(broken(st.sampled_from([text, text, comma])))
    return draw(st.sampled_from(PATHS)), draw(st.sampled_from(TYPES[:1] * 4 + TYPES)), body


@contextlib.contextmanager
def served(path: Path) -> Iterator[httpx.Client]:
    process = subprocess.Popen([sys.executable, "-m", "tabwright", "serve", str(path), "--port", "0"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    try:
        assert process.stdout is not None
        address = next(m[1] for line in process.stdout if (m := re.search(r"(http://[\d.:]+)", line)))
        with httpx.Client(base_url=address, timeout=30) as client:
            yield client
        assert process.poll() is None, "the server has ended"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def check_request(request: tuple[str, str, bytes], client: httpx.Client) -> str:
    path, kind, body = request
    answer = client.post(path, content=body, headers={"content-type": kind} if kind else {})
    assert answer.status_code < 500, (answer.status_code, answer.text[:300])
    return str(answer.status_code)


# --- running ------------------------------------------------------------------------------------------------------

@dataclass
class Log:
    """What came of the examples; findings, one of a kind, in files."""

    out: Path
    counts: Counter[str] = field(default_factory=Counter)
    kinds: set[str] = field(default_factory=set)

    def note(self, target: str, example: Any, check: Callable[[], str]) -> None:
        try:
            self.counts[f"{target}: {check()}"] += 1
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in compiled code is no Exception
            frames = traceback.extract_tb(error.__traceback__)
            at = frames[-1]
            kind = f"{target}: {type(error).__name__} at {Path(at.filename).name}:{at.lineno}"
            self.counts[f"FOUND {kind}"] += 1
            if kind in self.kinds:
                return
            self.kinds.add(kind)
            self.out.mkdir(parents=True, exist_ok=True)
            stem = self.out / re.sub(r"\W+", "-", kind)
            stem.with_suffix(".pickle").write_bytes(pickle.dumps(example))
            stem.with_suffix(".txt").write_text(f"{example!r}\n\n{traceback.format_exc()}")
            print(f"FOUND {kind}: {str(error)[:300]}", flush=True)


def rounds(log: Log, target: str, examples: st.SearchStrategy[Any], check: Callable[[Any], str], until: float,
           first_seed: int) -> None:  # fmt: skip
    """Draw examples until the time is over."""
    number = first_seed
    while time.monotonic() < until:
        @seed(number)
        @settings(max_examples=50, deadline=None, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))
        @given(examples)
        def draw(example: Any) -> None:
            if time.monotonic() < until:
                log.note(target, example, lambda: check(example))

        draw()
        number += 1


def fuzz(target: str, log: Log, seconds: float, first_seed: int) -> None:
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        if target == "fit":
            rounds(log, target, cases(), lambda c: check_fit(c, folder), until, first_seed)
        elif target == "readers":
            suffixes = st.sampled_from(sorted(FORMS))
            examples = suffixes.flatmap(lambda s: st.tuples(st.just(s), broken(st.just(FORMS[s]))))
            rounds(log, target, examples, lambda told: check_reader(told, folder), until, first_seed)
        else:
            path, rows = stack.enter_context(small_model())
            if target == "loader":
                whole = path.read_bytes()
                rounds(log, target, broken(st.just(whole)),
                       lambda data: check_loader(data, folder, rows.head(3), whole), until, first_seed)  # fmt: skip
            else:
                client = stack.enter_context(served(path))
                row = json.loads(rows.head(1).to_json(orient="records", date_format="iso"))[0]
                rounds(log, target, requests(row), lambda r: check_request(r, client), until, first_seed)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seconds", type=float, default=3600, help="of all targets together")
    ap.add_argument("--targets", default="fit,readers,loader,server")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", type=Path, default=Path("found"))
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    targets = args.targets.split(",")
    shares = {t: 5.0 if t == "fit" else 1.0 for t in targets}
    log = Log(args.out)
    for target in targets:
        fuzz(target, log, args.seconds * shares[target] / sum(shares.values()), args.seed)
    for what, count in sorted(log.counts.items()):
        print(f"{count:8} {what}")
    sys.exit(1 if log.kinds else 0)


if __name__ == "__main__":
    main()
