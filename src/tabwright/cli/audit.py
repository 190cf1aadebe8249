"""tabwright audit."""

from __future__ import annotations

import argparse
import dataclasses
import json

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--json", action="store_true", help="everything the journal holds, as JSON")


def run(args: argparse.Namespace) -> int:
    from tabwright.store.run_dir import RunDir

    directory = RunDir.open(args.run)
    journal = directory.read_journal()
    candidates, folds, leaders, events = journal.candidates(), journal.folds(), journal.leaders(), journal.events()
    journal.close()
    if args.json:
        print(json.dumps({
            "run": directory.config(), "candidates": [dataclasses.asdict(c) for c in candidates],
            "folds": [dataclasses.asdict(f) for f in folds],
            "leaders": [{"time": t, "name": n, "score": s, "members": m} for t, n, s, m in leaders],
            "events": [{"time": t, "kind": k, "message": m} for t, k, m in events],
        }, indent=1))  # fmt: skip
        return 0
    start = min([f.started for f in folds], default=0.0)
    print(f"{'at s':>8}  {'took s':>7}  {'cpu s':>7}  {'MiB':>6}  {'score':>10}  what")
    lines = [(f.started + f.seconds, f"{f.started - start:8.1f}  {f.seconds:7.2f}  {f.cpu_seconds:7.2f}  "
              f"{f.peak_memory_mib:6.0f}  {'' if f.score is None else f'{f.score:.5g}':>10}  "
              f"{f.model_id} fold {f.fold + 1} {f.status} {f.reason}".rstrip()) for f in folds]  # fmt: skip
    lines += [(t, f"{t - start:8.1f}  {'':7}  {'':7}  {'':6}  {s:10.5g}  leader: {n} of "
               + ", ".join(f"{m} {w:.2f}" for m, w in members)) for t, n, s, members in leaders]  # fmt: skip
    lines += [(t, f"{t - start:8.1f}  {'':7}  {'':7}  {'':6}  {'':10}  {k}: {m}") for t, k, m in events]
    for _, line in sorted(lines):
        print(line)
    return 0


AUDIT = Command("audit", "what a run did, when, and how it ended", add_arguments, run)
