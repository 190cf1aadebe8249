"""tabwright experience."""

from __future__ import annotations

import argparse
from pathlib import Path

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("show", "export", "import", "clear"))
    parser.add_argument("file", nargs="?", help="to export to or import from: one JSON object a line")


def run(args: argparse.Namespace) -> int:
    from tabwright.errors import DataError, OptionError
    from tabwright.meta.experience import VARIABLE, Experience, parse, place

    url = place()
    if url is None:
        raise OptionError(VARIABLE, "is off", "set it to a file or an address, or unset it")
    if (args.file is None) == (args.action in ("export", "import")):
        raise OptionError("FILE", "is for export and import, which need one", "see tabwright experience --help")
    store = Experience(url)
    try:
        if args.action == "clear":
            print(f"forgot {store.clear()} run(s)")
        elif args.action == "import":
            try:
                lines = Path(args.file).read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"{args.file} can't be read ({error})", "name another file") from None
            print(f"{store.put(list(parse(lines, args.file)))} new run(s)")
        elif args.action == "export":
            _export(store, args.file)
        else:
            _show(store)
    finally:
        store.close()
    return 0


def _export(store: object, file: str) -> None:
    import json

    from tabwright.codec import write_for_user
    from tabwright.meta.experience import Experience

    assert isinstance(store, Experience)
    runs = store.all()
    text = "".join(json.dumps(stored.to_json()) + "\n" for stored in runs)
    write_for_user(Path(file), text.encode(), "FILE")
    print(f"{len(runs)} run(s) in {file}")


def _show(store: object) -> None:
    import time

    from tabwright.meta.experience import Experience

    assert isinstance(store, Experience)
    print(f"{store.url}")
    for stored in store.all():
        day = time.strftime("%Y-%m-%d", time.gmtime(stored.created))
        f = stored.features
        leader = ", ".join(r.family for r in sorted(stored.results, key=lambda r: -r.weight) if r.weight > 0)
        print(f"{stored.id[:8]}  {day}  {stored.task:10} {stored.metric:12} {10 ** f.get('log_rows', 0):>10,.0f} rows "
              f"{10 ** f.get('log_columns', 0):>6,.0f} columns  {len(stored.results):3} results  leader: {leader}")


EXPERIENCE = Command("experience", "what earlier runs taught: show, export, import or clear it", add_arguments, run)
"""What the store holds is in :mod:`tabwright.meta.experience`."""
