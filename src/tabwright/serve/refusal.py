"""Answers to what the caller must mend: one form for every protocol, without a path or a traceback."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from tabwright.errors import ColumnError, MissingExtraError, UserError


class RefusalError(Exception):
    """A request that gets an HTTP error: what is wrong and where, and how to mend it."""

    def __init__(
        self, status: int, problem: str, fix: str, *, column: str | None = None, row: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(problem)
        self.status, self.problem, self.fix = status, problem, fix
        self.column, self.row, self.retry_after_s = column, row, retry_after_s


def refusal_of(error: UserError) -> RefusalError:
    """What a fault in the data becomes over HTTP."""
    if isinstance(error, ColumnError):
        return RefusalError(
            422, f"column {error.column!r} {error.problem}", error.fix, column=error.column, row=error.row
        )
    if isinstance(error, MissingExtraError):
        return RefusalError(415, f"this server can't read that form: {error.what} is not installed there", error.fix)
    return RefusalError(422, getattr(error, "problem", "the data can't be read"), getattr(error, "fix", "correct it"))


def answer(refusal: RefusalError) -> Response:
    """The JSON answer; ``error`` repeats it as one sentence, as the Open Inference Protocol and others want it."""
    body: dict[str, Any] = {
        "error": f"{refusal.problem}. Fix: {refusal.fix}.", "problem": refusal.problem, "fix": refusal.fix,
    }  # fmt: skip
    if refusal.column is not None:
        body["column"] = refusal.column
    if refusal.row is not None:
        body["row"] = refusal.row
    headers = {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(orjson.dumps(body), refusal.status, headers, "application/json")
