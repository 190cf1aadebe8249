"""Bring a run directory of an older format into today's, step by step; each step may be broken off and repeated.

Format 1 (before 0.1.0 was released) has one digest of the whole table and no copy of the schema outside the table's
folder; what changed in the journal is told in ``journal.py``.
"""

from __future__ import annotations

from tabwright.data.table import Table
from tabwright.errors import DataError, RunError
from tabwright.store.fingerprint import fingerprint, fingerprint_1
from tabwright.store.run_dir import FORMAT, RunDir


def upgrade(run: RunDir) -> None:
    """Upgrade a run that this process holds.

    Raises
    ------
    RunError
        If the older run's table is absent or damaged: then nothing tells what it was trained on.
    """
    config = run.config()
    if config["format"] == FORMAT:
        return
    run.journal().close()  # opening it upgrades it
    try:
        table, y = Table.load(run.table_dir), run.load_array("target", "y")
        whole = config["fingerprint"] == fingerprint_1(table, y)
    except (DataError, OSError, ValueError):
        whole = False
    if not whole:
        raise RunError(f"The run in {run.path} has format 1, and its table is missing or damaged",
                       "restore the folder from a copy")
    run.save_schema(table.schema)
    run.write_config(config | {"format": FORMAT, "fingerprint": fingerprint(table, y).to_dict()})

