"""Runs the code blocks of a Markdown page in order, in an empty folder.

``python`` blocks share one namespace; a block whose first line is ``# path/name.py`` is a file of that name. Lines of
``sh`` blocks are commands: ``tabwright`` runs in this process, servers in one of their own until the page ends, and
the rest in a shell. Searches are bounded to ``MODELS`` candidates of two folds, so that a loaded machine runs the same;
ports and addresses become free ones on loopback.
What a page sets up unseen stands in ``<!-- invisible-code-block: python``; before what can't run there is
``<!-- skip: next "the reason" -->``.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import SkipTest

from sybil.document import Document
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser
from sybil.region import Lexeme

from tabwright import tracking
from tabwright.cli.main import main

MODELS = 2
ROOT = Path(__file__).parents[2]
LANGUAGES = {"python", "sh", "toml", "text", "json"}
PORTS = ("8080", "54321", "5000")
_FILE = re.compile(r"# ([\w/]+\.\w+)\n")
_FENCE = re.compile(r"^ *```(.*)$", re.MULTILINE)
_SERVERS = ("serve", "ui")


def pages() -> list[Path]:
    """Every page with code that users may copy."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def languages(page: Path) -> set[str]:
    """What is written behind the fences that open a block."""
    return set(_FENCE.findall(page.read_text("utf-8"))[::2])


def skipped(page: Path) -> list[tuple[str, str | None]]:
    """Blocks that are not run, and why."""
    found = re.findall(r"^<!-- skip: (\w+)(?: (.*?))? *-->", page.read_text("utf-8"), re.MULTILINE)
    return [(action, reason.strip('"') or None) for action, reason in found]


class Runner:
    """One page, in the current folder."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.ran = self.left_out = 0
        self._python = PythonEvaluator()
        self._server: subprocess.Popen[bytes] | None = None
        self._ports = {port: _free_port() for port in PORTS}

    def run(self) -> None:
        """Run the blocks; the first that fails raises."""
        kinds = {"python": self._code, "sh": self._shell, "toml": self._toml}
        parsers = [CodeBlockParser(language, evaluator) for language, evaluator in kinds.items()]
        document = Document.parse(str(self.page), SkipParser(), *parsers)
        try:
            for example in document.examples():
                try:
                    example.evaluate()
                    self.ran += 1
                except SkipTest:
                    self.left_out += 1
        finally:
            self._stop()

    def _code(self, example: Any) -> None:
        source = str(example.parsed)
        if named := _FILE.match(source):
            path = Path(named[1])
            path.parent.mkdir(parents=True, exist_ok=True)
            for folder in [p for p in path.parents if p != Path()]:
                (folder / "__init__.py").touch()
            path.write_text(source)
            return
        example.parsed = Lexeme(self._here(source), example.parsed.offset, example.parsed.line_offset)
        self._python(example)

    def _toml(self, example: Any) -> None:
        tomllib.loads(str(example.parsed))

    def _shell(self, example: Any) -> None:
        for line in _commands(self._here(str(example.parsed))):
            try:
                self._command(line)
            except (SystemExit, AssertionError) as error:
                raise AssertionError(f"{self.page.name}, line {example.line}: {line}: {error}") from None

    def _command(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        if words[0] != "tabwright":
            done = subprocess.run(["bash", "-euc", line], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        elif words[1] in _SERVERS:
            self._serve(words[1:])
        else:
            handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                code = main(_bounded(words[1:]))
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
            assert code == 0, f"exit code {code}"
            tracking.wait(60)  # as the end of the command's process does

    def _serve(self, words: list[str]) -> None:
        self._stop()
        port = self._ports["54321" if words[0] == "ui" else "8080"]
        if "--host" in words:
            words[words.index("--host") + 1] = "127.0.0.1"
        if "--port" not in words:
            words += ["--port", str(port)]
        log = Path("server.log")
        with log.open("wb") as out:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tabwright", *words], stdout=out, stderr=out, start_new_session=True,
                env=os.environ | {"XDG_DATA_HOME": str(Path.cwd())},
            )  # fmt: skip
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self._server.poll() is None, log.read_text()
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError(log.read_text())

    def _stop(self) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            try:
                self._server.wait(20)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None

    def _here(self, source: str) -> str:
        """The block with bounded searches, and with free ports on loopback."""
        source = re.sub(r",\s*max_models=\d+", "", source)
        source = re.sub(r"(max_runtime_secs=[\d_.]+)", rf"\1, max_models={MODELS}, nfolds=2", source)
        source = re.sub(r"--extra-secs [\d.]+", "--extra-secs 1", source)
        for port, free in self._ports.items():
            source = re.sub(rf"(localhost|127\.0\.0\.1):{port}\b", f"127.0.0.1:{free}", source)
        return source


def _bounded(words: list[str]) -> list[str]:
    bounds = ["--max-models", str(MODELS), "--nfolds", "2"] if words[0] == "fit" and "--max-models" not in words else []
    return [*words, *bounds, *(["--quiet"] if words[0] in ("fit", "predict", "resume") else [])]


def _commands(source: str) -> Iterator[str]:
    """Logical lines: without comments, joined where a line ends in a backslash or a quote is open."""
    waiting = ""
    for line in source.splitlines():
        waiting += line
        if waiting.endswith("\\"):
            waiting = waiting[:-1] + " "
            continue
        try:
            words = shlex.split(waiting, comments=True)
        except ValueError:
            waiting += "\n"
            continue
        if words:
            yield waiting
        waiting = ""
    assert not waiting.strip(), f"a command that does not end: {waiting}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
