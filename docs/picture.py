"""The README's picture of the web interface: a run on the demo table, looked at by headless Chromium.

    python docs/picture.py [--seconds 60] [--out docs/images/ui.png]
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tabwright import AutoMLRegressor
from tabwright.datasets import CALIFORNIA_HOUSING
from tabwright.testing.browser import chromium


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seconds", type=float, default=60)
    ap.add_argument("--out", type=Path, default=Path(__file__).parent / "images" / "ui.png")
    args = ap.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "runs" / "housing"
        AutoMLRegressor(max_runtime_secs=args.seconds, export_checkpoints_dir=run).fit(
            CALIFORNIA_HOUSING, target="MedHouseVal")  # fmt: skip
        server = subprocess.Popen(
            [sys.executable, "-m", "tabwright", "ui", "--workspace", folder, "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            address = next(m[1] for line in server.stdout if (m := re.search(r"(http://[\d.:]+)", line)))
            with chromium() as browser:
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.goto(f"{address}/runs/housing")
                page.get_by_role("tab", name="Leaderboard").click()
                page.get_by_role("cell", name="ensemble").first.wait_for()
                page.get_by_text("are being measured").wait_for(state="hidden", timeout=120_000)
                page.mouse.move(0, 0)
                page.screenshot(path=args.out)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(20)
    print(args.out)


if __name__ == "__main__":
    main()
