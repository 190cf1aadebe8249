"""Scoring of exported files; imports onnxruntime and NumPy, and nothing of the training code.

An exported file is one ONNX graph with the inputs ``numbers`` (double, rows x P) and ``strings`` (string, rows x Q),
each absent where the model has no such column; with the outputs ``prediction`` (double, rows), or
``probabilities`` (double, rows x classes) and ``label`` (rows); with ``prediction_low`` and ``prediction_high``
(double, rows) or ``prediction_set`` (bool, rows x classes) of 90 % coverage, or ``quantiles`` (double, rows x levels);
and with JSON under the metadata key ``tabwright``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tabwright import ort, reasons, seal
from tabwright.conformal import Conformal, decide, required
from tabwright.errors import DataError, MissingExtraError, ModelFileError
from tabwright.rows import RowEncoder, columns_of, in_parts, rows_at_once, single_row
from tabwright.schema import Schema, encode
from tabwright.shapley import Rows
from tabwright.types import Array, Bools, Floats, Kind, Strings

METADATA_KEY = "tabwright"
FORMAT = 1
CHUNK_ROWS = 20_000
"""Rows scored at once at most, which bounds the memory of intermediate results: fewer where texts or these are long."""
_SCALARS = (int, float, str, bool, type(None), np.generic)


class Model:
    """An exported model. Safe to share between threads.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    metadata : dict
        The value under the file's metadata key ``tabwright``.
    path : Path or None
    sha256 : str
        The file's checksum, as sealed.
    """

    def __init__(self, session: Any, metadata: dict[str, Any], path: Path | None, sha256: str) -> None:
        self.path, self.metadata, self.sha256 = path, metadata, sha256
        self.schema = Schema.from_json(metadata["schema"])
        self.metrics: dict[str, Any] = metadata.get("metrics", {})
        self.classes_ = _classes(metadata)
        stored = metadata.get("conformal")
        self.conformal = None if stored is None else Conformal.from_json(stored)
        self.levels: tuple[float, ...] = tuple(metadata.get("quantiles") or ())
        self.card: str = metadata.get("card", "")  # Markdown
        self._session, self._rows = session, rows_at_once(session, CHUNK_ROWS)
        self._run = session.run
        inputs = {i.name for i in session.get_inputs()}
        self.outputs = tuple(o.name for o in session.get_outputs())
        self._takes_numbers, self._takes_strings = "numbers" in inputs, "strings" in inputs
        strings = self.schema.strings if self._takes_strings else ()
        self._texts = [j for j, column in enumerate(strings) if column.kind is Kind.TEXT]
        self._encode_row = RowEncoder(self.schema)
        self._is_classifier = self.classes_ is not None
        # the label output spells classes as whole numbers (where int64 holds them) or strings: back to positions
        known = enumerate(metadata.get("classes") or ())
        self._position = {spelt: k for k, c in known for spelt in (_spell(c), str(c))}

    def __repr__(self) -> str:
        return f"<tabwright model of {self.schema.target!r} ({self.metadata['task']}), {len(self.schema.used)} columns>"

    def predict(self, X: Any) -> Array:
        """Predictions for one row or many.

        Parameters
        ----------
        X : table or row
            A pandas, polars or Arrow table; a dict of columns; a list of dicts; a 2-D array or list of lists with
            the columns in the schema's order; or one dict as one row. Extra columns are ignored.

        Returns
        -------
        float64, shape (n_rows,), in the target's unit; or classes of the user's type, shape (n_rows,).

        Raises
        ------
        DataError
            If columns are missing, or X is no table.
        ColumnError
            For a value that a column can't hold.
        """
        if not self._is_classifier:
            return self._score(X, "prediction")
        return self.labels(self._score(X, "label"))

    def labels(self, labels: Array) -> Array:
        """The graph's ``label`` output as classes of the user's type, shape (n_rows,)."""
        assert self.classes_ is not None
        if len(labels) == 1:
            return self.classes_[[self._position[labels[0]]]]
        return self.classes_[np.fromiter((self._position[v] for v in labels.tolist()), np.int64, len(labels))]

    def predict_proba(self, X: Any) -> Floats:
        """Class probabilities, float64 (n_rows, n_classes), columns as in ``classes_``; DataError in regression."""
        if not self._is_classifier:
            raise DataError("this model predicts a number and has no classes", "call predict")
        return self._score(X, "probabilities")

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Floats:
        """Lower and upper ends, float64 (n_rows, 2), between which the true value lies with that probability.

        Raises
        ------
        DataError
            For a classifier, or a file without a calibration.
        OptionError
            For a coverage above what the calibration rows suffice for, or no number between 0 and 1.
        """
        if self._is_classifier:
            raise DataError("this model predicts classes, which have no interval", "call predict_set")
        return required(self.conformal).interval(self.predict(X), coverage)

    def predict_set(self, X: Any, coverage: float = 0.9, *, empty: bool = False) -> Bools:
        """Classes among which the true one is with that probability, bool (n_rows, n_classes) as in ``classes_``.

        The predicted class is always among them, unless ``empty`` allows sets that hold none; these come nearer to
        the coverage where the model is right more often than that. Errors as in :meth:`predict_interval`.
        """
        return required(self.conformal).sets(self.predict_proba(X), coverage, empty=empty)

    def predict_quantiles(self, X: Any) -> Floats:
        """Quantiles in the order of ``levels``, ascending, float64 (n_rows, n_levels); DataError without any."""
        if not self.levels:
            raise DataError("this file predicts no quantiles", "export one of tabwright.quantiles.QuantileRegressor")
        return self._score(X, "quantiles")

    def decide(self, X: Any, costs: Any = None, abstain_cost: float | None = None) -> Array:
        """The class of least expected cost, (n_rows,), in an object array with None where no answer costs less.

        Parameters
        ----------
        X : table or row
        costs : array-like, shape (n_classes, n_classes), optional
            ``costs[true][said]`` in the order of ``classes_``; 1 for every error by default.
        abstain_cost : float, optional
            Of no answer; without costs, 0.2 answers where a class has a probability of at least 0.8.
        """
        codes = decide(self.predict_proba(X), costs, abstain_cost)
        assert self.classes_ is not None
        return named(self.classes_, codes)

    def reasons(self, X: Any, top: int | None = 3) -> list[dict[str, Any]]:
        """Reason codes: the columns that moved each row's prediction most, against rows that the file holds.

        Shapley values in the prediction's unit, each row by itself (see :mod:`tabwright.reasons`): of a classifier,
        those of the predicted class's probability. A row costs up to some 2,000 predictions.

        Parameters
        ----------
        X : table or row
            As for :meth:`predict`.
        top : int or None
            Reasons for each row; None gives every column, and then ``base`` and contributions add up to ``value``.

        Returns
        -------
        list of dict, one for each row
            ``prediction``; ``value``, the number or the predicted class's probability; ``base``, its mean over the
            file's rows; ``reasons``, strongest first, each with ``column``, ``value`` and ``contribution``.

        Raises
        ------
        DataError
            If the file was exported without background rows.
        OptionError
            For a ``top`` that is no number from 1.
        """
        return self.reasons_of(self.encode(X), top)

    def reasons_of(self, feeds: dict[str, Array], top: int | None = 3) -> list[dict[str, Any]]:
        """As :meth:`reasons`, of canonical inputs."""
        reasons.check_top(top)
        against = reasons.stored_rows(self.metadata.get("background"), self.schema)
        n = len(next(iter(feeds.values())))
        if n == 0:
            return []
        rows = Rows(feeds.get("numbers", np.empty((n, 0))), feeds.get("strings", np.empty((n, 0), object)))
        label = "label" if self._is_classifier else "prediction"
        predicted = self._in_chunks((label,), feeds)[0]
        outputs = [self._position[v] for v in predicted.tolist()] if self._is_classifier else [0] * n
        names = (self.labels(predicted) if self._is_classifier else predicted).tolist()
        found = reasons.contributions(self._score_rows, rows, against)
        return [
            {"prediction": names[i]} | reasons.record(self.schema, rows, i, found[i], k, top)
            for i, k in enumerate(outputs)
        ]

    def _score_rows(self, rows: Rows) -> Floats:
        feeds = self._feeds(np.ascontiguousarray(rows.numbers), rows.strings)
        values = self._in_chunks(("probabilities" if self._is_classifier else "prediction",), feeds)[0]
        return values if self._is_classifier else values[:, None]

    def encode(self, X: Any) -> dict[str, Array]:
        """The graph's inputs for X, by name."""
        if isinstance(X, dict) and self._is_row(X):
            return self.encode_row(X)
        row = single_row(X, self.schema)
        if row is not None:
            return self.encode_row(row)
        return self.encode_columns(columns_of(X, self.schema))

    def encode_columns(self, columns: Mapping[str, Any]) -> dict[str, Array]:
        """As :meth:`encode`, of columns by name."""
        return self._feeds(*encode(columns, self.schema))

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Every output of the graph for canonical inputs (what :meth:`encode` gives, joined or not), by name."""
        return dict(zip(self.outputs, self._in_chunks(self.outputs, feeds), strict=True))

    def _score(self, X: Any, output: str) -> Array:
        feeds = self.encode(X)
        if len(next(iter(feeds.values()))) == 0:
            return self._empty(output)
        return self._in_chunks((output,), feeds)[0]

    def _in_chunks(self, outputs: tuple[str, ...], feeds: dict[str, Array]) -> list[Array]:
        texts = feeds["strings"][:, self._texts] if self._texts else None
        return in_parts(lambda part: self._run(outputs, part), feeds, self._rows, texts)

    def _empty(self, output: str) -> Array:
        if output in ("probabilities", "quantiles"):
            return np.empty((0, len(self.levels if self.classes_ is None else self.classes_)))
        return np.empty(0, dtype=np.float64 if output == "prediction" else object)

    def _feeds(self, numbers: Floats, strings: Strings) -> dict[str, Array]:
        feeds: dict[str, Array] = {}
        if self._takes_numbers:
            feeds["numbers"] = numbers
        if self._takes_strings:
            feeds["strings"] = strings
        return feeds

    def _is_row(self, X: dict[Any, Any]) -> bool:
        for value in X.values():
            if isinstance(value, _SCALARS):
                return True
            if isinstance(value, (list, tuple, np.ndarray)) or hasattr(value, "__array__"):
                return False
        return bool(X)

    def encode_row(self, row: Mapping[Any, Any]) -> dict[str, Array]:
        """As :meth:`encode`, of one row by column name."""
        return self._feeds(*self._encode_row(row))


def named(classes: Array, codes: Array) -> Array:
    """Classes of codes as an object array, None for -1."""
    out: Array = np.empty(len(codes), dtype=object)
    out[:] = [None if k < 0 else classes[k] for k in codes.tolist()]
    return out


def _spell(value: Any) -> int | str:
    return int(value) if isinstance(value, (int, bool)) else str(value)


def _classes(metadata: Mapping[str, Any]) -> Array | None:
    classes = metadata.get("classes")
    if not classes:
        return None
    out: Array = np.empty(len(classes), dtype=object)
    out[:] = classes
    dtype = metadata.get("class_dtype")
    return out if dtype in (None, "str") else out.astype(dtype)


def load_model(path: str | Path, n_threads: int = 1, public_key: Any = None) -> Model:
    """Load an exported file for scoring.

    Parameters
    ----------
    path : str or Path
    n_threads : int
        Threads of one prediction; 1 is fastest for single rows.
    public_key : path of a PEM file, PEM bytes, 32 raw bytes, or Ed25519PublicKey, optional
        Load the file only if the owner of this key has signed it; needs ``tabwright[sign]``.

    Raises
    ------
    ModelFileError
        If the file is absent, no ONNX, of another program, altered, of a later format, or not signed by that key.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ModelFileError(f"{path!r} is no path", "name the exported .onnx file")
    path = Path(path)
    try:
        data = path.read_bytes()
    except IsADirectoryError:
        raise ModelFileError(f"{str(path)!r} is a directory", "name the exported .onnx file") from None
    except OSError:
        raise ModelFileError(f"there is no model file {str(path)!r}", "check the path") from None
    return model_from_bytes(data, path, n_threads, public_key)


def model_from_bytes(data: bytes, path: Path | None = None, n_threads: int = 1, public_key: Any = None) -> Model:
    """As :func:`load_model`, from the file's content."""
    name = repr(str(path)) if path else "the model"
    if not seal.is_sealed(data):
        if public_key is None:  # a file that must be signed is not run to see what it is
            _session(data, name, 1)  # tells "no ONNX" from "another program's ONNX"
        raise ModelFileError(f"{name} was not exported by tabwright", "export the model with tabwright")
    checksum = seal.verify(data, name)
    if public_key is not None:
        from tabwright import signature  # most files are loaded without

        signature.verify(data, public_key, name)
    session = _session(data, name, n_threads)
    stored = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if stored is None:
        raise ModelFileError(f"{name} was not exported by tabwright", "export the model with tabwright")
    metadata = json.loads(stored)
    if metadata["format"] > FORMAT:
        raise ModelFileError(
            f"{name} has format {metadata['format']} and this program reads up to {FORMAT}", "install a newer tabwright"
        )
    return Model(session, metadata, path, checksum)


def _session(data: bytes, name: str, n_threads: int) -> Any:
    try:
        return ort.session(data, n_threads)
    except MissingExtraError:
        raise
    except Exception as error:
        reason = str(error).split("\n")[0][:200]
        problem = f"{name} is not an ONNX file that can be run: {reason}"
        raise ModelFileError(problem, "export the model again, or update onnxruntime") from None
