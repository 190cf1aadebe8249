"""Text columns: tf-idf of words and word pairs, reduced by a truncated SVD, with length statistics.

A token is a run of letters and digits. Upper and lower case are joined through the vocabulary (every spelling
seen in training points at the same column), because ONNX has no lower-casing that is alike on all platforms.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import TensorProto

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo
from tabwright.onnx.graph import MS, Graph
from tabwright.types import Floats, Ints, Kind

TOKEN = re.compile(r"[^\W_]+")
TOKEN_RE2 = r"[\pL\pN]+"  # noqa: S105 - the same set of characters in the syntax of ONNX Runtime's tokenizer
GRID = 2.0**36  # sums that cancel to 1e-17 in one order and 0 in another are 0 in both
MAX_TEXTS = 10_000  # that the vocabulary and the topics are learnt from
MAX_SPELLINGS = 4  # of one word: lower, Title, UPPER and one more


@dataclass(frozen=True)
class FittedText:
    """Reduced tf-idf of one text column, then its number of words, of known words, and whether it is empty."""

    column: int  # position in schema.strings
    names: tuple[str, ...]
    spellings: tuple[str, ...]  # words as they were spelt
    word_of: Ints  # (n_spellings,) position in the vocabulary
    pairs: tuple[str, ...]  # "first second" in the spelling seen
    pair_of: Ints  # (n_pairs,) position in the vocabulary
    idf: Floats  # (n_vocabulary,)
    components: Floats  # (n_vocabulary, n_components)

    def apply(self, table: Table) -> Floats:
        column = table.strings[self.column]
        return self._encode(column.levels)[column.index]

    def _encode(self, texts: Iterable[str]) -> Floats:
        texts = list(texts)
        counts, words = self._count(texts)
        weights = counts.copy()
        weights.data = (1.0 + np.log(weights.data)) * self.idf[weights.indices]
        norm = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
        reduced = np.asarray(weights @ self.components) / np.maximum(norm, 1e-12)[:, None]
        reduced = np.round(reduced * GRID) / GRID
        known = np.asarray(counts.sum(axis=1)).ravel()
        return np.column_stack([reduced, words, known, (words == 0).astype(np.float64)])

    def _count(self, texts: list[str]) -> tuple[Any, Floats]:
        from scipy import sparse

        lookup = dict(zip(self.spellings, self.word_of.tolist(), strict=True))
        pair_lookup = dict(zip(self.pairs, self.pair_of.tolist(), strict=True))
        indices: list[int] = []
        pointer, n_words = [0], []
        for text in texts:
            tokens = TOKEN.findall(text)
            n_words.append(len(tokens))
            indices.extend(k for t in tokens if (k := lookup.get(t)) is not None)
            if pair_lookup:
                pairs = pairwise(tokens)
                indices.extend(k for a, b in pairs if (k := pair_lookup.get(f"{a} {b}")) is not None)
            pointer.append(len(indices))
        matrix = sparse.csr_matrix(
            (np.ones(len(indices)), np.array(indices, np.int64), np.array(pointer, np.int64)),
            shape=(len(texts), len(self.idf)),
        )
        matrix.sum_duplicates()
        return matrix, np.array(n_words, np.float64)

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        tokens = graph.node(
            "Tokenizer", inputs.string_column(self.column), domain=MS,
            mark=0, mincharnum=1, pad_value="", tokenexp=TOKEN_RE2,
        )  # fmt: skip
        counts = graph.node("Cast", self._counts_onnx(graph, tokens), to=TensorProto.DOUBLE)
        known = graph.node("ReduceSum", counts, graph.const(np.array([1], np.int64)), keepdims=1)
        present = graph.node("Greater", counts, graph.const(0.0))
        logs = graph.node("Log", graph.node("Max", counts, graph.const(1.0)))
        weights = graph.node("Mul", graph.node("Add", logs, graph.const(1.0)), graph.const(self.idf[None, :]))
        weights = graph.node("Where", present, weights, graph.const(0.0))
        squares = graph.node("ReduceSumSquare", weights, graph.const(np.array([1], np.int64)), keepdims=1)
        norm = graph.node("Max", graph.node("Sqrt", squares), graph.const(1e-12))
        reduced = graph.node("Div", graph.node("MatMul", weights, graph.const(self.components)), norm)
        blank = graph.node("Equal", tokens, graph.const(np.array("", dtype=object)))
        real = graph.node("Cast", graph.node("Not", blank), to=TensorProto.DOUBLE)
        reduced = graph.node("Mul", reduced, graph.const(GRID))
        reduced = graph.node("Div", graph.node("Round", reduced), graph.const(GRID))
        words = graph.node("ReduceSum", real, graph.const(np.array([1], np.int64)), keepdims=1)
        empty = graph.node("Cast", graph.node("Equal", words, graph.const(0.0)), to=TensorProto.DOUBLE)
        return graph.node("Concat", reduced, words, known, empty, axis=1)

    def _counts_onnx(self, graph: Graph, tokens: str) -> str:
        pool = [*self.spellings, *(word for pair in self.pairs for word in pair.split(" "))]
        return graph.node(
            "TfIdfVectorizer", tokens, mode="TF", max_skip_count=0,
            min_gram_length=1, max_gram_length=2 if self.pairs else 1,
            ngram_counts=[0, len(self.spellings)] if self.pairs else [0],
            ngram_indexes=[*self.word_of.tolist(), *self.pair_of.tolist()], pool_strings=pool,
        )  # fmt: skip


def fit(
    table: Table, _target: TargetInfo | None = None, *, n_components: int = 64, max_words: int = 3000,
    max_pairs: int = 1000, seed: int = 0,
) -> FittedTexts | None:  # fmt: skip
    """Every text column, each with its own vocabulary of words in at least 3 of the rows (0.05 % of many)."""
    fitted = []
    for j, column in enumerate(table.schema.strings):
        if column.kind is Kind.TEXT:
            one = _fit_column(table, j, n_components, (max_words, max_pairs), seed)
            if one is not None:
                fitted.append(one)
    return FittedTexts(tuple(fitted)) if fitted else None


@dataclass(frozen=True)
class FittedTexts:
    """All text columns side by side."""

    parts: tuple[FittedText, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.names)

    def apply(self, table: Table) -> Floats:
        return np.concatenate([part.apply(table) for part in self.parts], axis=1)

    def to_onnx(self, inputs: Inputs) -> str:
        blocks = [part.to_onnx(inputs) for part in self.parts]
        return blocks[0] if len(blocks) == 1 else inputs.graph.node("Concat", *blocks, axis=1)


def _fit_column(table: Table, j: int, n_components: int, limits: tuple[int, int], seed: int) -> FittedText | None:
    column = table.strings[j]
    repeats = column.counts()
    chosen = np.flatnonzero(repeats)
    if len(chosen) > MAX_TEXTS:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, MAX_TEXTS, replace=False))
    texts, repeats = [str(t) for t in column.levels[chosen]], repeats[chosen]
    n_rows = int(repeats.sum())
    spelt: Counter[str] = Counter()
    pair_spelt: Counter[str] = Counter()
    for text, times in zip(texts, repeats.tolist(), strict=True):
        tokens = TOKEN.findall(text)
        for token in set(tokens):
            spelt[token] += times
        for pair in {f"{a} {b}" for a, b in pairwise(tokens)}:
            pair_spelt[pair] += times
    least = max(3, int(0.0005 * n_rows))
    words, spellings = _vocabulary(spelt, least, limits[0])
    pairs, pair_spellings = _vocabulary(pair_spelt, least, limits[1])
    if not words:
        return None
    where = {w: k for k, w in enumerate([*words, *pairs])}
    n_words = {w: c for w, c in _folded(spelt).items() if w in where}
    n_pairs = {p: c for p, c in _folded(pair_spelt).items() if p in where}
    documents = np.array([n_words[w] for w in words] + [n_pairs[p] for p in pairs], np.float64)
    name = table.schema.strings[j].name
    draft = FittedText(
        column=j, names=(), spellings=spellings, word_of=np.array([where[s.lower()] for s in spellings], np.int64),
        pairs=pair_spellings, pair_of=np.array([where[p.lower()] for p in pair_spellings], np.int64),
        idf=np.log((1.0 + n_rows) / (1.0 + np.minimum(documents, n_rows))) + 1.0,
        components=np.zeros((len(where), 0)),
    )  # fmt: skip
    components = _reduce(draft, texts, repeats, n_components, seed)
    labels = [f"{name}.topic{k}" for k in range(components.shape[1])]
    names = (*labels, f"{name}.words", f"{name}.known_words", f"{name}.empty")
    return FittedText(**{**draft.__dict__, "names": names, "components": components})


def _folded(counts: Counter[str]) -> Counter[str]:
    folded: Counter[str] = Counter()
    for spelling, count in counts.items():
        folded[spelling.lower()] += count
    return folded


def _vocabulary(counts: Counter[str], least: int, limit: int) -> tuple[list[str], tuple[str, ...]]:
    """The most frequent words regardless of case, and the spellings under which they are known."""
    folded = _folded(counts)
    words = sorted((w for w, c in folded.items() if c >= least), key=lambda w: (-folded[w], w))[:limit]
    wanted = set(words)
    by_word: dict[str, list[str]] = {w: [] for w in words}
    for spelling, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        kept = by_word.get(spelling.lower()) if spelling.lower() in wanted else None
        if kept is not None and len(kept) < MAX_SPELLINGS:
            kept.append(spelling)
    return words, tuple(s for w in words for s in by_word[w])


def _reduce(draft: FittedText, texts: list[str], repeats: Ints, n_components: int, seed: int) -> Floats:
    """Leading right singular vectors of the normalised tf-idf matrix, (n_vocabulary, n_components)."""
    from sklearn.utils.extmath import randomized_svd

    counts, _ = draft._count(texts)
    counts.data = (1.0 + np.log(counts.data)) * draft.idf[counts.indices]
    norm = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    scale = np.sqrt(repeats) / np.maximum(norm, 1e-12)
    counts.data = counts.data * np.repeat(scale, np.diff(counts.indptr))
    k = min(n_components, min(counts.shape) - 1)
    if k < 1:
        return np.ones((counts.shape[1], 1))
    _, _, Vt = randomized_svd(counts, n_components=k, n_iter=3, random_state=seed)
    return np.ascontiguousarray(Vt.T)


TEXT = Encoder("text", fit, "Salton & Buckley 1988 (tf-idf); Deerwester et al. 1990 (latent semantic analysis)")
