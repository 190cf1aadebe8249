"""The command line: parses, runs one command, and turns user faults into one sentence and exit code 2."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tabwright import __version__
from tabwright.cli.audit import AUDIT
from tabwright.cli.base import Command
from tabwright.cli.demo import DEMO
from tabwright.cli.describe import DESCRIBE
from tabwright.cli.evaluate import EVALUATE
from tabwright.cli.experience import EXPERIENCE
from tabwright.cli.explain import EXPLAIN
from tabwright.cli.export import EXPORT
from tabwright.cli.failures import FAILURES
from tabwright.cli.fit import FIT
from tabwright.cli.join import APPEND, JOIN
from tabwright.cli.keys import KEYS
from tabwright.cli.leaderboard import LEADERBOARD
from tabwright.cli.parse import PARSE
from tabwright.cli.predict import PREDICT
from tabwright.cli.profile import PROFILE
from tabwright.cli.replay import REPLAY
from tabwright.cli.report import REPORT
from tabwright.cli.resume import RESUME
from tabwright.cli.select import SELECT
from tabwright.cli.serve import SERVE
from tabwright.cli.split import SPLIT
from tabwright.cli.ui import UI
from tabwright.errors import UserError

COMMANDS: tuple[Command, ...] = (
    FIT, RESUME, LEADERBOARD, SELECT, EXPORT, PREDICT, EVALUATE, PROFILE, EXPLAIN, REPORT, FAILURES, AUDIT, REPLAY,
    SERVE, KEYS, EXPERIENCE, PARSE, DESCRIBE, SPLIT, JOIN, APPEND, UI, DEMO,
)  # fmt: skip


FAULTS = (  # argparse's words for what is wrong with a command line, and ours
    (r"argument (\S+): invalid int value: ('.*')", "Option {} is {}. Fix: give a whole number."),
    (r"argument (\S+): invalid float value: ('.*')", "Option {} is {}. Fix: give a number."),
    (r"argument (\S+): invalid choice: ('.*?') \(choose from (.*)\)", "Option {} is {}. Fix: give one of {}."),
    (r"argument (\S+): (.*)", "Option {}: {}. Fix: see '{prog} --help'."),
    (r"the following arguments are required: (.*)", "The command lacks {}. Fix: give what '{prog} --help' asks for."),
    (r"(.*)", "The command has {}. Fix: see '{prog} --help'."),
)


class _Parser(argparse.ArgumentParser):
    """Tells a fault of the command line in one sentence, without the list of all options."""

    def error(self, message: str) -> NoReturn:
        matches = ((re.fullmatch(theirs, message, re.DOTALL), ours) for theirs, ours in FAULTS)
        told = next(ours.format(*found.groups(), prog=self.prog) for found, ours in matches if found is not None)
        self.exit(2, f"tabwright: {told}\n")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(prog="tabwright", description="AutoML for tables, to one portable ONNX file.")
    top.add_argument("--version", action="version", version=f"tabwright {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.help, description=command.help)
        command.add_arguments(sub)
        sub.set_defaults(execute=command.run)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a command; exit code 0, 2 for what the user can mend, 130 when interrupted before there was a result."""
    args = parser().parse_args(argv)
    stop = _Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        return int(args.execute(args))
    except UserError as error:
        if stop.asked:
            return _interrupted(args)
        print(f"tabwright: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _interrupted(args)
    except BrokenPipeError:
        return 0
    except Exception:
        if stop.asked:  # a C extension that was being imported makes an ImportError of the interrupt
            return _interrupted(args)
        raise


class _Stop:
    """SIGTERM ends a command as Ctrl-C does."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt


def _interrupted(args: argparse.Namespace) -> int:
    """Say what an interrupted command leaves behind and how to go on; exit code 130."""
    run = {"fit": "out", "resume": "run"}.get(args.command)
    told = ""
    if run is not None:
        folder = Path(getattr(args, run))
        told = " before the run had begun; nothing is lost but the reading of the table"
        if (folder / "run.json").exists():
            told = f"; every finished fold is kept, continue with: tabwright resume {folder}"
    print(f"tabwright: interrupted{told}", file=sys.stderr)
    return 130


if __name__ == "__main__":
    sys.exit(main())
