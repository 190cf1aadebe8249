"""Options of Apache ECharts for the charts that pages draw; plain dicts, in colours that read on light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Readers with any colour vision tell them apart (after Okabe & Ito 2008).
COLOURS = ("#2f7fc1", "#e08a00", "#009e73", "#cc79a7", "#56b4e9", "#b8a000", "#8c6bb1", "#d64545")
INK, GRID = "#7b8794", "#9aa5b133"
Options = dict[str, Any]


def _base(x: Options, y: Options, tip: str = "axis") -> Options:
    axis = {
        "axisLabel": {"color": INK, "hideOverlap": True}, "nameTextStyle": {"color": INK},
        "axisLine": {"lineStyle": {"color": INK}}, "splitLine": {"lineStyle": {"color": GRID}},
        "nameLocation": "middle",
    }  # fmt: skip
    return {
        "animation": False, "color": list(COLOURS), "textStyle": {"color": INK},
        "grid": {"left": 62, "right": 18, "top": 34, "bottom": 46},
        "tooltip": {"trigger": tip, "confine": True},
        "xAxis": axis | {"nameGap": 28} | x, "yAxis": axis | {"nameGap": 46} | y, "series": [],
    }  # fmt: skip


def lines(series: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str, *, step: bool = False,
          diagonal: bool = False, unit_square: bool = False, scale: bool = False) -> Options:  # fmt: skip
    """Curves over a numeric axis; ``diagonal`` adds the line of chance, ``step`` holds each value till the next."""
    ends: Options = {"min": 0, "max": 1} if unit_square else {}
    heights = {value for points in series.values() for _, value in points}
    flat: Options = {}
    if scale and len(heights) == 1:  # a level line's axis would reach half a unit beyond it, whatever the unit
        level = heights.pop()
        room = 0.02 * abs(level) or 1.0
        flat = {"min": float(f"{level - room:.3g}"), "max": float(f"{level + room:.3g}")}
    made = _base({"type": "value", "name": x, **ends}, {"type": "value", "name": y, "scale": scale, **ends, **flat})
    made["legend"] = {"textStyle": {"color": INK}, "type": "scroll", "top": 0, "show": len(series) > 1}
    for name, points in series.items():
        made["series"].append({
            "type": "line", "name": name, "data": [list(p) for p in points], "showSymbol": len(points) < 30,
            "symbolSize": 6, "step": "end" if step else False, "lineStyle": {"width": 2},
        })  # fmt: skip
    if diagonal:
        made["series"].append({
            "type": "line", "data": [[0, 0], [1, 1]], "showSymbol": False, "silent": True, "tooltip": {"show": False},
            "lineStyle": {"type": "dashed", "color": INK, "width": 1},
        })  # fmt: skip
    return made


def bars(names: Sequence[str], values: Sequence[float], y: str = "rows", *, sideways: bool = False,
         x: str = "") -> Options:  # fmt: skip
    """One bar for each name."""
    names_axis = {"type": "category", "data": [_short(n) for n in names], "name": x}
    values_axis = {"type": "value", "name": y}
    made = _base(values_axis, names_axis | {"inverse": True}) if sideways else _base(names_axis, values_axis)
    if sideways:
        widest = max((len(_short(n)) for n in names), default=4)
        made["grid"]["left"] = 20 + 7 * widest
    made["series"] = [{"type": "bar", "data": list(values), "barCategoryGap": "12%"}]
    made["tooltip"]["axisPointer"] = {"type": "shadow"}
    return made


def rounded(value: float, digits: int = 3) -> str:
    """A number to so many digits, without powers of ten where it is one of everyday size."""
    return f"{float(f'{value:.{digits}g}'):,.10g}"


def points(data: Sequence[tuple[float, float]], x: str, y: str, *, diagonal: bool = False,
           level: bool = False) -> Options:  # fmt: skip
    """A cloud of points; ``diagonal`` marks where both are equal, ``level`` where y is 0."""
    made = _base({"type": "value", "name": x, "scale": True}, {"type": "value", "name": y, "scale": True}, "item")
    made["series"] = [{
        "type": "scatter", "data": [list(p) for p in data], "symbolSize": 5, "itemStyle": {"opacity": 0.45},
    }]  # fmt: skip
    if diagonal and data:
        low, high = min(min(p) for p in data), max(max(p) for p in data)
        made["series"].append(_rule([[low, low], [high, high]]))
    if level and data:
        made["series"].append(_rule([[min(p[0] for p in data), 0], [max(p[0] for p in data), 0]]))
    return made


def _rule(ends: list[list[float]]) -> Options:
    return {"type": "line", "data": ends, "showSymbol": False, "silent": True,
            "lineStyle": {"type": "dashed", "color": INK, "width": 1}}  # fmt: skip


def matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Options:
    """A confusion matrix: true classes down, predicted classes across, shaded by the share of the true class."""
    names = [_short(c, 14) for c in classes]
    made = _base({"type": "category", "data": names, "name": "predicted"},
                 {"type": "category", "data": names, "name": "true", "inverse": True}, "item")  # fmt: skip
    data, size = [], len(classes)
    for i, row in enumerate(counts):
        total = max(sum(row), 1)
        data += [{"value": [j, i, round(n / total, 4)], "name": f"{n:,}",
                  "label": {"color": "#ffffff" if n / total > 0.45 else "#1f2933"}}
                 for j, n in enumerate(row)]  # fmt: skip
    shades = {"color": ["#e6eef6", "#1d5fa5"]}
    made["visualMap"] = {"show": False, "min": 0, "max": 1, "dimension": 2, "inRange": shades}
    made["grid"] |= {"left": 40 + 7 * max(map(len, names), default=4)}
    made["yAxis"]["nameGap"] = made["grid"]["left"] - 22
    made["series"] = [{"type": "heatmap", "data": data, "label": {"show": size <= 12, "formatter": "{b}"}}]
    return made


def ensemble(members: Sequence[tuple[str, str, float]], folds: int, target: str,
             learned: Mapping[str, Sequence[str]] | None = None) -> Options:  # fmt: skip
    """What the leader is made of: (model_id, family, weight) on the left, the prediction on the right.

    ``learned`` tells what stacked members have learned from: further nodes, or members, with lines to them.
    """
    families = list(dict.fromkeys(f for _, f, _ in members))
    nodes: list[Options] = [{"name": "prediction", "label": {"formatter": target, "position": "left"}}]
    nodes += [{"name": f} for f in families] + [{"name": m} for m, _, _ in members]
    links = [{"source": m, "target": f, "value": round(w, 4)} for m, f, w in members]
    links += [
        {"source": name, "target": "prediction", "value": round(sum(w for _, f, w in members if f == name), 4)}
        for name in families
    ]
    weights = {m: w for m, _, w in members}
    for stacker, bases in (learned or {}).items():
        links += [{"source": b, "target": stacker, "value": round(weights[stacker] / len(bases), 4),
                   "lineStyle": {"color": INK, "opacity": 0.2}} for b in bases]  # fmt: skip
        nodes += [{"name": b} for b in bases if b not in {n["name"] for n in nodes}]
    return {
        "animation": False, "color": list(COLOURS), "tooltip": {"trigger": "item", "confine": True},
        "series": [{
            "type": "sankey", "nodeAlign": "right", "data": nodes, "links": links,
            "left": 6, "right": 60, "top": 8, "bottom": 8,
            "label": {"color": INK}, "lineStyle": {"color": "source", "opacity": 0.35}, "nodeGap": 10,
            "emphasis": {"focus": "adjacency"}, "name": f"{folds} fold models each",
        }],
    }  # fmt: skip


def front(rows: Sequence[Mapping[str, Any]], x: str, y: str, titles: tuple[str, str], chosen: str) -> Options:
    """Points of a front by cost and score: ``rows`` with ``design`` and the fields ``x`` and ``y``."""
    made = _base({"type": "log", "name": titles[0]}, {"type": "value", "name": titles[1], "scale": True}, "item")
    ordered = sorted(rows, key=lambda r: r[x])
    made["series"] = [
        {"type": "line", "data": [[r[x], r[y]] for r in ordered], "showSymbol": False, "silent": True, "z": 1,
         "lineStyle": {"color": INK, "width": 1}, "tooltip": {"show": False}},
        {"type": "scatter", "symbolSize": 14, "cursor": "pointer",
         "data": [{"value": [r[x], r[y]], "name": str(r["design"]),
                   "itemStyle": {"color": "#d64545" if r["design"] == chosen else COLOURS[0]}} for r in ordered]},
    ]  # fmt: skip
    made["tooltip"]["formatter"] = "{b}<br>{c}"
    return made


def _short(text: str, size: int = 22) -> str:
    text = str(text)
    return text if len(text) <= size else f"{text[: size - 1]}…"
