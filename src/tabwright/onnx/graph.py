"""Builder of one ONNX graph: constants and nodes are shared, forests merged, what nothing uses is dropped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tabwright.onnx.forest import Forest, chunks, combine, stack_outputs, with_columns
from tabwright.onnx.tree_node import tree_ensemble_node
from tabwright.rows import ROWS_KEY
from tabwright.types import FLOAT32_MAX, Array, Ints

ONNX_OPSET, ML_OPSET, MS_OPSET, IR_VERSION = 21, 5, 1, 10
# onnxruntime 1.32 takes time quadratic in an operator's trees to load it: 11,520 trees with 2.1 million nodes took
# 5.7 s in one operator; an operator more costs one or two microseconds a row.
MAX_NODES_PER_OPERATOR = 120_000
# Of one intermediate result, 32 MB in double precision: that of neighbours has a column for each row of training.
# Larger ones are slower, too: 10,000 rows and 6,000 neighbours took 0.49 s at 20 million, 0.22 s at 5 million.
MAX_CELLS = 4_000_000
ML, MS = "ai.onnx.ml", "com.microsoft"
WIDE = "wide matrix"  # stands for all blocks until the forests over it are emitted


class Graph:
    """An ONNX graph under construction. Tensors are named by strings that ``input``, ``const``, ``node`` return.

    Equal constants and equal nodes (same operator, inputs and attributes) are emitted once, so parts that the
    folds and members of an ensemble have in common cost nothing twice. Forests over one feature matrix end in
    one ``TreeEnsemble`` node, and so do forests over matrices that were made by :meth:`matrix`.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, onnx.NodeProto] = {}  # by first output
        self._producer: dict[str, str] = {}  # any output -> first output of its node
        self._seen: dict[Any, list[str]] = {}
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._forests: dict[str, tuple[str, Forest]] = {}  # output -> (feature matrix, forest)
        # matrix -> blocks that it is made of, and widths; which of their columns it has
        self._blocks: dict[str, tuple[tuple[tuple[str, int], ...], Ints | None]] = {}
        self._starts: dict[str, int] = {}  # block -> its first column in the wide matrix, which holds all blocks
        self._width = 0
        self._count = 0

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def input(self, name: str, dtype: int, width: int) -> str:
        """Declare an input of shape (rows, width); ``dtype`` is a ``TensorProto`` code."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, ["rows", width]))
        return name

    def const(self, value: Any, dtype: Any = None) -> str:
        """A constant tensor: numbers as NumPy gives them (or cast to ``dtype``), str as strings."""
        array = np.asarray(value) if dtype is None else np.asarray(value, dtype=dtype)
        if array.dtype.kind in "OUS":
            key: Any = ("str", array.shape, tuple(array.ravel().tolist()))
        else:
            array = np.ascontiguousarray(array).reshape(array.shape)
            key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._seen:
            name = self._name("const")
            if array.dtype.kind in "OUS":
                data: Any = [str(v).encode() for v in array.ravel()]
                tensor = helper.make_tensor(name, TensorProto.STRING, array.shape, data)
            else:
                tensor = numpy_helper.from_array(array, name)
            self._constants[name] = tensor
            self._seen[key] = [name]
        return self._seen[key][0]

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output and return that output's name."""
        return self.nodes(op, *inputs, n_outputs=1, domain=domain, **attributes)[0]

    def nodes(self, op: str, *inputs: str, n_outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """Append a node with several outputs and return their names."""
        key = (op, domain, inputs, n_outputs, tuple(sorted((k, _hashable(v)) for k, v in attributes.items())))
        if key not in self._seen:
            outputs = [self._name(op.lower()) for _ in range(n_outputs)]
            self._add(helper.make_node(op, list(inputs), outputs, domain=domain, **attributes))
            self._seen[key] = outputs
        return self._seen[key]

    def _add(self, node: onnx.NodeProto) -> None:
        self._nodes[node.output[0]] = node
        for output in node.output:
            self._producer[output] = node.output[0]

    def matrix(self, blocks: Sequence[tuple[str, int]], keep: Ints | None = None, *, late: bool = False) -> str:
        """Feature matrix, float32, of float64 blocks (tensor, width) side by side, or of some of their columns.

        ``late`` blocks hold what forests have put out: forests over them are not merged with those before.
        """
        x = self._to_float32([name for name, _ in blocks], keep)
        if not late:
            self._blocks[matrix_to_double(self, x)] = (tuple(blocks), keep)
        return x

    def _to_float32(self, blocks: Sequence[str], keep: Ints | None = None) -> str:
        x = blocks[0] if len(blocks) == 1 else self.node("Concat", *blocks, axis=1)
        if keep is not None:
            x = self.node("Gather", x, self.const(keep), axis=1)
        x = self.node("Clip", x, self.const(-FLOAT32_MAX), self.const(FLOAT32_MAX))
        return self.node("Cast", x, to=TensorProto.FLOAT)

    def forest(self, x: str, forest: Forest) -> str:
        """Raw score (rows, n_outputs), float64, of a forest over the float64 matrix ``x``; emitted at ``build``.

        A forest over a matrix of blocks reads one wide matrix of all blocks instead, in which folds whose features
        differ in a few columns have the others in common: one node then holds the trees of them all.
        """
        name = self._name("forest")
        if x in self._blocks:
            columns = []
            blocks, keep = self._blocks[x]
            for block, width in blocks:
                if block not in self._starts:
                    self._starts[block], self._width = self._width, self._width + width
                columns.append(self._starts[block] + np.arange(width))
            wide = np.concatenate(columns)
            x, forest = WIDE, with_columns(forest, wide if keep is None else wide[keep])
        self._forests[name] = (x, forest)
        return name

    def _wide_matrix(self, forest: Forest) -> tuple[str, Forest]:
        """The blocks that a forest over the wide matrix reads as one float64 matrix, and the forest over that."""
        blocks = list(self._starts)
        starts = np.array([*self._starts.values(), self._width])
        read = np.unique(np.searchsorted(starts, forest.feature[forest.feature >= 0], side="right") - 1)
        used = read.tolist() or [0]
        columns, width = np.zeros(self._width, np.int64), 0
        for k in used:
            size = int(starts[k + 1] - starts[k])
            columns[starts[k] : starts[k + 1]] = width + np.arange(size)
            width += size
        return matrix_to_double(self, self._to_float32([blocks[k] for k in used])), with_columns(forest, columns)

    def weighted_sum(self, tensors: Sequence[str], weights: Sequence[float]) -> str:
        """Sum of equally shaped float64 tensors times scalar weights; forests over one matrix are merged."""
        groups: dict[Any, list[int]] = {}
        for i, tensor in enumerate(tensors):
            x, forest = self._forests.get(tensor, (None, None))
            groups.setdefault((x, forest.n_outputs) if forest else ("tensor", i), []).append(i)
        terms = []
        for (x, _), members in groups.items():
            if x == "tensor":
                weight = weights[members[0]]
                tensor = tensors[members[0]]
                terms.append(tensor if weight == 1.0 else self.node("Mul", tensor, self.const(np.float64(weight))))
            else:
                parts = [self._forests[tensors[i]][1] for i in members]
                terms.append(self.forest(x, combine(parts, [weights[i] for i in members])))
        return terms[0] if len(terms) == 1 else self.node("Sum", *terms)

    def output(self, name: str, tensor: str, dtype: int, width: int | None) -> None:
        """Declare output ``name`` (rows, width), or (rows,) when width is None, as the value of ``tensor``."""
        shape: list[Any] = ["rows"] if width is None else ["rows", width]
        self._add(helper.make_node("Identity", [tensor], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def build(self, metadata: Mapping[str, str], name: str = "tabwright") -> onnx.ModelProto:
        """The finished model: reachable nodes in topological order, forests emitted, metadata attached."""
        self._emit_forests()
        order = self._topological([o.name for o in self._outputs])
        used = {i for node in order for i in node.input}
        graph = helper.make_graph(
            order, name, self._inputs, self._outputs, [t for n, t in self._constants.items() if n in used]
        )
        opsets = [helper.make_opsetid("", ONNX_OPSET), helper.make_opsetid(ML, ML_OPSET)]
        if any(node.domain == MS for node in order):
            opsets.append(helper.make_opsetid(MS, MS_OPSET))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tabwright")
        told = {ROWS_KEY: str(max(1, MAX_CELLS // _widest(graph.initializer)))}
        helper.set_model_props(model, told | dict(metadata))
        return model

    def _emit_forests(self) -> None:
        needed = {i for node in self._topological([o.name for o in self._outputs], partial=True) for i in node.input}
        by_matrix: dict[str, list[str]] = {}
        for name, (x, _) in self._forests.items():
            if name in needed:
                by_matrix.setdefault(x, []).append(name)
        for matrix, names in by_matrix.items():
            merged = stack_outputs([self._forests[n][1] for n in names])
            x, merged = self._wide_matrix(merged) if matrix == WIDE else (matrix, merged)
            parts = []
            for piece in chunks(merged, MAX_NODES_PER_OPERATOR):
                parts.append(self._name("trees"))
                self._add(tree_ensemble_node(piece, x, parts[-1]))
            total = parts[0] if len(parts) == 1 else self.node("Sum", *parts)
            if merged.base.any():
                total = self.node("Add", total, self.const(merged.base[None, :]))
            if len(names) == 1:
                self._add(helper.make_node("Identity", [total], names))
                continue
            widths = [self._forests[n][1].n_outputs for n in names]
            self._add(helper.make_node("Split", [total, self.const(np.array(widths, np.int64))], names, axis=1))

    def _topological(self, wanted: Sequence[str], *, partial: bool = False) -> list[onnx.NodeProto]:
        order: list[onnx.NodeProto] = []
        done: set[str] = set()
        stack = [(name, False) for name in reversed(wanted)]
        while stack:
            name, expanded = stack.pop()
            key = self._producer.get(name)
            if key is None or key in done:
                continue
            node = self._nodes[key]
            if expanded:
                done.add(key)
                order.append(node)
            else:
                stack.append((name, True))
                stack.extend((i, False) for i in reversed(node.input) if i)
                if partial:
                    stack.extend((self._forests[i][0], False) for i in node.input if i in self._forests)
        return order


def _widest(constants: Sequence[onnx.TensorProto]) -> int:
    """Columns of the widest intermediate result: constants of one row are laid beside rows of such."""
    return max((c.dims[1] for c in constants if len(c.dims) == 2 and c.dims[0] == 1), default=1) or 1


def _hashable(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, (list, tuple)):
        return tuple(_hashable(v) for v in value)
    return value


def metadata_json(value: Any) -> str:
    """JSON as it is stored in a model's metadata: sorted keys, no blanks, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def matrix_to_double(graph: Graph, x: str) -> str:
    """The float32 feature matrix as float64, for nodes that sum in double; one cast however often it is asked for."""
    return graph.node("Cast", x, to=TensorProto.DOUBLE)


__all__ = ["ML", "MS", "Array", "Graph", "matrix_to_double", "metadata_json"]
