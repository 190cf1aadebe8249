"""Imports go down one list of layers, and importing the package has no side effect and costs little."""

import ast
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "tabwright"
LAYERS = (
    ("errors", "types", "clock", "interrupts", "datasets", "__init__"),
    ("space", "seal", "codec", "timestamps", "names", "ort", "database", "shapley", "charts", "conformal", "lean",
     "subsample"),
    ("plugins",),
    ("coerce", "signature"),
    ("schema",),
    ("reference", "rows", "reasons"),
    ("onnx",),
    ("calibration",),
    ("metrics", "data", "models", "curves"),
    ("features",),
    ("pipeline",),
    ("objectives",),
    ("store", "meta"),
    ("engine", "ensemble"),
    ("search",),
    ("config", "export", "leaderboard", "card", "display", "delivery", "front"),
    ("stored",),
    ("warm", "finished", "framing", "whole_source"),
    ("automl", "progress", "runtime", "evaluation"),
    ("batch", "examples"),
    ("inputs", "audit"),
    ("timeline",),
    ("serve", "explain"),
    ("report", "tracking"),
    ("results",),
    ("api", "replay"),
    ("quantiles",),
    ("ui",),
    ("cli", "testing", "compat"),
    ("__main__",),
)
RANK = {name: k for k, names in enumerate(LAYERS) for name in names}
SCORING = {
    "runtime", "schema", "seal", "signature", "errors", "types", "coerce", "timestamps", "names", "ort", "reference",
    "interrupts", "database", "shapley", "conformal", "rows", "reasons", "__init__",
}  # fmt: skip


def imports(path):
    """Top-level parts of tabwright that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tabwright":
            parts = node.module.split(".")
            yield from ([parts[1]] if len(parts) > 1 else [a.name for a in node.names if a.name in RANK])
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("tabwright."))


def files():
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, path.relative_to(SOURCE).parts[0].removesuffix(".py")


def test_every_part_has_a_layer():
    assert {part for _, part in files()} <= set(RANK)


def test_imports_go_down_the_layers_only():
    wrong = [
        f"{path.relative_to(SOURCE)} imports {used}"
        for path, part in files() if part != "__init__"
        for used in imports(path) if used != part and RANK[used] >= RANK[part] and used != "__init__"
    ]  # fmt: skip
    assert wrong == []


def test_scoring_imports_nothing_of_training():
    for path, part in files():
        if part in SCORING - {"__init__"}:
            assert set(imports(path)) <= SCORING, path
        if part == "serve":
            assert set(imports(path)) <= SCORING | {"serve"}, path


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_importing_has_no_side_effect():
    code = """
import logging, threading, warnings, os, sys
before = (threading.active_count(), dict(os.environ), logging.getLogger().level, list(logging.getLogger().handlers),
          list(warnings.filters), sys.excepthook)
import tabwright
after = (threading.active_count(), dict(os.environ), logging.getLogger().level, list(logging.getLogger().handlers),
         list(warnings.filters), sys.excepthook)
assert before == after
heavy = {"pandas", "sklearn", "lightgbm", "xgboost", "catboost", "optuna", "onnx", "onnxruntime", "scipy", "pyarrow"}
print(sorted(heavy & set(sys.modules)))
"""
    done = run(code)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_loading_a_model_needs_numpy_and_onnxruntime_only():
    done = run("import tabwright.runtime, sys; print(sorted({m.split('.')[0] for m in sys.modules} & "
               "{'pandas', 'sklearn', 'lightgbm', 'onnx', 'scipy', 'pyarrow', 'narwhals', 'psutil', "
               "'cryptography'}))")  # fmt: skip
    assert done.stdout.strip() == "[]"
