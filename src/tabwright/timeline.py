"""The picture of a run's time line: one self-contained SVG, and a page around it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from tabwright.audit import Audit, Leader
from tabwright.objectives.design import fold_name
from tabwright.store.journal import FoldRecord

WIDTH, LEFT, RIGHT = 1180, 92, 24
SCORE_TOP, SCORE_HEIGHT = 34, 130
LANE, LANE_GAP, AXIS = 30, 16, 22
LABEL = 54  # room that the word above a killed fold needs
# Colours that readers with any colour vision tell apart (after Okabe & Ito 2008), by family in order of appearance.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#b8a000", "#8c6bb1", "#7f7f7f", "#a0522d", "#2f4f4f")
OWN = {"reading": "#9fb3c8", "ensembling": "#486581", "export": "#243b53"}
STYLE = """
svg.timeline { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  fill: var(--ink, #243b53); }
.timeline .grid { stroke: var(--rule, #e4e9f0); } .timeline .axis { fill: var(--soft, #627d98); font-size: 11px; }
.timeline .lane { fill: var(--lane, #f5f7fa); } .timeline .label { fill: var(--soft, #486581); text-anchor: end; }
.timeline .score { fill: none; stroke: #d64545; stroke-width: 2; }
.timeline .dot { fill: var(--panel, #fff); stroke: #d64545; stroke-width: 2; }
.timeline .session { stroke: #829ab1; stroke-dasharray: 4 3; } .timeline .title { font-weight: 600; font-size: 13px; }
.timeline .in { fill: #fff; font-size: 10.5px; pointer-events: none; }
.timeline .killed { fill: url(#hatch); stroke: #d64545; stroke-width: 1.5; } .timeline .cancelled { opacity: 0.35; }
.timeline .why { fill: var(--bad, #c23b3b); font-size: 10px; }
.timeline .cross { fill: #d64545; font-weight: 700; font-size: 13px; text-anchor: middle; pointer-events: none; }
"""
PAGE_STYLE = """
body { font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #243b53;
  background: #f0f4f8; margin: 0; padding: 28px; }
main { max-width: 1240px; margin: auto; } h1 { font-size: 20px; margin: 0 0 2px; }
h2 { font-size: 15px; margin: 0 0 8px; }
p { margin: 0 0 16px; color: #627d98; } .card { background: #fff; border: 1px solid #d9e2ec; border-radius: 10px;
  padding: 18px 20px; margin-bottom: 18px; overflow-x: auto; }
.row { display: flex; gap: 18px; align-items: flex-start; }
.row .card { flex: 1; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: #627d98; font-weight: 500; }
td, th { padding: 4px 12px 4px 0; border-bottom: 1px solid #edf1f6; }
td.n, th.n { text-align: right; } svg { display: block; width: 100%; height: auto; } .bad { color: #c23b3b; }
"""


class _Picture:
    def __init__(self, audit: Audit) -> None:
        self.audit = audit
        self.total = max(audit.run_seconds(math.inf), 1e-3)
        families = dict.fromkeys(c.family for c in audit.candidates)
        self.colour = {f: COLOURS[k % len(COLOURS)] for k, f in enumerate(families)}
        self.family = {c.model_id: c.family for c in audit.candidates}
        self.labelled: dict[float, float] = {}  # how far the words above each lane reach
        self.n_lanes = max(audit.lanes, default=-1) + 1
        self.lanes_top = SCORE_TOP + SCORE_HEIGHT + 46
        self.bottom = self.lanes_top + (self.n_lanes + 1) * (LANE + LANE_GAP)
        self.height = self.bottom + AXIS + 34

    def x(self, moment: float) -> float:
        return self.across(self.audit.run_seconds(moment))

    def across(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / self.total

    def draw(self) -> str:
        size = f'class="timeline" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" height="{self.height}"'
        hatch = ('<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
                 'patternTransform="rotate(45)"><rect width="6" height="6" fill="#fbeaea"/>'
                 '<rect width="2" height="6" fill="#eaa4a4"/></pattern></defs>')  # fmt: skip
        body = [*self._axis(), *self._score(), *self._lanes(), *self._own(), *self._legend()]
        return (f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="time line of the run" {size}>'
                f"<style>{STYLE}</style>{hatch}{''.join(body)}</svg>")  # fmt: skip

    def _axis(self) -> Iterator[str]:
        step = _step(self.total)
        for k in range(int(self.total / step) + 1):
            x = self.across(k * step)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{SCORE_TOP}" y2="{self.bottom}"/>'
            yield f'<text class="axis" x="{x:.1f}" y="{self.bottom + 16}" text-anchor="middle">{k * step:g} s</text>'
        passed = 0.0
        for start, end in self.audit.sessions[:-1]:
            passed += end - start
            x = self.across(passed)
            yield f'<line class="session" x1="{x:.1f}" x2="{x:.1f}" y1="{SCORE_TOP - 8}" y2="{self.bottom}"/>'
            yield f'<text class="axis" x="{x + 4:.1f}" y="{SCORE_TOP - 1}">resumed</text>'

    def _score(self) -> Iterator[str]:
        metric = escape(str(self.audit.config["sort_metric"]))
        better = "higher" if self.audit.greater_is_better else "lower"
        yield f'<text class="title" x="{LEFT}" y="18">leader: {metric} ({better} is better)</text>'
        points = [p for p in self.audit.leaders if p.score is not None and math.isfinite(p.score)]
        if not points:
            yield f'<text class="axis" x="{LEFT + 8}" y="{SCORE_TOP + 24}">no candidate led yet</text>'
            return
        scores = [p.score for p in points if p.score is not None]
        low, high = min(scores), max(scores)
        margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
        low, high = low - margin, high + margin

        def y(score: float) -> float:
            return SCORE_TOP + SCORE_HEIGHT * (1 - (score - low) / (high - low))

        for k in range(3):
            value = low + (k + 0.5) * (high - low) / 3
            yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            yield f'<text class="axis" x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        path = f"M{self.x(points[0].time):.1f},{y(scores[0]):.1f}"
        for p, score in zip(points[1:], scores[1:], strict=True):
            path += f"H{self.x(p.time):.1f}V{y(score):.1f}"
        yield f'<path class="score" d="{path}H{WIDTH - RIGHT}"/>'
        for p, score in zip(points, scores, strict=True):
            yield (f'<circle class="dot" cx="{self.x(p.time):.1f}" cy="{y(score):.1f}" r="3.5">'
                   f"<title>{escape(_leader(p, self.audit.run_seconds(p.time)))}</title></circle>")  # fmt: skip

    def _lanes(self) -> Iterator[str]:
        yield f'<text class="title" x="{LEFT}" y="{self.lanes_top - 18}">folds, by worker</text>'
        for lane in range(self.n_lanes):
            yield self._lane(lane, f"worker {lane + 1}")
        for fold, lane in zip(self.audit.folds, self.audit.lanes, strict=True):
            yield from self._fold(fold, self.lanes_top + lane * (LANE + LANE_GAP))

    def _lane(self, row: int, label: str) -> str:
        y = self.lanes_top + row * (LANE + LANE_GAP)
        return (f'<rect class="lane" x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="{LANE}" rx="4"/>'
                f'<text class="label" x="{LEFT - 8}" y="{y + LANE / 2 + 4}">{label}</text>')  # fmt: skip

    def _fold(self, f: FoldRecord, y: float) -> Iterator[str]:
        x, end = self.x(f.started), self.x(f.started + f.seconds)
        width = max(end - x - 0.8, 1.2)
        score = "" if f.score is None else f", score {f.score:.5g}"
        at = self.audit.run_seconds(f.started)
        told = (f"{f.model_id} {fold_name(f.fold)}: {f.status}{score}; from {at:.1f} s for {f.seconds:.2f} s, "
                f"{f.peak_memory_mib:.0f} MiB{'; ' + f.reason if f.reason else ''}")  # fmt: skip
        ok = f.status in ("ok", "cancelled")
        style = f'fill="{self.colour.get(self.family.get(f.model_id, ""), "#999")}"' if ok else ""
        kind = "" if f.status == "ok" else "cancelled" if ok else "killed"
        yield (f'<rect class="{kind}" {style} x="{x:.1f}" y="{y}" width="{width:.1f}" height="{LANE}" rx="2">'
               f"<title>{escape(told)}</title></rect>")  # fmt: skip
        if not ok:
            yield f'<text class="cross" x="{x + width / 2:.1f}" y="{y + LANE / 2 + 5:.1f}">✕</text>'
            if x >= self.labelled.get(y, 0.0):
                self.labelled[y] = x + LABEL
                yield f'<text class="why" x="{x:.1f}" y="{y - 4}">{escape(f.status)}</text>'
        elif width > 7 * len(f.model_id) + 8:
            yield f'<text class="in" x="{x + 5:.1f}" y="{y + LANE / 2 + 4:.1f}">{escape(f.model_id)}</text>'

    def _own(self) -> Iterator[str]:
        yield self._lane(self.n_lanes, "main")
        y = self.lanes_top + self.n_lanes * (LANE + LANE_GAP)
        for span in self.audit.spans:
            if span.name in OWN:
                x = self.x(span.started)
                width = max(self.x(span.started + span.seconds) - x, 1.2)
                yield (f'<rect fill="{OWN[span.name]}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{LANE}" rx="2">'
                       f"<title>{escape(span.name)}: {span.seconds:.2f} s</title></rect>")  # fmt: skip

    def _legend(self) -> Iterator[str]:
        x, y = float(LEFT), self.bottom + AXIS + 8
        entries = [(f.rpartition(":")[2], f'fill="{c}"') for f, c in self.colour.items()]
        entries += [(name, f'fill="{c}"') for name, c in OWN.items()]
        if self.audit.killed():
            entries.append(("killed or failed", 'class="killed"'))
        for name, style in entries:
            yield f'<rect {style} x="{x:.0f}" y="{y}" width="12" height="12" rx="2"/>'
            yield f'<text x="{x + 18:.0f}" y="{y + 10}">{escape(name)}</text>'
            x += 34 + 7.2 * len(name)


def _step(total: float) -> float:
    """Distance of ticks: 1, 2 or 5 times a power of ten, some ten of them."""
    unit = 10.0 ** math.floor(math.log10(total / 10))
    return next(unit * m for m in (1, 2, 5, 10) if total / (unit * m) <= 12)


def _leader(leader: Leader, seconds: float) -> str:
    members = ", ".join(f"{m} {w:.2f}" for m, w in leader.members)
    return f"{seconds:.1f} s: {leader.name} of {members}, score {leader.score:.6g}"


def svg(audit: Audit) -> str:
    """The time line: the leader's score, folds by worker and family with what was killed, and the run's own work."""
    return _Picture(audit).draw()


def page(audit: Audit) -> str:
    """A page with the picture, seconds by stage, and what was killed and why; it loads nothing from elsewhere."""
    stages = audit.stage_seconds()
    rows = "".join(f'<tr><td>{escape(k)}</td><td class="n">{v:.2f}</td></tr>' for k, v in stages.items())
    killed = "".join(
        f'<tr><td>{escape(f.model_id)}</td><td class="n">{fold_name(f.fold)}</td>'
        f'<td class="bad">{escape(f.status)}</td>'
        f'<td class="n">{f.seconds:.1f}</td><td>{escape(f.reason)}</td></tr>'
        for f in audit.killed()
    )
    killed = killed or '<tr><td colspan="5">nothing failed and nothing was killed</td></tr>'
    leader = audit.leaders[-1] if audit.leaders else None
    told = "no leader but the constant" if leader is None else f"{leader.name}, {leader.score:.6g}"
    finished = sum(f.status == "ok" for f in audit.folds)
    summary = (f"{audit.config['task']}, {audit.config['sort_metric']}: {told}; {len(audit.candidates)} candidates, "
               f"{finished} of {len(audit.folds)} folds finished, {audit.run_seconds(math.inf):.1f} s")  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>run {escape(audit.path)}</title><style>{PAGE_STYLE}</style></head><body><main>"
        f'<h1>Run {escape(audit.path)}</h1><p>{escape(summary)}</p><div class="card">{svg(audit)}</div>'
        f'<div class="row"><div class="card" style="flex:0 0 280px"><h2>Seconds by stage</h2><table>'
        f'<tr><th>stage</th><th class="n">s</th></tr>{rows}</table></div>'
        f'<div class="card"><h2>Killed or failed, and why</h2><table><tr><th>candidate</th><th class="n">fold</th>'
        f'<th>status</th><th class="n">after s</th><th>reason</th></tr>{killed}</table></div></div>'
        "</main></body></html>"
    )
