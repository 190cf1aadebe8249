"""What an installation takes, and whether it works: each extra alone, the lowest versions allowed, the scoring part.

    python benchmarks/install.py [--extras neural,dask,...] [--keep DIR]

Wheel and source archive are built first; each environment is fresh. Told: seconds of the installation, MiB on disk,
seconds of the first import (a warning there is an error), and whether `pip check` and a fit of 5 s pass (`pip check`
misses the training libraries where scoring alone is installed, as it should).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHECK = """
import numpy as np, tempfile, tabwright
X = np.random.default_rng(0).normal(size=(300, 4))
aml = tabwright.AutoMLRegressor(max_runtime_secs=5, progress=False).fit(X, X[:, 0] + X[:, 1] ** 2)
with tempfile.TemporaryDirectory() as folder:
    path = aml.export(folder + "/model.onnx").path
    assert np.allclose(tabwright.load_model(path).predict(X), aml.predict(X), rtol=1e-4)
"""
SCORING = "import tabwright; tabwright.load_model"


def built(folder: Path) -> tuple[Path, Path]:
    """Wheel and source archive."""
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", folder / "tools", "build", "hatchling"],
                   check=True)  # fmt: skip
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); import build.__main__; build.__main__.main(sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, folder / "tools", "-q", "--no-isolation", "--outdir", folder, ROOT],
                   check=True, env={"PYTHONPATH": str(folder / "tools"), "PATH": "/usr/bin:/bin"})  # fmt: skip
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def lowest() -> list[str]:
    """The requirements of the default installation at the lowest versions that they allow."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.sub(r">=\s*", "==", w) for w in wanted]


def call(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=cwd)


def size(folder: Path) -> float:
    """MiB on disk."""
    return int(call("du", "-sk", folder).stdout.split()[0]) / 1024


def measured(name: str, folder: Path, check: str, *installs: list[str]) -> None:
    """One environment, made by installations one after the other: a line of the table."""
    place = folder / re.sub(r"\W+", "-", name)
    venv.create(place, with_pip=True)
    python, empty, began = place / "bin/python", size(place), time.monotonic()
    for packages in installs:
        done = call(python, "-m", "pip", "install", "-q", *packages)
        if done.returncode:
            print(f"{name:20} can't be installed: {done.stderr.strip().splitlines()[-1]}", flush=True)
            return
    seconds = time.monotonic() - began
    complete = call(python, "-m", "pip", "check")
    began = time.monotonic()
    imported = call(python, "-W", "error", "-c", "import tabwright")
    import_s = time.monotonic() - began
    used = call(python, "-c", check, cwd=folder)
    told = [f"{what}: {(d.stdout + d.stderr).strip().splitlines()[-1][:90]}" for what, d in
            (("pip check", complete), ("import", imported), ("use", used)) if d.returncode]  # fmt: skip
    print(f"{name:20} {seconds:6.0f} s {size(place) - empty:7.0f} MiB  import {import_s:4.1f} s  "
          f"{'; '.join(told) or 'ok'}", flush=True)  # fmt: skip


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    ap.add_argument("--extras", default=",".join(extras))
    ap.add_argument("--keep", type=Path, help="folder for the environments (default: a temporary one)")
    args = ap.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        wheel, source = built(folder)
        print(*(f"{f.name} {f.stat().st_size / 2**20:.1f} MiB" for f in (wheel, source)), sep=", ")
        measured("scoring alone", folder, SCORING, ["onnxruntime", "numpy"], ["--no-deps", str(wheel)])
        measured("wheel", folder, CHECK, [str(wheel)])
        measured("source archive", folder, CHECK, [str(source)])
        measured("lowest versions", folder, CHECK, [str(wheel), *lowest()])
        for extra in filter(None, args.extras.split(",")):
            measured(f"[{extra}]", folder, CHECK, [f"{wheel}[{extra}]"])


if __name__ == "__main__":
    main()
