"""Every code block of README.md and docs/ is run, page by page."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import runner

PAGES = [pytest.param(p, id=str(p.relative_to(runner.ROOT))) for p in runner.pages()]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning",
                            "ignore::ResourceWarning")  # fmt: skip
@pytest.mark.usefixtures("three_candidates")  # of scripts for other systems
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    known = set(sys.modules)
    try:
        runner.Runner(page).run()
    finally:
        for name in [m for m in set(sys.modules) - known if m.split(".")[0] == "my_parts"]:
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is_and_none_is_left_out_without_a_reason(page):
    assert runner.languages(page) <= runner.LANGUAGES
    for action, reason in runner.skipped(page):
        assert action == "next" and reason and len(reason) > 10


def test_few_blocks_are_left_out():
    assert sum(len(runner.skipped(page)) for page in runner.pages()) <= 12


@pytest.mark.parametrize(("block", "told"), [
    ("```python\n1 / 0\n```", "division"), ("```sh\ntabwright predict no.onnx x.csv --out y.csv\n```", "exit code 2"),
    ("```sh\ntabwright frobnicate\n```", "frobnicate"), ("```sh\nfalse\n```", "false"),
    ("```toml\n= 1\n```", "Invalid"),
])  # fmt: skip
def test_a_block_that_fails_is_told(block, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{block}\n")
    with pytest.raises((AssertionError, ZeroDivisionError, ValueError), match=told):
        runner.Runner(page).run()
