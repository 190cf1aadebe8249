"""RealMLP beside the network that is always there: python benchmarks/neural.py [--data DIR] [--tables a,b].

One table after the other, scored on a seeded fifth held out: first each network alone (its default, two folds), then
the leader that ``--seconds`` find with the usual families, and with RealMLP after them. ``--skip`` leaves a part out.
Needs the extra ``neural``.
"""

from __future__ import annotations

import argparse
import time
import warnings

from tables import Dataset, datasets
from tabwright.search.portfolio import ORDER

AFTER = ORDER.index("mlp") + 1
WITH_REALMLP = [*ORDER[:AFTER], "realmlp", *ORDER[AFTER:]]


def alone(data: Dataset, network: str) -> str:
    """Score on the hold-out and the seconds of processor time that the fit took."""
    train, test = data.split(0)
    made = data.estimator(include_families=[network], max_models=1, max_runtime_secs=None, nfolds=2)
    made.fit(train, target=data.target)
    board = made.leaderboard(extra_columns="all")
    score = made.model_performance(test.drop(columns=[data.target]), test[data.target])[data.metric]
    return f"{score:.5g} | {board['cpu_seconds'].sum():.0f}"


def led(data: Dataset, seconds: float, families: list[str] | None) -> str:
    """Score on the hold-out, seconds, and the leader's members."""
    train, test = data.split(0)
    made = data.estimator(include_families=families, max_runtime_secs=seconds)
    start = time.monotonic()
    made.fit(train, target=data.target)
    took = time.monotonic() - start
    score = made.model_performance(test.drop(columns=[data.target]), test[data.target])[data.metric]
    return f"{score:.5g} | {took:.0f} | {', '.join(m.model_id for m in made.leader.members)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder with datasets.json; tables of every installation without it")
    parser.add_argument("--tables", default="all")
    parser.add_argument("--seconds", type=float, default=60.0, help="for a leader")
    parser.add_argument("--skip", choices=("alone", "leader"))
    args = parser.parse_args()
    if args.skip != "alone":
        print("| table | metric | network | score | CPU s |\n|---|---|---|---|---|", flush=True)
        for data in datasets(args.data, args.tables):
            for network in ("mlp", "realmlp"):
                print(f"| {data.name} | {data.metric} | {network} | {alone(data, network)} |", flush=True)
    if args.skip != "leader":
        print("| table | metric | families | score | s | leader |\n|---|---|---|---|---|---|", flush=True)
        for data in datasets(args.data, args.tables):
            for name, families in (("usual", None), ("with realmlp", WITH_REALMLP)):
                print(f"| {data.name} | {data.metric} | {name} | {led(data, args.seconds, families)} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
