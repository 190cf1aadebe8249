"""tabwright select."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command, check_limits, limit_arguments, written_as


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    limit_arguments(parser)
    parser.add_argument("--design", metavar="D", help="a point of the front by its design, instead of limits")
    parser.add_argument("--plot", metavar="FILE", help="also write the front as a picture (SVG)")
    parser.add_argument("--json", action="store_true", help="the front as JSON")


def run(args: argparse.Namespace) -> int:
    from tabwright.cli.resume import estimator_of
    from tabwright.cli.show import front_text

    check_limits(args)
    made = estimator_of(args.run).open(args.run)
    limits = {"max_latency_us": args.max_latency_us, "max_latency_p99_us": args.max_latency_p99_us,
              "max_size_mib": args.max_size_mib, "max_memory_mib": args.max_model_memory_mib}  # fmt: skip
    if args.design is not None or any(v is not None for v in limits.values()):
        made.select(design=args.design, **limits)
        if not args.json:
            print(f"leader: {made._finished.design}")
    with written_as("--plot"):
        front = made.pareto(args.plot)
    print(front.to_json(orient="records") if args.json else front_text(front, made._finished.problem.metric.name))
    return 0


SELECT = Command("select", "the Pareto front of a run; make another point of it the leader", add_arguments, run)
