"""Explanations of a finished run: on given rows, or on its own table by models that have not seen the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tabwright.errors import ParityError
from tabwright.explain.explanation import MAX_ROWS, Explanation, explain_subject
from tabwright.explain.subject import Subject, of_model, of_scorer, rows_of
from tabwright.export import serialise
from tabwright.finished import Finished
from tabwright.objectives.design import Design
from tabwright.pipeline import Ensemble
from tabwright.runtime import model_from_bytes
from tabwright.search.assemble import assemble
from tabwright.shapley import MAX_EVALUATIONS, Rows
from tabwright.stored import load_table
from tabwright.types import Array, Floats


def explain_run(
    finished: Finished, classes: Array, X: Any = None, y: Any = None, *, seed: int = 0, max_rows: int = MAX_ROWS,
    max_evaluations: int = MAX_EVALUATIONS, ensemble: Ensemble | None = None,
) -> Explanation:  # fmt: skip
    """As :func:`tabwright.explain.explain`; without ``X`` on a sample of the training table.

    There, what needs true values (importance, slices, fairness) is told by each row's held-out fold models.
    ``ensemble`` is another of the run than the leader.
    """
    explained = finished.ensemble if ensemble is None else ensemble
    subject = subject_of(finished, explained, classes)
    if X is not None:
        return explain_subject(subject, X, y, seed=seed, max_rows=max_rows, max_evaluations=max_evaluations)
    problem = finished.problem
    rng = np.random.default_rng(seed)
    total = len(problem.evaluation_rows())
    share = min(1.0, max_rows / total)
    chosen = [np.sort(rng.permutation(rows)[: max(1, round(share * len(rows)))]) for rows in problem.valid]
    every = np.concatenate(chosen)
    rows = rows_of(load_table(finished.run).take(every))
    held_out = _held_out(finished, explained, classes, [len(c) for c in chosen], subject)
    return Explanation(subject, rows, problem.user_y(every), None, held_out, seed, max_evaluations)


def subject_of(finished: Finished, ensemble: Ensemble, classes: Array) -> Subject:
    """An ensemble of the run as what explanations score: its graph in memory, or the Python models."""
    metric = finished.problem.metric.name
    try:
        model = model_from_bytes(serialise(finished.package(ensemble)), None, finished.config.cores)
    except (ParityError, ValueError):
        task, scorer = ensemble.task, ensemble.predict_canonical
        return of_scorer(finished.schema, task, classes, scorer, ensemble.threshold, metric)
    return of_model(model)


def _held_out(finished: Finished, explained: Ensemble, classes: Array, sizes: list[int], whole: Subject) -> Subject:
    """Scores rows, fold after fold, each by the fold models that were not trained on it."""
    weights = [(m.model_id, m.weight) for m in explained.members]
    whole_design = Design.whole(weights, range(finished.problem.n_folds))
    ensemble = assemble(finished.run, finished.problem, whole_design, explained.name)
    ensemble = replace(ensemble, threshold=explained.threshold, calibration=explained.calibration)
    by_fold = []
    for k in range(len(sizes)):
        members = tuple(m.of_fold(k) for m in ensemble.members)
        by_fold.append(subject_of(finished, replace(ensemble, members=members), classes) if members else whole)
    ends = np.cumsum([0, *sizes])

    def score(rows: Rows) -> Floats:
        parts = [s.score(rows.take(slice(a, b))) for s, a, b in zip(by_fold, ends[:-1], ends[1:], strict=True)]
        return np.concatenate(parts)

    return replace(whole, score=score)



