"""A table in PostgreSQL: python benchmarks/sql.py [--rows 1000000] [--seconds 120] [--memory-mib 1024].

Makes a PostgreSQL cluster of its own in a temporary folder (with Debian's ``postgresql``), copies generated
rows into it, and runs ``fit`` on its address; memory as in ``large.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from large import PER_FILE, TEST_ROWS, rows, told, watched


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """The address of a cluster that listens on a socket file only."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder:
        if as_user:
            subprocess.run(["chown", "postgres", folder], check=True)
        initdb = [*as_user, str(programs / "initdb"), "-D", f"{folder}/db", "-A", "trust", "-U", "tw", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/")
        control = [*as_user, str(programs / "pg_ctl"), "-D", f"{folder}/db", "-w", "-l", f"{folder}/log"]
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True, cwd="/")
        try:
            yield f"postgresql://tw@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd="/")


def fill(url: str, n: int) -> None:
    """A table ``people`` of generated rows."""
    import psycopg

    names = list(rows(10, 0).columns)
    kinds = {"x": "real", "k": "smallint", "c": "text", "y": "smallint"}
    with psycopg.connect(url) as connection:
        listed = ", ".join(f"{name} {kinds[name[0]]}" for name in names)
        connection.execute(f"CREATE TABLE people ({listed})")
        for k in range(0, n, PER_FILE):
            frame: pd.DataFrame = rows(min(PER_FILE, n - k), 1 + k // PER_FILE)
            with connection.cursor().copy("COPY people FROM STDIN (FORMAT csv)") as copy:
                for start in range(0, len(frame), 50_000):
                    copy.write(frame.iloc[start : start + 50_000].to_csv(index=False, header=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--memory-mib", type=float, default=1024.0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    from tabwright import AutoMLClassifier

    with cluster() as url:
        began = time.monotonic()
        fill(url, args.rows)
        print(f"{args.rows:,} rows copied into PostgreSQL in {time.monotonic() - began:.0f} s")
        options = {"max_runtime_secs": args.seconds, "max_memory_mib": args.memory_mib, "sort_metric": "roc_auc"}
        made = AutoMLClassifier(**options)
        began = time.monotonic()
        with watched() as peak:
            made.fit(url, target="y", query="SELECT * FROM people")
            took = time.monotonic() - began
        for stage in made._finished.run.read_journal().stages():
            print(stage)
        for note in made._finished.notes:
            print(f"note: {note}")
        told(made, took, peak[0], rows(TEST_ROWS, 0))


if __name__ == "__main__":
    main()
