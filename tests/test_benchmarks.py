"""Benchmarks follow the code that they measure: they can be imported, and what they switch off is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_benchmarks_can_be_imported_and_what_the_ablation_switches_off_is_there():
    code = """
import ablation, endurance, limits, overhead, portfolio, retrain, run, start
for off in ablation.OFF.values():
    with off():
        pass
"""
    subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, check=True, timeout=200)
