"""tabwright failures."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")


def run(args: argparse.Namespace) -> int:
    from tabwright.objectives.design import fold_name
    from tabwright.store.run_dir import RunDir

    journal = RunDir.open(args.run).read_journal()
    bad = [r for r in journal.folds() if r.status not in ("ok", "cancelled")]
    journal.close()
    for r in bad:
        print(
            f"{r.model_id} {fold_name(r.fold)}: {r.status} after {r.seconds:.1f} s, "
            f"{r.peak_memory_mib:.0f} MiB: {r.reason}"
        )
    print(f"{len(bad)} failed fold(s)" if bad else "nothing failed")
    return 0


FAILURES = Command("failures", "what failed in a run, and why", add_arguments, run)
