"""Batch scoring: any file in, predictions out, in the same order, with all cores and in bounded memory.

Blocks of the input are scored by worker processes into parts beside the output file. Each part appears under its
name when it is whole, so the same command goes on after an interruption where it stopped; the output itself
appears when all parts are there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tabwright.codec import write_atomic
from tabwright.data.arrow import frame_from_arrow
from tabwright.data.delimited import ReadOptions
from tabwright.data.places import find
from tabwright.data.readers import check_exists, emptied, in_many
from tabwright.data.stream import BLOCK_BYTES, BLOCK_ROWS, DELIMITED, PARQUET, Blocks, Stream
from tabwright.errors import ColumnError, DataError, OptionError, RunError
from tabwright.reasons import sentence, stored_rows
from tabwright.runtime import Model, load_model

SUFFIXES = (".csv", ".parquet")
_worker_model: Model | None = None


@dataclass(frozen=True)
class Job:
    """What is scored, with what, into what."""

    model: Path
    source: str
    out: Path
    public_key: str | None = None
    reasons: int = 0
    options: ReadOptions = field(default_factory=ReadOptions)

    @property
    def parts(self) -> Path:
        """Folder of the finished parts."""
        return self.out.with_name(f".{self.out.name}.parts")

    def part(self, k: int) -> Path:
        return self.parts / f"{k:06d}{self.out.suffix.lower()}"

    def manifest(self, model_sha256: str) -> dict[str, Any]:
        """What must be the same for parts to be of use."""
        files = [(place.path, place.size, place.changed) for place in find(self.source, (*DELIMITED, *PARQUET))]
        told = hashlib.sha256(json.dumps(files).encode()).hexdigest()
        return {
            "model": model_sha256, "source": self.source, "files": told, "block_bytes": BLOCK_BYTES,
            "block_rows": BLOCK_ROWS, "format": 2,
            "reasons": self.reasons, "options": str(self.options),
        }  # fmt: skip


def predict_file(
    model: str | Path, source: str | Path, out: str | Path, workers: int, *, progress: bool,
    public_key: str | None = None, reasons: int = 0, options: ReadOptions | None = None,
) -> int:  # fmt: skip
    """Score a file; the number of rows.

    Parameters
    ----------
    model : str or Path
        An exported file.
    source : str or Path
        CSV and Parquet are streamed, also folders, globs and addresses (``s3://``) of such files; what else
        ``read_table`` reads is held in memory.
    out : str or Path
        ``.csv`` or ``.parquet``: ``prediction``, and ``p_CLASS`` for each class, or ``q_LEVEL`` for each quantile.
    workers : int
        Processes.
    progress : bool
        Whether to draw a bar on standard error.
    public_key : str, optional
        PEM file of the key that must have signed the model.
    reasons : int
        Also ``reason_1``, … of each row, this many; see :meth:`tabwright.runtime.Model.reasons`.
    options : ReadOptions, optional
        How the file is to be read, where it was trained on under other than the default ones.

    Raises
    ------
    UserError
        Naming the column, file or option.
    """
    path = Path(source).expanduser()
    job = Job(Path(model), str(path.resolve() if path.exists() else source), Path(out), public_key, reasons,
              options or ReadOptions())
    if job.out.suffix.lower() not in SUFFIXES or job.out.is_dir():
        raise OptionError("--out", f"is {str(out)!r}", "name a file that ends in .csv or .parquet")
    if not job.out.resolve().parent.is_dir():
        raise OptionError("--out", f"is {str(out)!r}, in a folder that does not exist", "name a folder that exists")
    _check_apart(job, path)
    loaded = load_model(job.model, public_key=job.public_key)
    if reasons:
        stored_rows(loaded.metadata.get("background"), loaded.schema)  # the fault, where it holds none
    if job.source.startswith(("http://", "https://")):
        raise OptionError("DATA", f"is {job.source!r}, an address of the web", "copy the file here first")
    if path.is_file() or not in_many(job.source):
        check_exists(path)
    try:
        _prepare(job, loaded)
        n_rows = _score(job, loaded, workers, progress=progress)
        _join(job)
    except (DataError, ColumnError):  # another input is needed, for which the parts are of no use
        shutil.rmtree(job.parts, ignore_errors=True)
        raise
    except OSError as error:
        raise OptionError("--out", f"can't be written ({error.strerror})", "name a folder with room that is yours "
                          "to write") from error  # fmt: skip
    shutil.rmtree(job.parts, ignore_errors=True)
    return n_rows


def _check_apart(job: Job, path: Path) -> None:
    """The output is to be none of what is read, now or when the same command runs again."""
    out, read = job.out.resolve(), path.resolve()
    if out in (read, job.model.resolve()) or (not path.exists() and out.match(str(read))):
        raise OptionError("--out", f"is {str(job.out)!r}, which is read", "name another file")
    if path.is_dir() and out.is_relative_to(read):
        raise OptionError("--out", f"is {str(job.out)!r}, inside the folder that is read", "name a file elsewhere")


def _prepare(job: Job, model: Model) -> None:
    manifest = job.manifest(model.sha256)
    stored = job.parts / "manifest.json"
    try:
        if json.loads(stored.read_text()) == manifest:
            return
    except (OSError, ValueError):
        pass
    shutil.rmtree(job.parts, ignore_errors=True)
    job.parts.mkdir()
    write_atomic(stored, json.dumps(manifest).encode())


def _score(job: Job, model: Model, workers: int, *, progress: bool) -> int:
    blocks = iter(Blocks(Stream(job.source, job.options), model.schema))
    first = next(blocks, (_no_rows(model), 1.0))  # so that the output has its columns
    second = next(blocks, None)
    if second is None or workers == 1:  # small, or told so: no process is worth its start
        n_rows = 0
        with _bar(progress) as show:
            for k, (table, share) in enumerate(_chain(first, second, blocks)):
                if not job.part(k).exists():
                    _guarded(lambda t=table, k=k: _write_part(model, t, job.part(k), k == 0, job), n_rows)
                n_rows += table.num_rows
                show(share)
        return n_rows
    return _score_in_processes(job, _chain(first, second, blocks), workers, progress=progress)


def _no_rows(model: Model) -> Any:
    import pyarrow as pa

    return pa.table({column.name: pa.nulls(0) for column in model.schema.used})


def _chain(first: Any, second: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield from (block for block in (first, second) if block is not None)
    yield from rest


def _score_in_processes(job: Job, blocks: Iterator[Any], workers: int, *, progress: bool) -> int:
    waiting: deque[tuple[Future[None], int, float]] = deque()
    n_rows = 0
    # spawned, not forked: this process runs Arrow's threads
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (str(job.model), job.public_key)) as pool, \
            _bar(progress) as show:  # fmt: skip
        try:
            for k, (table, share) in enumerate(blocks):
                if not job.part(k).exists():
                    arguments = (_to_ipc(table), job.part(k), k == 0, job)
                    waiting.append((pool.submit(_work, *arguments), n_rows, share))
                n_rows += table.num_rows
                while len(waiting) > 2 * workers:
                    _finish(waiting.popleft(), show)
            while waiting:
                _finish(waiting.popleft(), show)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return n_rows


def _finish(item: tuple[Future[None], int, float], show: Any) -> None:
    future, before, share = item
    try:
        _guarded(future.result, before)
    except BrokenProcessPool:
        raise RunError("a worker process was killed, perhaps for memory", "run the same command again with fewer "
                       "--workers: it goes on where it stopped") from None  # fmt: skip
    show(share)


def _guarded(function: Any, rows_before: int) -> None:
    """Call it; a fault in a column tells the row of the file rather than of its block."""
    try:
        function()
    except ColumnError as error:
        if error.row is None or not rows_before:
            raise
        problem = error.problem.replace(f"in row {error.row}", f"in row {error.row + rows_before}")
        raise ColumnError(error.column, problem, error.fix, error.row + rows_before) from None


def _start_worker(model: str, public_key: str | None) -> None:
    global _worker_model  # noqa: PLW0603 - one model per process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _worker_model = load_model(model, public_key=public_key)


def _work(block: bytes, path: Path, is_first: bool, job: Job) -> None:
    import pyarrow as pa

    assert _worker_model is not None
    _write_part(_worker_model, pa.ipc.open_stream(block).read_all(), path, is_first, job)


def _to_ipc(table: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _write_part(model: Model, table: Any, path: Path, is_first: bool, job: Job) -> None:
    """Predictions of one block under their name, at once and whole."""
    import pandas as pd

    frame, reasons = emptied(frame_from_arrow(table), job.options.null_values), job.reasons
    feeds = model.encode(frame)
    outputs = model.run(feeds) if len(frame) else None
    result = pd.DataFrame({"prediction": model.predict(frame) if outputs is None else _labels(model, outputs)})
    if model.classes_ is not None:
        proba = model.predict_proba(frame) if outputs is None else outputs["probabilities"]
        for k, name in enumerate(model.classes_):
            result[f"p_{name}"] = proba[:, k]
    for k, level in enumerate(model.levels):
        result[f"q_{level:g}"] = [] if outputs is None else outputs["quantiles"][:, k]
    if reasons:
        told = [[sentence(r["column"], r["value"], r["contribution"]) for r in row["reasons"]]
                for row in model.reasons_of(feeds, reasons)]  # fmt: skip
        for k in range(reasons):
            result[f"reason_{k + 1}"] = pd.Series([row[k] if k < len(row) else "" for row in told], dtype="str")
    if path.suffix == ".csv":
        write_atomic(path, result.to_csv(index=False, header=is_first).encode())
    else:
        write_atomic(path, result.to_parquet(index=False))


def _labels(model: Model, outputs: dict[str, Any]) -> Any:
    return model.labels(outputs["label"]) if model.classes_ is not None else outputs["prediction"]


def _join(job: Job) -> None:
    """Put the parts together under a temporary name, and rename."""
    parts = sorted(p for p in job.parts.iterdir() if p.suffix == job.out.suffix.lower() and not p.name.startswith("."))
    temporary = job.parts / ".joined"
    if job.out.suffix.lower() == ".csv":
        with temporary.open("wb") as file:
            for part in parts:
                with part.open("rb") as piece:
                    shutil.copyfileobj(piece, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
    else:
        import pyarrow.parquet as pq

        with pq.ParquetWriter(temporary, pq.read_schema(parts[0])) as writer:
            for part in parts:
                writer.write_table(pq.read_table(part))
    temporary.replace(job.out)


@contextmanager
def _bar(shown: bool) -> Iterator[Any]:
    """A function that is told the share done."""
    if not shown:
        yield lambda _share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    with Progress("scoring", BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=Console(stderr=True),
                  transient=True) as bar:  # fmt: skip
        task = bar.add_task("scoring", total=1.0)
        yield lambda share: bar.update(task, completed=share)

