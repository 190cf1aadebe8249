"""tabwright describe."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command, kind_arguments, kinds_of, read_data, reading_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", help="table")
    parser.add_argument("--target", metavar="T", help="column to predict: adds the relation to it, and what stands out")
    parser.add_argument("--against", metavar="DATA", help="another table: tells which columns differ between the two")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    kind_arguments(parser)
    reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from tabwright.data.parts import compare_tables
    from tabwright.data.profile import profile
    from tabwright.data.readers import read_table
    from tabwright.errors import DataError

    frame = read_data(args)
    made = profile(frame, args.target, kinds_of(args))
    if made.problem:
        raise DataError(made.problem.split(" Fix:", maxsplit=1)[0].rstrip("."), "name another target")
    shifts = () if args.against is None else compare_tables(frame, read_table(args.against), args.target)
    if args.json:
        print(json.dumps(asdict(made) | {"shifts": [asdict(s) for s in shifts]}, indent=1, ensure_ascii=False))
        return 0
    width = max((len(c.name) for c in made.columns), default=6)
    print(f"{made.rows:,} rows, {len(made.columns)} columns")
    print(f"{'column':{width}}  {'kind':11}  {'missing':>7}  {'distinct':>9}  {'mean':>11}  {'median':>11}  target")
    for c in made.columns:
        figures = [f"{v:11.5g}" if v is not None else " " * 11 for v in (c.mean, c.median)]
        told = "" if c.target_share is None else f"{max(c.target_share, 0):6.1%}"
        print(f"{c.name:{width}}  {c.kind:11}  {c.missing / made.rows:7.1%}  {c.distinct:9,}  {'  '.join(figures)}  "
              f"{told}".rstrip())  # fmt: skip
    for note in made.notes:
        print(f"{note.level}: {note}")
    for shift in shifts:
        print(f"shift of {shift.column!r}: {shift.psi:.3f}{' (large)' if shift.shifted else ''}")
    return 0


DESCRIBE = Command("describe", "what each column of a table holds, and what stands out", add_arguments, run)
