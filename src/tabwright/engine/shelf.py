"""Fold models in a run's directory: a file for each, shared features in files of their own, all written atomically."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tabwright.codec import write_atomic
from tabwright.engine.base import FoldJob
from tabwright.features.base import FittedStep
from tabwright.features.recipe import FittedFeatures, FittedPart
from tabwright.objectives.design import ALL_ROWS
from tabwright.pipeline import CODEC, FEATURES, FULL, TEACHER, FoldModel, Member, Stacked, family_of
from tabwright.store.run_dir import RunDir
from tabwright.types import Floats, Task


def write_fold(
    run: RunDir, job: FoldJob, keys: Sequence[str], model: FoldModel, prediction: Floats,
    steps: tuple[FittedStep, ...],
) -> str:  # fmt: skip
    """Write a fold's validation predictions and its model; the model file's SHA-256.

    The file names the fold's shared parts, and what it is stacked on, and holds the rest.
    """
    content: dict[str, Any] = {
        "shared": tuple(keys), "parts": model.features.parts[len(keys) :], "model": model.model,
    }  # fmt: skip
    if model.features.keep is not None:
        content["keep"] = model.features.keep
    if job.candidate.bases:
        content |= {"bases": job.candidate.bases, "steps": steps}
    data = CODEC.dumps(content)
    buffer = io.BytesIO()
    np.save(buffer, prediction, allow_pickle=False)
    write_atomic(run.prediction_path(*job.key), buffer.getvalue())
    write_atomic(run.model_path(*job.key), data)
    return hashlib.sha256(data).hexdigest()


@dataclass
class Shelf:
    """What fold models of a run have in common, once read: the very same objects are exported and computed once."""

    parts: dict[str, FittedPart] = field(default_factory=dict)
    bases: dict[tuple[str, int], FoldModel] = field(default_factory=dict)  # that stackers read, by id and fold


def load_fold_model(run: RunDir, model_id: str, fold: int, shelf: Shelf) -> FoldModel:
    """A fold's model from disk, and the models of what it is stacked on."""
    if (model_id, fold) in shelf.bases:
        return shelf.bases[model_id, fold]
    path = run.model_path(model_id, fold)
    content: dict[str, Any] = CODEC.loads(path.read_bytes(), str(path))
    for key in content["shared"]:
        if key not in shelf.parts:
            file = run.features_dir / f"{key}.tw"
            shelf.parts[key] = CODEC.loads(file.read_bytes(), str(file))
    shared = tuple(shelf.parts[key] for key in content["shared"])
    stacked = () if not content.get("bases") else (_stacked(run, content["bases"], content["steps"], shelf),)
    parts, keep = (*shared, *content["parts"], *stacked), content.get("keep")
    if keep is not None and stacked:  # what it is stacked on is seen whole
        n_late = len(stacked[0].names)
        n_own = sum(len(part.names) for part in parts) - n_late
        keep = np.concatenate([keep, n_own + np.arange(n_late)])
    return FoldModel(FittedFeatures(parts, keep), content["model"])


def _stacked(run: RunDir, bases: Sequence[str], steps: tuple[FittedStep, ...], shelf: Shelf) -> FittedPart:
    """The part of a stacker's features that are the predictions of other candidates."""
    key = "stacked on " + " ".join(bases)
    if key not in shelf.parts:
        facts = run.config()
        for model_id in bases:
            for k in range(facts["n_folds"]):
                shelf.bases[model_id, k] = load_fold_model(run, model_id, k, shelf)
        members = tuple(
            Member(m, family_of(m), 1.0, tuple(shelf.bases[m, k] for k in range(facts["n_folds"]))) for m in bases
        )
        shelf.parts[key] = FittedPart((Stacked(members, Task(facts["task"]), facts["n_classes"]),), ())
    return replace(shelf.parts[key], steps=steps) if steps else shelf.parts[key]


def later_inputs(run: RunDir, job: FoldJob) -> list[str]:
    """Files that a job reads and that appear while a run goes on, relative to its directory."""
    found = [run.interactions_file] if job.candidate.params.get(FEATURES) == FULL else []
    if job.candidate.params.get(TEACHER):
        folds = range(run.config()["n_folds"]) if job.fold == ALL_ROWS else (job.fold,)
        names = [str(m) for m, _ in job.candidate.params[TEACHER]]
        found += [path(m, k) for m in names for k in folds for path in (run.model_path, run.prediction_path)]
        found += run.features_dir.glob("*.tw")
    if job.candidate.bases:
        found += [run.prediction_path(m, k) for m in job.candidate.bases for k in range(run.config()["n_folds"])]
    return [str(f.relative_to(run.path)) for f in found if f.exists()]
