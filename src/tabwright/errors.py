"""The error tree. User faults end in one clear sentence; everything else is a bug and keeps its traceback.

TabwrightError
├── UserError                the caller can mend it: exit code 2, HTTP 4xx
│   ├── ColumnError          one column of the table
│   ├── DataError            a table, file or target as a whole
│   ├── OptionError          one parameter or command-line option
│   ├── MissingExtraError    an optional dependency is not installed
│   ├── RunError             a run directory: absent, locked, altered, of another format
│   ├── ModelFileError       an exported file: absent, altered, of another format
│   └── NotExportableError   a member that ONNX can't hold
├── FitError                 a candidate could not be fitted (recorded in the ledger)
│   └── OutOfTimeError       its deadline had passed before there was anything
└── ParityError              an export does not predict what the Python model predicts

Every class passes its constructor's arguments on to ``Exception.__init__``, so instances survive pickling.
"""

from __future__ import annotations


class TabwrightError(Exception):
    """Base of all errors raised on purpose."""


class UserError(TabwrightError):
    """Something the caller can mend. ``problem`` says what is wrong and where, ``fix`` how to mend it."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem, fix)
        self.problem, self.fix = problem, fix

    def __str__(self) -> str:
        return f"{self.problem}. Fix: {self.fix}."


class ColumnError(UserError, ValueError):
    """One column stops the run; ``row`` is the first row at fault, from 0, where one is."""

    def __init__(self, column: str, problem: str, fix: str, row: int | None = None) -> None:
        TabwrightError.__init__(self, column, problem, fix, row)
        self.column, self.problem, self.fix, self.row = column, problem, fix, row

    def __str__(self) -> str:
        return f"Column {self.column!r} {self.problem}. Fix: {self.fix}."


class DataError(UserError, ValueError):
    """A table, file or target can't be used as it is."""


class OptionError(UserError, ValueError):
    """One parameter has a value that can't be used."""

    def __init__(self, option: str, problem: str, fix: str) -> None:
        TabwrightError.__init__(self, option, problem, fix)
        self.option, self.problem, self.fix = option, problem, fix

    def __str__(self) -> str:
        return f"Option {self.option} {self.problem}. Fix: {self.fix}."


class MissingExtraError(UserError, ImportError):
    """An optional dependency is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        TabwrightError.__init__(self, what, extra)
        self.what, self.extra = what, extra
        self.problem, self.fix = f"{what} is not installed", f"pip install 'tabwright[{extra}]'"


class RunError(UserError):
    """A run directory can't be used."""


class ModelFileError(UserError):
    """An exported model file can't be used."""


class NotExportableError(UserError, ValueError):
    """A model has a member that ONNX can't hold."""

    def __init__(self, name: str, what: str = "family") -> None:
        TabwrightError.__init__(self, name, what)
        self.name, self.what = name, what
        self.problem = f"The leader can't be exported: the {what} {name!r} has no ONNX form (no to_onnx)"
        self.fix = "search without it, or give what it fits a to_onnx; predict works without"


class FitError(TabwrightError):
    """A candidate can't be fitted on this data; the search records it and goes on."""


class OutOfTimeError(FitError):
    """The deadline has passed before there was anything to return."""


class ParityError(TabwrightError):
    """An export differs from the Python model by more than the tolerance; nothing was written."""
