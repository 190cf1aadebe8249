"""tabwright ui."""

from __future__ import annotations

import argparse
from pathlib import Path

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from tabwright.ui.config import PORT, TOKEN

    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="0 for any that is free (default: %(default)s)")
    parser.add_argument("--token", metavar="T", help="what users must give; needed on addresses that other machines "
                        f"reach (or set {TOKEN})")  # fmt: skip
    parser.add_argument("--workspace", metavar="DIR", help="folder for tables, runs and models (default: the user's "
                        "data directory)")  # fmt: skip
    parser.add_argument("--max-upload-mib", type=float, default=2048.0, metavar="N", help="(default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from tabwright.errors import MissingExtraError
    from tabwright.ui.app import run
    from tabwright.ui.config import Config, checked, default_workspace

    try:
        workspace = Path(args.workspace) if args.workspace else default_workspace()
    except ImportError as error:
        raise MissingExtraError(str(error.name), "ui") from None
    return run(checked(Config(workspace, args.host, args.port, args.token, args.max_upload_mib)))


UI = Command("ui", "the web interface: data, runs, models, and the code behind every click", add_arguments, run)
