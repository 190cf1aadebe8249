import os
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tabwright.codec import Codec, write_atomic
from tabwright.errors import RunError
from tabwright.store.journal import CandidateRecord, FoldRecord, Journal
from tabwright.store.run_dir import RunDir


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Thing:
    name: str
    inner: object


@dataclass(frozen=True)
class Stranger:
    x: int


CODEC = Codec((Thing, Colour))
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.text(),
    st.binary(),
    st.floats(allow_nan=False),
    st.just(Colour.RED),
    hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(max_side=4)),
)
values = st.recursive(
    plain,
    lambda v: st.one_of(
        st.lists(v, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers(0, 99)), v, max_size=3),
        st.builds(Thing, st.text(), v),
    ),
    max_leaves=8,
)


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, Thing):
        return a.name == b.name and same(a.inner, b.inner)
    return type(a) is type(b) and a == b


@settings(max_examples=150)
@given(values)
def test_codec_round_trip(value):
    assert same(value, CODEC.loads(CODEC.dumps(value)))


@settings(max_examples=100)
@given(st.data())
def test_one_altered_byte_is_refused(data):
    stored = bytearray(CODEC.dumps(Thing("a", np.arange(5))))
    k = data.draw(st.integers(0, len(stored) - 1))
    stored[k] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RunError):
        CODEC.loads(bytes(stored))


def test_codec_refuses_what_is_not_registered():
    for value in (Stranger(1), object(), np.array([object()], dtype=object), lambda: 0):
        with pytest.raises(TypeError):
            CODEC.dumps(value)
    with pytest.raises(RunError, match="Thing"):
        Codec(()).loads(CODEC.dumps(Thing("a", 1)))


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "f"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_journal_keeps_what_was_added(tmp_path):
    journal = Journal(tmp_path / "j.sqlite")
    candidate = CandidateRecord("a_1", "a", {"x": 1.5, "y": "z"}, 0, "default", 1.0)
    fold = FoldRecord("a_1", 0, "ok", "", 2.0, 3.0, 4.0, 5.0, 0.25, 7, "ab")
    journal.add_candidate(candidate)
    journal.add_fold(fold)
    journal.add_leader("a_1", 0.25, [("a_1", 1.0)])
    journal.add_pruned("b_1", "behind")
    journal.close()
    again = Journal(tmp_path / "j.sqlite")
    assert again.candidates() == [candidate]
    assert again.folds() == [fold]
    assert again.leaders()[0][1:] == ("a_1", 0.25, [("a_1", 1.0)])
    assert again.pruned() == {"b_1": "behind"}
    again.close()


def test_journal_survives_kill_minus_nine(tmp_path):
    script = f"""
from pathlib import Path
from tabwright.store.journal import Journal
journal, k = Journal(Path({str(tmp_path / "j.sqlite")!r})), 0
while True:
    journal.add_event("tick", str(k)); print(k, flush=True); k += 1
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    process.kill()
    said = [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()
    journal = Journal(tmp_path / "j.sqlite")
    kept = [int(m) for _, _, m in journal.events()]
    journal.close()
    assert kept == list(range(len(kept)))
    assert len(kept) >= max(said) + 1  # whatever was reported is there


def test_a_run_is_held_by_one_process(tmp_path):
    run = RunDir.create(tmp_path / "run")
    run.write_config({"task": "regression"})
    with pytest.raises(RunError, match="Another process"):
        RunDir.open(tmp_path / "run").acquire()
    assert run.holder() == os.getpid()  # still told, after another was refused
    run.release()
    again = RunDir.open(tmp_path / "run")
    again.acquire()
    again.release()


def test_run_directories_answer_clearly(tmp_path):
    with pytest.raises(RunError, match="no run in"):
        RunDir.open(tmp_path)
    run = RunDir.create(tmp_path / "run")
    run.write_config({"task": "regression"})
    run.release()
    with pytest.raises(RunError, match="already holds a run"):
        RunDir.create(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match="format 99"):
        RunDir.open(tmp_path / "run")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="can't be written"):
        RunDir.create(tmp_path / "file" / "run")


def test_what_a_full_disk_kept_from_the_journal_is_written_later(tmp_path):
    """The page limit makes SQLite answer as a full disk does."""
    journal = Journal(tmp_path / "j.sqlite")
    journal.add_event("tick", "first")
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    for k in range(3):
        journal.add_event("tick", f"{k}" + "x" * 20_000)
    assert "full" in journal.broken
    journal._db.execute("PRAGMA max_page_count = 100000")
    journal.add_event("tick", "last")
    assert journal.broken == ""
    journal.close()
    kept = [message[:5] for _, _, message in Journal.snapshot(tmp_path / "j.sqlite").events()]
    assert kept == ["first", "0xxxx", "1xxxx", "2xxxx", "last"]
