"""tabwright serve."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="*", help="exported files, folders of them, or NAME=PATH (default: the folder "
                        "that SageMaker or Azure ML mounts)")  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, help="default: the platform's (AIP_HTTP_PORT …), else 8080")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--store", default="", metavar="F", help="SQLite file or postgresql:// URL for counts, "
                        "feedback and alerts")  # fmt: skip
    parser.add_argument("--keys", metavar="FILE", help="file of API keys, made by: tabwright keys")
    parser.add_argument("--allow-anonymous", action="store_true", help="listen to other machines without keys")
    parser.add_argument("--tls-cert", metavar="PEM")
    parser.add_argument("--tls-key", metavar="PEM")
    parser.add_argument("--public-key", metavar="PEM", help="serve only models that this key's owner has signed")
    parser.add_argument("--strict", action="store_true", help="refuse categories never seen in training")
    parser.add_argument("--max-body-mib", type=float, default=8.0, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--max-rows", type=int, default=100_000, metavar="N", help="per request (default: %(default)s)")
    parser.add_argument(
        "--max-seconds", type=float, default=30.0, metavar="N", help="per request (default: %(default)s)"
    )
    parser.add_argument("--max-in-flight", type=int, default=256, metavar="N", help="requests per process, then 503 "
                        "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--reload-secs", type=float, default=2.0, metavar="N", help="how often changed files are "
                        "looked for, 0 for never (default: %(default)s)")  # fmt: skip
    parser.add_argument("--window-secs", type=int, default=3600, metavar="N", help="window of drift and live metrics "
                        "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--evaluate-secs", type=float, default=10.0, metavar="N", help="how often they are worked out "
                        "(default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from tabwright.serve.config import Config, checked, default_port
    from tabwright.serve.run import run

    port = default_port() if args.port is None else args.port
    config = Config(
        tuple(args.model), args.host, port, args.workers, args.store, args.keys, args.allow_anonymous, args.tls_cert,
        args.tls_key, args.strict, args.public_key, args.max_body_mib, args.max_rows, args.max_seconds,
        args.max_in_flight,
        args.reload_secs, args.window_secs, args.evaluate_secs,
    )  # fmt: skip
    return run(checked(config))


SERVE = Command("serve", "answer predictions over HTTP, and watch them", add_arguments, run)
