"""tabwright audit."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--json", action="store_true", help="everything the journal holds, as JSON")
    parser.add_argument("--out", metavar="FILE", help="write the time line as a picture: .html (with tables) or .svg")


def run(args: argparse.Namespace) -> int:
    from tabwright.audit import audit
    from tabwright.codec import write_atomic
    from tabwright.errors import OptionError
    from tabwright.timeline import page, svg

    draw = {".html": page, ".svg": svg}
    if args.out and Path(args.out).suffix.lower() not in draw:
        raise OptionError("--out", f"is {args.out!r}", "name a file that ends in .html or .svg")
    made = audit(args.run)
    if args.out:
        try:
            write_atomic(Path(args.out), draw[Path(args.out).suffix.lower()](made).encode())
        except OSError as error:
            raise OptionError(
                "--out", f"can't be written ({error.strerror})", "name a folder that exists and has room"
            ) from error
        print(f"time line in {args.out}")
    elif args.json:
        print(json.dumps(made.to_dict(), indent=1))
    else:
        print("\n".join(made.lines()))
    return 0


AUDIT = Command("audit", "what a run did, when, and how it ended", add_arguments, run)
