"""Runs in MLflow: a child process follows the journal and tells a tracking server, so that no server delays a run."""

from __future__ import annotations

from tabwright.tracking.follower import Follower, check, tracked, wait

__all__ = ["Follower", "check", "tracked", "wait"]
