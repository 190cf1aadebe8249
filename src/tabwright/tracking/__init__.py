"""Runs in MLflow: a child process follows the journal and tells a tracking server, so that no server delays a run."""

from __future__ import annotations

from tabwright.tracking.follower import Follower, check, tracked, wait
from tabwright.tracking.registry import Registered, register

__all__ = ["Follower", "Registered", "check", "register", "tracked", "wait"]
