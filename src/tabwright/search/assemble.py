"""From what a run has on disk to an ensemble that predicts."""

from __future__ import annotations

from tabwright.engine.fold import load_fold_model
from tabwright.features.recipe import FittedPart
from tabwright.objectives.design import Design
from tabwright.pipeline import Ensemble, Member
from tabwright.search.problem import Problem
from tabwright.store.run_dir import RunDir


def assemble(
    run: RunDir, problem: Problem, design: Design, name: str = "ensemble", parts: dict[str, FittedPart] | None = None
) -> Ensemble:
    """The ensemble of a design, from the fold models on disk; the trivial model if it has no share.

    ``parts`` keeps shared features between calls.
    """
    parts = {} if parts is None else parts
    members = []
    for share in design.shares:
        folds = tuple(load_fold_model(run, share.model_id, k, parts) for k in share.folds)
        members.append(Member(share.model_id, share.model_id.rsplit("_", 1)[0], share.weight, folds))
    return Ensemble(
        problem.task, tuple(members), problem.n_classes, problem.mean, problem.scale, problem.constant(), name=name
    )
