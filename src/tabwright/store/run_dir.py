"""A run as a directory: configuration, data, features, journal and fold artefacts, each file whole or absent."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from tabwright.codec import write_atomic
from tabwright.errors import RunError
from tabwright.schema import Schema
from tabwright.store.journal import Journal
from tabwright.types import Array, Floats

LOCK_ATTEMPTS, LOCK_PAUSE_S = 5, 0.05
FORMAT = 2


class RunDir:
    """Paths and small files of one run. Held by one process at a time (a lock that dies with the process)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table_dir = path / "table"
        self.features_dir = path / "features"
        self.folds_dir = path / "folds"
        self.config_file = path / "run.json"
        self.interactions_file = path / "interactions.json"
        self.design_file = path / "design.json"  # what is delivered, where it is not the leader of the journal
        self.status_file = path / "status.json"
        self.front_file = path / "front.json"  # the designs of the front that was worked out last
        self._lock: IO[str] | None = None
        self._fresh = False  # whether its folders were made here

    def __reduce__(self) -> tuple[Any, ...]:
        return RunDir, (self.path,)  # a copy holds no lock and owns no folder

    @classmethod
    def create(cls, path: str | Path | None) -> RunDir:
        """A new run in ``path``, which must hold no run yet; in a temporary folder if None."""
        if path is None:
            run = cls(Path(tempfile.mkdtemp(prefix="tabwright-")))
            weakref.finalize(run, shutil.rmtree, run.path, ignore_errors=True)
        else:
            run = cls(Path(path))
            if run.config_file.exists():
                raise RunError(f"The folder {path} already holds a run",
                               f"continue it with 'tabwright resume {path}', or name another folder")
            try:
                run.path.mkdir(parents=True, exist_ok=True)
                (run.path / ".write-test").touch()
                (run.path / ".write-test").unlink()
            except OSError as error:
                raise RunError(f"The run directory {path} can't be written ({error.strerror})",
                               "name a folder that you may write to") from error
        folders = (run.table_dir, run.features_dir, run.folds_dir)
        run._fresh = not any(folder.exists() for folder in folders)
        for folder in folders:
            folder.mkdir(exist_ok=True)
        run.acquire()
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDir:
        """An existing run.

        Raises
        ------
        RunError
            If there is none, or it was written in a newer format.
        """
        run = cls(Path(path))
        if not run.config_file.is_file():
            raise RunError(f"There is no run in {path}", "name a folder that 'tabwright fit --out' has made")
        try:
            found = int(run.config()["format"])
        except OSError as error:
            raise RunError(f"{run.config_file} can't be read ({error.strerror})", "make it readable") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{run.config_file} is damaged", "restore it from a copy") from error
        if found > FORMAT:
            raise RunError(f"The run in {path} has format {found}, and this version reads up to {FORMAT}",
                           "install a newer tabwright")
        return run

    def acquire(self) -> None:
        """Take the run's lock; RunError if another process holds it, or the folder can't be written."""
        try:
            lock = (self.path / "lock").open("a+")  # not emptied before it is known to be ours
        except OSError as error:
            raise RunError(f"The run directory {self.path} can't be written ({error.strerror})",
                           "make it writable, or copy it to a folder that is") from error
        for attempt in range(LOCK_ATTEMPTS):  # who looks for the holder has it for a moment, too
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if attempt + 1 == LOCK_ATTEMPTS:
                    lock.close()
                    raise RunError(f"Another process works on the run in {self.path}",
                                   "wait for it to end, or stop it") from error
                time.sleep(LOCK_PAUSE_S)
        with contextlib.suppress(OSError):  # the process id is for people only; a full disk does not matter
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
        self._lock = lock

    def holder(self) -> int | None:
        """The id of the process that works on the run, or None."""
        try:
            with (self.path / "lock").open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except OSError:
                    text = lock.read().strip()
                    return int(text) if text.isdigit() else None
        except OSError:
            pass
        return None

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @contextlib.contextmanager
    def discarded_on_error(self) -> Iterator[None]:
        """Remove what was written so far if an error ends the block before there is a run that could be resumed."""
        try:
            yield
        except BaseException:
            self.release()
            if self._fresh and not self.config_file.exists():
                with contextlib.suppress(OSError):
                    (self.path / "lock").unlink(missing_ok=True)
                    for folder in (self.path / "source", self.table_dir, self.features_dir, self.folds_dir):
                        shutil.rmtree(folder, ignore_errors=True)
                    for file in [f for name in ("target", "fold", "origin") for f in self.path.glob(f"{name}.*")]:
                        file.unlink()
                    for name in ("schema.json", "workers.log"):
                        (self.path / name).unlink(missing_ok=True)
                    self.path.rmdir()  # only where it is empty
            raise

    def journal(self) -> Journal:
        """The journal, to be written to."""
        return Journal(self.path / "journal.sqlite")

    def read_journal(self) -> Journal:
        """The journal as it stands, without a change to the folder: for a run that goes on or can't be written."""
        return Journal.snapshot(self.path / "journal.sqlite")

    def config(self) -> dict[str, Any]:
        return dict(json.loads(self.config_file.read_text("utf-8")))

    def write_config(self, config: dict[str, Any]) -> None:
        text = json.dumps({"format": FORMAT, **config}, indent=1, ensure_ascii=False)
        write_atomic(self.config_file, text.encode())

    @property
    def schema_file(self) -> Path:
        return self.path / "schema.json"

    def save_schema(self, schema: Schema) -> None:
        """A copy beside the table, so that the table can be made anew from the same data."""
        write_atomic(self.schema_file, json.dumps(schema.to_json()).encode("ascii"))

    def load_schema(self) -> Schema:
        return Schema.from_json(self.schema_file.read_text(encoding="ascii"))

    def model_path(self, model_id: str, fold: int) -> Path:
        """File of a fold's model; of the one fitted on all rows where ``fold`` is below 0."""
        return self.folds_dir / f"{model_id}.{'all' if fold < 0 else fold}.tw"

    def cost_path(self, model_id: str) -> Path:
        """What the candidate's first fold model costs when it is exported alone."""
        return self.folds_dir / f"{model_id}.cost.json"

    def prediction_path(self, model_id: str, fold: int) -> Path:
        return self.folds_dir / f"{model_id}.{'all' if fold < 0 else fold}.npy"

    def remove_models(self, model_id: str) -> None:
        """Remove a candidate's fold models; its predictions stay."""
        for file in self.folds_dir.glob(f"{model_id}.*.tw"):
            file.unlink(missing_ok=True)

    def remove_predictions(self, model_id: str) -> None:
        for file in self.folds_dir.glob(f"{model_id}.*.npy"):
            file.unlink(missing_ok=True)

    def has_fold(self, model_id: str, fold: int, sha256: str | None) -> bool:
        """Whether a fold's model and predictions are both there and whole."""
        try:
            self.prediction(model_id, fold)
            data = self.model_path(model_id, fold).read_bytes()
        except (OSError, ValueError, EOFError):
            return False
        return not sha256 or hashlib.sha256(data).hexdigest() == sha256

    def prediction(self, model_id: str, fold: int) -> Floats:
        """Validation predictions of one fold, canonical form."""
        return np.asarray(np.load(self.prediction_path(model_id, fold), allow_pickle=False))

    def save_arrays(self, name: str, **arrays: Array) -> None:
        for key, array in arrays.items():
            with (self.path / f"{name}.{key}.npy").open("wb") as file:
                np.save(file, array, allow_pickle=False)

    def load_array(self, name: str, key: str) -> Array:
        return np.asarray(np.load(self.path / f"{name}.{key}.npy", allow_pickle=False))

    def has_array(self, name: str, key: str) -> bool:
        return (self.path / f"{name}.{key}.npy").exists()

    def inputs(self) -> list[str]:
        """Files that fitting a fold reads from the start, relative to the directory."""
        skipped = {self.design_file, self.status_file, self.front_file, self.interactions_file}
        found = [f for pattern in ("*.npy", "*.json") for f in self.path.glob(pattern) if f not in skipped]
        found += [f for folder in (self.table_dir, self.features_dir) for f in folder.rglob("*") if f.suffix != ".lock"]
        return sorted(str(f.relative_to(self.path)) for f in found if f.is_file() and not f.name.startswith("."))

    def size_mib(self) -> float:
        """Size of all files, while workers may be writing and renaming some of them."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += (Path(folder) / name).stat().st_size
        return total / 2**20
