"""tabwright keys."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="key file of tabwright serve --keys")
    parser.add_argument("--add", metavar="NAME", help="make a key and print it, once")
    parser.add_argument("--remove", metavar="NAME", help="take a key out")


def run(args: argparse.Namespace) -> int:
    from tabwright.serve.auth import add_key, read_keys, remove_key

    if args.remove:
        remove_key(args.file, args.remove)
    if args.add:
        print(add_key(args.file, args.add))
    if not args.add and not args.remove:
        print("\n".join(read_keys(args.file)))
    return 0


KEYS = Command("keys", "make, list or remove the API keys of a server", add_arguments, run)
