"""Latitude/longitude pairs, rotated: trees split along axes, so other axes show them other borders."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo
from tabwright.schema import Schema
from tabwright.types import Floats

LATITUDE = re.compile(r"(^|[^a-z])(lat|latitude)([^a-z]|$)|latitude", re.IGNORECASE)
LONGITUDE = re.compile(r"(^|[^a-z])(lon|lng|long|longitude)([^a-z]|$)|longitude", re.IGNORECASE)
ANGLES = (15.0, 30.0, 45.0, 60.0, 75.0)  # degrees


@dataclass(frozen=True)
class FittedCoordinates:
    """Centred pairs turned by ``rotation``, whose columns are the new axes."""

    columns: tuple[int, ...]  # latitude, longitude, latitude, ... : positions in schema.numeric
    names: tuple[str, ...]
    centre: Floats  # (n_columns,), degrees
    rotation: Floats  # (n_columns, n_outputs)

    def apply(self, table: Table) -> Floats:
        X = table.numbers[:, list(self.columns)] - self.centre
        # summed column by column: a missing value spoils its own pair only, and no product order can differ
        out = np.empty((len(X), self.rotation.shape[1]))
        for k, axis in enumerate(self.rotation.T):
            first, second = np.flatnonzero(axis)
            out[:, k] = X[:, first] * axis[first] + X[:, second] * axis[second]
        return out

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        x = graph.node("Sub", inputs.number_columns(self.columns), graph.const(self.centre[None, :]))
        pairs = np.array([np.flatnonzero(axis) for axis in self.rotation.T])
        terms = []
        for side in (0, 1):
            picked = graph.node("Gather", x, graph.const(pairs[:, side].astype(np.int64)), axis=1)
            factors = self.rotation[pairs[:, side], np.arange(len(pairs))]
            terms.append(graph.node("Mul", picked, graph.const(factors[None, :])))
        return graph.node("Add", *terms)


def find_pairs(schema: Schema, numbers: Floats) -> list[tuple[int, int]]:
    """Positions (latitude, longitude) of pairs that bear such names and lie in such ranges."""
    names = [c.name for c in schema.numeric]
    latitudes = [j for j, n in enumerate(names) if LATITUDE.search(n) and _within(numbers[:, j], 90.0)]
    longitudes = [j for j, n in enumerate(names) if LONGITUDE.search(n) and _within(numbers[:, j], 360.0)]
    pairs = []
    for lat in latitudes:
        stem = LATITUDE.sub("", names[lat])
        same = [lon for lon in longitudes if LONGITUDE.sub("", names[lon]) == stem and lon != lat]
        if same:
            pairs.append((lat, same[0]))
    if not pairs and len(latitudes) == len(longitudes) == 1 and latitudes != longitudes:
        pairs.append((latitudes[0], longitudes[0]))
    return pairs


def _within(x: Floats, limit: float) -> bool:
    x = x[~np.isnan(x)]
    return len(x) > 0 and bool((np.abs(x) <= limit).all()) and bool((x != np.round(x)).any())


def fit(table: Table, _target: TargetInfo | None = None) -> FittedCoordinates | None:
    """Every pair found, turned by each of :data:`ANGLES`."""
    pairs = find_pairs(table.schema, table.numbers)
    if not pairs:
        return None
    columns = tuple(j for pair in pairs for j in pair)
    rotation = np.zeros((len(columns), 2 * len(ANGLES) * len(pairs)))
    names: list[str] = []
    for p, (lat, lon) in enumerate(pairs):
        label = f"{table.schema.numeric[lat].name}/{table.schema.numeric[lon].name}"
        for angle in ANGLES:
            radians = np.deg2rad(angle)
            rotation[2 * p : 2 * p + 2, len(names)] = np.cos(radians), np.sin(radians)
            rotation[2 * p : 2 * p + 2, len(names) + 1] = -np.sin(radians), np.cos(radians)
            names += [f"{label} turned {angle:g}°", f"{label} turned {angle + 90:g}°"]
    centre = np.nanmean(table.numbers[:, list(columns)], axis=0)
    return FittedCoordinates(columns, tuple(names), centre, rotation)


COORDINATES = Encoder("coordinates", fit, "rotation of the axes; common practice in geospatial tables")
