"""The process that tells: ``python -m tabwright.tracking.teller RUN URI``, ended by the end of its input."""

from __future__ import annotations

import json
import os
import select
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabwright.audit import Audit, audit
from tabwright.codec import write_atomic
from tabwright.errors import UserError
from tabwright.names import masked
from tabwright.runtime import load_model
from tabwright.store.journal import CandidateRecord, FoldRecord
from tabwright.store.run_dir import RunDir
from tabwright.tracking.follower import DEFAULT, STATUS_FILE, experiment_name
from tabwright.tracking.registry import VARIABLE, add_version

POLL_S = 2.0
MAX_PARAM = 500  # characters that MLflow keeps


class Teller:
    """Tells one run: a parent with the leader's score over time, and a child for each candidate."""

    def __init__(self, run: Path, uri: str) -> None:
        import mlflow
        from mlflow.tracking import MlflowClient

        self._run = run
        if uri != DEFAULT:
            mlflow.set_tracking_uri(uri)
        self._client: Any = MlflowClient()
        name = experiment_name()
        found = self._client.get_experiment_by_name(name)
        self._experiment = found.experiment_id if found else self._client.create_experiment(name)
        self.parent = self._client.create_run(self._experiment, run_name=run.name).info.run_id
        self._children: dict[str, str] = {}
        self._ended: set[str] = set()  # they may be told of fits on all rows yet
        self._told_folds, self._told_leaders, self._with_options = 0, 0, False

    def tell(self) -> None:
        """What is new in the journal."""
        if not (self._run / "run.json").exists():
            return
        found = audit(self._run)
        if not self._with_options:
            self._options(found.config)
        for candidate in found.candidates:
            if candidate.model_id not in self._children:
                self._begin(candidate)
        metric = str(found.config["sort_metric"])
        for fold in found.folds[self._told_folds :]:
            self._fold(fold, metric)
        self._told_folds = len(found.folds)
        for leader in found.leaders[self._told_leaders :]:
            if leader.score is not None:
                self._client.log_metric(self.parent, metric, leader.score, _ms(leader.time), self._told_leaders)
            self._told_leaders += 1
        self._close_finished(found)

    def _options(self, config: dict[str, Any]) -> None:
        for key, value in config["config"].items():
            self._client.log_param(self.parent, key, masked(str(value))[:MAX_PARAM])
        for key in ("task", "sort_metric", "n_folds"):
            self._client.set_tag(self.parent, key, str(config[key]))
        for key, value in config.get("environment", {}).items():
            self._client.set_tag(self.parent, f"environment.{key}", str(value))
        self._with_options = True

    def _begin(self, candidate: CandidateRecord) -> None:
        tags = {"mlflow.parentRunId": self.parent, "family": candidate.family, "origin": candidate.origin}
        made = self._client.create_run(
            self._experiment, _ms(candidate.created), tags, run_name=candidate.model_id
        )  # fmt: skip
        self._children[candidate.model_id] = made.info.run_id
        for key, value in candidate.params.items():
            self._client.log_param(made.info.run_id, key, str(value)[:MAX_PARAM])

    def _fold(self, fold: FoldRecord, metric: str) -> None:
        child = self._children[fold.model_id]
        at = _ms(fold.started + fold.seconds)
        if fold.status == "ok":
            values = {f"fold_{metric}": fold.score, "fold_seconds": fold.seconds,
                      "peak_memory_mib": fold.peak_memory_mib}  # fmt: skip
            for key, value in values.items():
                if value is not None:
                    self._client.log_metric(child, key, float(value), at, fold.fold)
        elif fold.status != "cancelled":
            self._client.set_tag(child, "failure", f"{fold.status}: {fold.reason}"[:MAX_PARAM])

    def _close_finished(self, found: Audit) -> None:
        """End the children whose folds are all there, or one of whose folds failed."""
        n_folds = int(found.config["n_folds"])
        done: dict[str, set[int]] = {}
        for fold in found.folds:
            if fold.status == "ok":
                done.setdefault(fold.model_id, set()).add(fold.fold)
            elif fold.status != "cancelled" and fold.model_id in self._children:
                self._end(fold.model_id, "FAILED")
        for model_id, folds in done.items():
            if len(folds) >= n_folds:
                self._end(model_id, "FINISHED")

    def _end(self, model_id: str, status: str) -> None:
        if model_id in self._children and model_id not in self._ended:
            self._client.set_terminated(self._children[model_id], status)
            self._ended.add(model_id)

    def conclude(self) -> None:
        """The search is over: the leader's metrics and files, then the end of what still runs."""
        self.tell()
        for model_id in list(self._children):
            self._end(model_id, "KILLED")
        status = "KILLED"
        if (self._run / "run.json").exists() and any(k == "finished" for _, k, _ in audit(self._run).events):
            self._artefacts()
            status = "FINISHED"
        self._client.set_terminated(self.parent, status)

    def _artefacts(self) -> None:
        """Leaderboard, card and the leader as an MLflow model."""
        from tabwright import automl, leaderboard
        from tabwright.card import card
        from tabwright.export import export
        from tabwright.tracking.flavour import save_model

        finished = automl.load(RunDir.open(self._run))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            report = export(finished.package(), folder / "model.onnx")
            for key, value in finished.metrics.items():
                self._client.log_metric(self.parent, f"leader_{key}", value)
            for key, value in report.profile.to_dict().items():
                self._client.log_metric(self.parent, f"leader_{key}", value)
            board = leaderboard.table(finished.state, finished.profiles, finished.averaging_gain())
            board.to_csv(folder / "leaderboard.csv", index=False)
            (folder / "model_card.md").write_text(card(finished.card_facts(board)), "utf-8")
            save_model(folder / "model.onnx", folder / "model")
            for file in ("leaderboard.csv", "model_card.md"):
                self._client.log_artifact(self.parent, str(folder / file))
            self._client.log_artifacts(self.parent, str(folder / "model"), "model")
            if os.environ.get(VARIABLE):
                add_version(self._client, os.environ[VARIABLE], self.parent, load_model(folder / "model.onnx"))


def _ms(seconds: float) -> int:
    return int(1000 * seconds)


def write_status(run: Path, **status: Any) -> None:
    try:
        write_atomic(run / STATUS_FILE, json.dumps(status).encode())
    except OSError as error:
        print(f"the status can't be written: {error}", file=sys.stderr)


def main(arguments: Sequence[str]) -> int:
    """Tell until the input ends; 1 if the server could not be told, with the reason in the status file."""
    run, uri = Path(arguments[0]), arguments[1]
    started, run_id = time.monotonic(), ""
    try:
        teller = Teller(run, uri)
        run_id = teller.parent
        write_status(run, state="tracking", run_id=run_id)
        while not select.select([sys.stdin], [], [], POLL_S)[0]:
            teller.tell()
        teller.conclude()
    except Exception as error:  # whatever the server or MLflow does
        first = str(error).strip().split("\n", maxsplit=1)[0][:300]
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first}"
        write_status(run, state="failed", reason=reason, run_id=run_id, after_s=round(time.monotonic() - started, 1))
        print(reason, file=sys.stderr)
        return 1
    write_status(run, state="finished", run_id=run_id)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
