"""What the web interface is told: one frozen record."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tabwright.errors import OptionError
from tabwright.serve.config import is_loopback

PORT = 54321
"""H2O Flow's port: its users' bookmarks go on working."""
TOKEN = "TABWRIGHT_UI_TOKEN"  # noqa: S105 - the variable's name
MIN_TOKEN = 12
MIB = 1 << 20


@dataclass(frozen=True)
class Config:
    """Options of ``tabwright ui``.

    Parameters
    ----------
    workspace : Path
        Folder that holds all state; see :class:`tabwright.ui.workspace.Workspace`.
    host, port
        Where to listen; port 0 takes a free one.
    token : str or None
        What users must give; None only on loopback addresses.
    max_upload_mib : float
        Size of one request's body.
    """

    workspace: Path
    host: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None
    max_upload_mib: float = 2048.0

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_mib * MIB)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def default_workspace() -> Path:
    """The user's data directory for tabwright."""
    from platformdirs import user_data_path

    return user_data_path("tabwright", appauthor=False)


def checked(config: Config, environment: Mapping[str, str] = os.environ) -> Config:
    """The record, with the token taken from the environment where none is given.

    Raises
    ------
    OptionError
        For an address that other machines reach without a token, a short token, and limits that are not positive.
    """
    token = config.token or environment.get(TOKEN) or None
    if token is not None and len(token) < MIN_TOKEN:
        raise OptionError("--token", f"has {len(token)} characters", f"give one of at least {MIN_TOKEN}")
    if token is None and not config.is_local:
        raise OptionError(
            "--host", f"is {config.host!r}, which other machines reach, and no token is asked for",
            f"give --token T, or set {TOKEN}; or listen on 127.0.0.1",
        )  # fmt: skip
    if not config.max_upload_mib > 0:
        raise OptionError("--max-upload-mib", f"is {config.max_upload_mib:g}", "give a number above 0")
    if not 0 <= config.port <= 65535:
        raise OptionError("--port", f"is {config.port}", "give a port from 0 to 65535")
    return replace(config, token=token)
