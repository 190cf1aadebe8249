"""Feature sets: which encoders and steps make the matrix that a family learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from tabwright import plugins
from tabwright.codec import register
from tabwright.data.table import Table
from tabwright.errors import NotExportableError, OptionError
from tabwright.features import ENCODERS, STEPS
from tabwright.features.base import Encoder, FittedEncoder, FittedStep, Inputs, Step, TargetInfo
from tabwright.features.ordinal import FittedOrdinal
from tabwright.features.screen import Interactions
from tabwright.types import FLOAT32_MAX, Columns, Floats, Ints, View

_ENCODERS: dict[str, Encoder] = {e.name: e for e in ENCODERS}
_STEPS: dict[str, Step] = {s.name: s for s in STEPS}
Option = tuple[str, Any]
BLOCK_ROWS = 8192


def encoder(name: str) -> Encoder:
    """The encoder called ``name``, here or in an installed package, or the one at ``"package.module:NAME"``.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    if name in _ENCODERS:
        return _ENCODERS[name]
    if plugins.is_reference(name):
        found = plugins.imported(name, "transformers")
    else:
        found = plugins.installed(plugins.TRANSFORMERS, name)
    if not isinstance(found, Encoder):
        problem = f"names no transformer: {name!r}"
        raise OptionError("transformers", problem, "name a tabwright.features.base.Encoder as package.module:NAME")
    for cls in found.fitted:
        register(cls)
    return found


@dataclass(frozen=True)
class Part:
    """Encoders side by side, then steps one after the other; each with its options."""

    encoders: tuple[tuple[str, tuple[Option, ...]], ...]
    steps: tuple[tuple[str, tuple[Option, ...]], ...] = ()

    @property
    def supervised(self) -> bool:
        return any(encoder(name).supervised for name, _ in self.encoders)


@dataclass(frozen=True)
class FittedPart:
    """A part's fitted encoders and steps."""

    encoders: tuple[FittedEncoder, ...]
    steps: tuple[FittedStep, ...]

    @property
    def names(self) -> tuple[str, ...]:
        names = tuple(n for e in self.encoders for n in e.names)
        for step in self.steps:
            names = step.rename(names)
        return names

    @property
    def late(self) -> bool:
        """Whether it reads what models predict."""
        return any(getattr(e, "late", False) for e in self.encoders)

    def apply(self, table: Table) -> Floats:
        """float32 (n_rows, n_features)."""
        return _stepped(_beside([e.apply(table) for e in self.encoders]), self.steps)

    def to_onnx(self, inputs: Inputs) -> str:
        for e in self.encoders:
            if not hasattr(e, "to_onnx"):
                raise NotExportableError(type(e).__name__, "transformer")
        blocks = [e.to_onnx(inputs) for e in self.encoders]
        x = blocks[0] if len(blocks) == 1 else inputs.graph.node("Concat", *blocks, axis=1)
        for step in self.steps:
            x = step.to_onnx(inputs.graph, x)
        return x


Encoded = tuple[FittedEncoder, Floats]
FitEncoder = Callable[[str, tuple[Option, ...], Table, "TargetInfo | None"], "Encoded | None"]


def fit_encoder(name: str, options: tuple[Option, ...], table: Table, target: TargetInfo | None) -> Encoded | None:
    """One fitted encoder and its training rows; None if it has nothing to encode."""
    made = encoder(name)
    result = made.fit(table, target, **dict(options))
    if result is None or made.supervised:
        return cast("Encoded | None", result)
    return result, result.apply(table)


def fit_part(
    part: Part, table: Table, target: TargetInfo | None, fit: FitEncoder = fit_encoder
) -> tuple[FittedPart, Floats] | None:
    """The fitted part and its training rows; None if it has nothing to encode.

    The rows are float32, out of fold where supervised. ``fit`` may be a cache in front of :func:`fit_encoder`.
    """
    encoders: list[FittedEncoder] = []
    blocks: list[Floats] = []
    for name, options in part.encoders:
        result = fit(name, options, table, target)
        if result is not None:
            encoders.append(result[0])
            blocks.append(result[1])
    if not encoders:
        return None
    X = _beside(blocks)
    steps: list[FittedStep] = []
    for name, options in part.steps:
        for step in steps[-1:]:
            X = step.apply(X)
        steps.append(_STEPS[name].fit(X, **dict(options)))
    return FittedPart(tuple(encoders), tuple(steps)), _stepped(X, steps[-1:])


def _beside(blocks: Sequence[Floats]) -> Floats:
    """Blocks as one, without a copy of a single one."""
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)


def _stepped(X: Floats, steps: Sequence[FittedStep]) -> Floats:
    """Steps one after the other, to float32, in blocks of rows: what they make may be many times as wide."""
    if not steps:
        return to_float32([X])
    out: Floats | None = None
    for start in range(0, max(len(X), 1), BLOCK_ROWS):
        block = X[start : start + BLOCK_ROWS]
        for step in steps:
            block = step.apply(block)
        if out is None:
            out = np.empty((len(X), block.shape[1]), np.float32)
        out[start : start + BLOCK_ROWS] = to_float32([block])
    assert out is not None
    return out


def fit_step(name: str, X: Floats) -> FittedStep:
    """A step of that name, with its default options, fitted to a block."""
    return _STEPS[name].fit(X)


@dataclass(frozen=True)
class FittedFeatures:
    """Everything between the table and a family's float32 matrix.

    ``keep`` (n_features,) are the columns of the parts that the matrix has, ascending; None for all.
    """

    parts: tuple[FittedPart, ...]
    keep: Ints | None = None

    @property
    def names(self) -> tuple[str, ...]:
        names = tuple(n for part in self.parts for n in part.names)
        return names if self.keep is None else tuple(names[k] for k in self.keep)

    def apply(self, table: Table) -> Floats:
        """float32 (n_rows, n_features), C-contiguous."""
        return self.matrix([part.apply(table) for part in self.parts])

    def matrix(self, blocks: Sequence[Floats]) -> Floats:
        """The same of what the parts have made."""
        X = to_float32(blocks)
        return X if self.keep is None else np.ascontiguousarray(X[:, self.keep])

    def to_onnx(self, inputs: Inputs) -> str:
        """The same as a float32 tensor."""
        blocks = [(part.to_onnx(inputs), len(part.names)) for part in self.parts]
        return inputs.graph.matrix(blocks, self.keep, late=any(part.late for part in self.parts))

    def columns(self) -> Columns:
        """Which of the features are category codes."""
        categorical: list[int] = []
        cardinality: list[int] = []
        start = 0
        for part in self.parts:
            position = start
            for encoder in part.encoders:
                if isinstance(encoder, FittedOrdinal) and not part.steps:
                    categorical.extend(range(position, position + len(encoder.names)))
                    cardinality.extend(encoder.cardinality)
                position += len(encoder.names)
            start += len(part.names)
        if self.keep is None:
            return Columns(start, tuple(categorical), tuple(cardinality))
        size = dict(zip(categorical, cardinality, strict=True))
        codes = [k for k, column in enumerate(self.keep.tolist()) if column in size]
        return Columns(len(self.keep), tuple(codes), tuple(size[int(self.keep[k])] for k in codes))


def to_float32(blocks: Sequence[Floats]) -> Floats:
    """Blocks side by side as one float32 matrix."""
    out = np.empty((len(blocks[0]), sum(b.shape[1] for b in blocks)), np.float32)
    start = 0
    for block in blocks:
        np.clip(block, -FLOAT32_MAX, FLOAT32_MAX, out=out[:, start : start + block.shape[1]], casting="unsafe")
        start += block.shape[1]
    return out


@dataclass(frozen=True)
class Recipe:
    """A feature set. Parts that read no target are fitted once a run and shared by all folds and candidates."""

    view: View
    parts: tuple[Part, ...] = field(default_factory=tuple)

    def without(self, *encoders: str) -> Recipe:
        """The recipe with some encoders left out."""
        parts = [Part(tuple(e for e in p.encoders if e[0] not in encoders), p.steps) for p in self.parts]
        return Recipe(self.view, tuple(p for p in parts if p.encoders))

    def with_interactions(self, found: Interactions) -> Recipe:
        """The recipe with the interactions that a screen has found."""
        steps = () if self.view in (View.NATIVE, View.TREES) else _FILLED_AND_SCALED
        plain = [("arithmetic", found.arithmetic), ("deviation", found.deviation)]
        groups = [[(name, _options(pairs=pairs)) for name, pairs in group if pairs]
                  for group in (plain, [("cross_mean", found.cross_mean)])]  # fmt: skip
        return Recipe(self.view, (*self.parts, *(Part(tuple(group), steps) for group in groups if group)))

    def with_users(self, encoders: Sequence[str]) -> Recipe:
        """The recipe with encoders from outside this package, each a part of its own."""
        steps = () if self.view in (View.NATIVE, View.TREES) else _FILLED_AND_SCALED
        return Recipe(self.view, (*self.parts, *(Part(((name, _PLAIN),), steps) for name in encoders)))

    @property
    def shared(self) -> tuple[Part, ...]:
        return tuple(p for p in self.parts if not p.supervised)

    @property
    def by_fold(self) -> tuple[Part, ...]:
        return tuple(p for p in self.parts if p.supervised)


def _options(**options: Any) -> tuple[Option, ...]:
    return tuple(sorted(options.items()))


_PLAIN: tuple[Option, ...] = ()
_FILLED_AND_SCALED = (("impute", _PLAIN), ("scale", _PLAIN))
_NUMBERS = (("numbers", _PLAIN), ("dates", _PLAIN), ("coordinates", _PLAIN))
_CYCLIC = (("numbers", _PLAIN), ("dates", _options(cyclic=True)), ("coordinates", _PLAIN))

RECIPES: dict[View, Recipe] = {
    View.NATIVE: Recipe(View.NATIVE, (
        Part(_NUMBERS), Part((("text", _PLAIN),)), Part((("ordinal", _PLAIN),)),
        Part((("frequency", _options(min_values=30)),)),
        Part((("target_mean", _options(min_values=30)),)),
        Part((("spatial_mean", _PLAIN),)),
    )),
    View.TREES: Recipe(View.TREES, (
        Part(_NUMBERS), Part((("text", _PLAIN),)), Part((("one_hot", _options(max_values=8)),)),
        Part((("frequency", _PLAIN),)),
        Part((("target_mean", _PLAIN),)),
        Part((("spatial_mean", _PLAIN),)),
    )),
    View.DENSE: Recipe(View.DENSE, (
        Part(_CYCLIC, _FILLED_AND_SCALED),
        Part((("text", _PLAIN),), (("scale", _PLAIN),)),
        Part((("one_hot", _PLAIN),)),
        Part((("target_mean", _options(min_values=20)),), (("scale", _PLAIN),)),
        Part((("spatial_mean", _PLAIN),), (("scale", _PLAIN),)),
    )),
    View.COMPACT: Recipe(View.COMPACT, (
        Part(_CYCLIC, _FILLED_AND_SCALED),
        Part((("one_hot", _options(max_values=8)),)),
        Part((("target_mean", _options(min_values=9)),), (("scale", _PLAIN),)),
        Part((("spatial_mean", _PLAIN),), (("scale", _PLAIN),)),
    )),
    View.SMOOTH: Recipe(View.SMOOTH, (
        Part(_CYCLIC, _FILLED_AND_SCALED),
        Part(_CYCLIC, (("impute", _PLAIN), ("piecewise", _PLAIN))),
        Part((("text", _PLAIN),), (("scale", _PLAIN),)),
        Part((("one_hot", _PLAIN),)),
        Part((("target_mean", _options(min_values=20)),), (("scale", _PLAIN),)),
        Part((("spatial_mean", _PLAIN),), (("scale", _PLAIN),)),
    )),
}  # fmt: skip
