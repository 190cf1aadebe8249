"""Write the parameter tables of docs/migrate/*.md from what the code does: python docs/migrate/write_tables.py."""

from __future__ import annotations

import re
from pathlib import Path

from tabwright.compat import autogluon, flaml, h2o, options, tpot
from tabwright.compat.autosklearn import base

TABLES = {
    "h2o": {"H2OAutoML": h2o.automl.OPTIONS, "train": h2o.automl.TRAIN_OPTIONS},
    "tpot": {"TPOTClassifier, TPOTRegressor": tpot.OPTIONS},
    "autosklearn": {"AutoSklearnClassifier, AutoSklearnRegressor": base.OPTIONS},
    "autogluon": {"TabularPredictor": autogluon.OPTIONS, "fit": autogluon.FIT_OPTIONS, **autogluon.METHODS},
    "flaml": {"AutoML, AutoML.fit": flaml.OPTIONS},
}
HEAD = "## Parameters\n"


def section(name: str) -> str:
    """The generated end of a page."""
    parts = [f"### {title}\n\n{options.table(known)}\n" for title, known in TABLES[name].items()]
    return HEAD + "\n" + "\n".join(parts)


if __name__ == "__main__":
    for name in TABLES:
        page = Path(__file__).with_name(f"{name}.md")
        text = page.read_text("utf-8")
        page.write_text(re.split(f"^{HEAD}", text, flags=re.MULTILINE)[0] + section(name), "utf-8")
