"""From what a run has on disk to an ensemble that predicts."""

from __future__ import annotations

from tabwright.engine.shelf import Shelf, load_fold_model
from tabwright.objectives.design import Design
from tabwright.pipeline import Ensemble, Member, family_of
from tabwright.search.problem import Problem
from tabwright.store.run_dir import RunDir


def assemble(
    run: RunDir, problem: Problem, design: Design, name: str = "ensemble", shelf: Shelf | None = None
) -> Ensemble:
    """The ensemble of a design, from the fold models on disk; the trivial model if it has no share.

    ``shelf`` keeps between calls what models share.
    """
    shelf = Shelf() if shelf is None else shelf
    loaded = [tuple(load_fold_model(run, s.model_id, k, shelf) for k in s.folds) for s in design.shares]
    members = []
    for share, models in zip(design.shares, loaded, strict=True):
        # a member may be what another is stacked on: then it is the same object, exported once
        same = tuple(shelf.bases.get((share.model_id, k), m) for k, m in zip(share.folds, models, strict=True))
        members.append(Member(share.model_id, family_of(share.model_id), share.weight, same))
    return Ensemble(
        problem.task, tuple(members), problem.n_classes, problem.mean, problem.scale, problem.constant(), name=name
    )
