"""Further panels of a table's page: rows, parse set-up, split and comparison."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nicegui import ui

from tabwright.data.delimited import ReadOptions
from tabwright.errors import DataError
from tabwright.ui import parts, recipes
from tabwright.ui.shell import Shell, aside, busy
from tabwright.ui.tables import Entry, null_words, texts

PAGE_ROWS = 50
SHOWN_COLUMNS = 60
SEPARATORS = {"": "found by looking", ",": "comma ,", ";": "semicolon ;", "\t": "tab", "|": "bar |", " ": "space"}
DECIMALS = {"": "found by looking", ".": "point", ",": "comma"}
ENCODINGS = {"": "found by looking", "utf-8": "UTF-8", "cp1252": "Windows-1252", "latin-1": "Latin-1",
             "utf-16": "UTF-16", "shift_jis": "Shift JIS", "gb18030": "GB 18030"}  # fmt: skip


async def rows(shell: Shell, entry: Entry) -> None:
    """The rows, a page at a time, whatever their number."""
    tables = shell.context.tables
    names = list(entry.columns)[:SHOWN_COLUMNS]
    if len(entry.columns) > SHOWN_COLUMNS:
        parts.soft(f"The first {SHOWN_COLUMNS} of {len(entry.columns):,} columns.")
    frame = await aside(tables.frame, entry.name)
    numeric = set(frame.head(100).select_dtypes("number").columns)
    columns = [parts.column("#", "#", number=True, sort=False)]
    columns += [parts.column(f"c{j}", name, number=name in numeric) for j, name in enumerate(names)]
    made = parts.table(columns, [], "#", f"Rows of {entry.name}")
    made.props(':rows-per-page-options="[25,50,100,500]" hide-pagination=false')

    async def load(pagination: dict[str, Any]) -> None:
        page, size = int(pagination.get("page") or 1), int(pagination.get("rowsPerPage") or PAGE_ROWS)
        by = str(pagination.get("sortBy") or "")
        sort = names[int(by[1:])] if by[1:].isdigit() else ""
        with shell.telling():
            made.rows = await aside(
                tables.page, entry.name, (page - 1) * size, size, sort, descending=bool(pagination.get("descending")),
                columns=SHOWN_COLUMNS,
            )  # fmt: skip
            made.pagination = {**pagination, "page": page, "rowsPerPage": size, "rowsNumber": entry.rows}

    made.pagination = {"page": 1, "rowsPerPage": PAGE_ROWS, "rowsNumber": entry.rows, "sortBy": None}
    made.on("request", lambda event: load(event.args["pagination"]))
    ui.timer(0.05, lambda: load(made.pagination), once=True)


async def setup(shell: Shell, entry: Entry) -> None:
    """How the file is read, with a preview of what that gives."""
    options, box = entry.options, {"options": entry.options}
    if entry.source.kind == "part":
        parts.empty("This table was made here, from another. Change that one and split it again.")
        return
    with ui.element("div").classes("tw-form"):
        separator = ui.select(_with(SEPARATORS, options.delimiter), value=options.delimiter or "", label="Separator",
                              with_input=True, new_value_mode="add-unique")  # fmt: skip
        decimal = ui.select(DECIMALS, value=options.decimal or "", label="Decimal sign")
        encoding = ui.select(_with(ENCODINGS, options.encoding), value=options.encoding or "", label="Encoding",
                             with_input=True, new_value_mode="add-unique")  # fmt: skip
        sheet = ui.input("Excel sheet: name, or number from 0", value=str(options.sheet))
        header = ui.switch("The first line names the columns", value=options.header)
        nulls = ui.input("Words that mean empty: ?, n/a", value=", ".join(options.null_values))
    if not entry.is_text:
        for one in (separator, decimal, encoding):
            one.disable()
    parts.soft(f"Always read as empty: {null_words()}.")
    where = ui.element("div").classes("full-width")

    def given() -> ReadOptions:
        number = (sheet.value or "0").strip()
        words = tuple(w.strip() for w in (nulls.value or "").split(",") if w.strip())
        return ReadOptions(separator.value or None, decimal.value or None, encoding.value or None,
                           int(number) if number.isdigit() else number, bool(header.value), words)  # fmt: skip

    async def show() -> None:
        with shell.telling():
            box["options"] = given()
            found = await aside(tables.preview, replace(entry, options=box["options"]))
            where.clear()
            with where:
                _preview(found)

    async def parse() -> None:
        with shell.telling(), busy(button):
            made = await aside(tables.parse, replace(tables.get(entry.name), options=given()))
            shell.record(recipes.bring(made, tables.parquet(entry.name)))
            ui.navigate.to(f"/data/{entry.name}")

    tables = shell.context.tables
    chosen: tuple[Any, ...] = (separator, decimal, encoding, header)
    for field in chosen:
        field.on_value_change(show)
    for typed in (sheet, nulls):
        typed.on("blur", show)
    with ui.element("div").classes("tw-row"):
        button = ui.button("Read it this way", icon="check", on_click=parse)
    parts.code(recipes.bring(entry, tables.parquet(entry.name)))
    await show()


def _with(known: dict[str, str], chosen: str | None) -> dict[str, str]:
    return known if not chosen or chosen in known else known | {chosen: chosen}


def _preview(found: Any) -> None:
    names = [str(n) for n in found.columns][:SHOWN_COLUMNS]
    parts.soft(f"Preview: {found.shape[1]:,} columns, first {len(found)} rows.")
    columns = [parts.column(f"c{j}", f"{n} · {found[n].dtype}", sort=False) for j, n in enumerate(names)]
    parts.table(columns, texts(found.iloc[:, :SHOWN_COLUMNS]), "#", "Preview", 360)


def split(shell: Shell, entry: Entry) -> None:
    """Cut the table in two."""
    tables, columns = shell.context.tables, {"": "none", **{c: c for c in entry.columns}}
    with parts.card("Split", "Into a part to train on and one to test on: the numbers that you report come from rows "
                    "that no model has seen."):  # fmt: skip
        with ui.element("div").classes("tw-form"):
            share = ui.number("Share of the rows to test on", value=0.2, min=0.01, max=0.99, step=0.05)
            seed = ui.number("Seed", value=0, min=0, precision=0)
            group = ui.select(columns, value="", label="Keep groups of rows together by", with_input=True)
            time = ui.select(columns, value="", label="Test on the latest rows by", with_input=True)

        async def cut() -> None:
            with shell.telling(), busy(button):
                by = {"target": tables.get(entry.name).target, "group_column": group.value or None,
                      "time_column": time.value or None}  # fmt: skip
                made = await aside(tables.split, entry.name, float(share.value or 0), int(seed.value or 0), by)
                paths = (tables.parquet(entry.name), tables.parquet(made[0].name), tables.parquet(made[1].name))
                action = recipes.split(entry, made, float(share.value), int(seed.value or 0), by, paths)
                shell.record(action)
                out.clear()
                with out:
                    for part in made:
                        with ui.element("div").classes("tw-row"):
                            ui.link(part.name, f"/data/{part.name}").classes("tw-link")
                            parts.soft(f"{part.rows:,} rows")
                    parts.code(action)

        button = ui.button("Split", icon="call_split", on_click=cut)
        out = ui.element("div").classes("full-width")


def compare(shell: Shell, entry: Entry) -> None:
    """Hold another table against this one."""
    tables = shell.context.tables
    others = [e.name for e in tables.every() if e.name != entry.name]
    with parts.card("Compare with another table", "Which columns have other values there: the population stability "
                    "index, 0.1 a small and 0.2 a large shift."):  # fmt: skip
        if not others:
            parts.empty("There is no other table yet.")
            return
        other = ui.select(others, label="Table", value=others[0]).style("min-width:240px")

        async def show() -> None:
            with shell.telling(), busy(button):
                found = await aside(tables.compare, entry.name, other.value)
                if not found:
                    raise DataError("the two have fewer than 200 rows, or no column in common", "choose a larger table")
                paths = (tables.parquet(entry.name), tables.parquet(other.value))
                action = shell.record(recipes.compare(entry, tables.get(other.value), paths))
                out.clear()
                with out:
                    made = [{"column": s.column, "psi": round(s.psi, 4), "told": "large" if s.shifted else ""}
                            for s in found]  # fmt: skip
                    parts.table([parts.column("column", "Column"), parts.column("psi", "Index", number=True),
                                 parts.column("told", "Shift")], made, "column", "Shifts", 400)  # fmt: skip
                    parts.code(action)

        button = ui.button("Compare", on_click=show)
        out = ui.element("div").classes("full-width")
