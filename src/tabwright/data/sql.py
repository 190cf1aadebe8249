"""A table from the answer of a database to a query, in blocks or whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabwright.data.arrow import frame_from_arrow
from tabwright.data.places import is_address
from tabwright.data.readers import read_table
from tabwright.errors import DataError, MissingExtraError, OptionError

if TYPE_CHECKING:
    import pandas as pd

SCHEMES = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
BLOCK_ROWS = 50_000


def is_database(source: str) -> bool:
    """Whether a text is a database's address."""
    scheme = source.partition("://")[0].partition("+")[0] if is_address(source) else ""
    return scheme in {*SCHEMES, "duckdb", "mysql", "mariadb", "oracle", "mssql", "snowflake", "redshift"}


def read_sql(url: str, query: str) -> pd.DataFrame:
    """The rows that a query selects; for parameters and errors see :func:`blocks`."""
    import pandas as pd

    frames = list(blocks(url, query))
    return read_table(frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True))


def blocks(url: str, query: str) -> Iterator[pd.DataFrame]:
    """The rows that a query selects, block by block, as the database sends them; at least one block.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE``, ``duckdb:///FILE`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``; another of SQLAlchemy's
        dialects by its full name (``mysql+pymysql://``), where its driver is installed.
    query : str
        A SELECT statement, or the name of a table.

    Raises
    ------
    OptionError
        If the address is none of a database.
    DataError
        If the database can't be reached or refuses the query, or no row comes back.
    """
    answer = _from_duckdb(url, query) if url.startswith("duckdb:") else _from_sqlalchemy(url, query)
    with answer as found:
        yield from found


@contextmanager
def _from_sqlalchemy(url: str, query: str) -> Iterator[Iterator[pd.DataFrame]]:
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    try:
        address = make_url(url)
        address = address.set(drivername=SCHEMES.get(address.drivername, address.drivername))
        engine = create_engine(address)
    except (ArgumentError, NoSuchModuleError):
        raise OptionError("url", "is no address of a database", "give sqlite:///FILE or "
                          "postgresql://USER:PASSWORD@HOST/DATABASE") from None  # fmt: skip
    except ModuleNotFoundError as error:
        if error.name == "psycopg":
            raise MissingExtraError("psycopg", "postgres") from None
        raise OptionError("url", f"needs the driver {error.name!r}, which is not installed",
                          f"pip install {error.name}") from None  # fmt: skip
    if address.drivername == "sqlite" and address.database and not _exists(address.database):
        raise DataError(f"there is no SQLite file {address.database!r}", "check the path")
    shown = address.render_as_string(hide_password=True)
    try:
        # a cursor of the server's, so that rows wait there and not here
        with engine.connect().execution_options(stream_results=True) as connection:
            if " " not in query.strip():
                quoted = engine.dialect.identifier_preparer.quote(query.strip())
                if not inspect(connection).has_table(query.strip()):
                    raise DataError(f"{shown} has no table {query.strip()!r}", "name one of its tables, or a query")
                query = f"SELECT * FROM {quoted}"  # noqa: S608 - a quoted name of a table that is there
            answer = connection.exec_driver_sql(query)
            if not answer.returns_rows:
                raise DataError("the statement selects no rows", "give a SELECT statement")
            yield _fetched(answer)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
        raise DataError(f"{shown} does not answer the query: {reason}", "check the address and the query") from None
    finally:
        engine.dispose()


def _fetched(answer: Any) -> Iterator[pd.DataFrame]:
    import pandas as pd

    names = list(answer.keys())
    first = True
    while rows := answer.fetchmany(BLOCK_ROWS):
        yield pd.DataFrame(rows, columns=names)
        first = False
    if first:
        yield pd.DataFrame([], columns=names)


@contextmanager
def _from_duckdb(url: str, query: str) -> Iterator[Iterator[pd.DataFrame]]:
    try:
        import duckdb
    except ImportError:
        raise MissingExtraError("duckdb", "duckdb") from None
    path = url.removeprefix("duckdb://").removeprefix("/")
    if not Path(path).is_file():
        raise DataError(f"there is no DuckDB file {path!r}", "check the path")
    connection = None
    try:
        connection = duckdb.connect(path, read_only=True)
        if " " not in query.strip():
            name = query.strip().replace('"', '""')
            query = f'SELECT * FROM "{name}"'  # noqa: S608 - a quoted name
        answer = connection.sql(query)
        if answer is None:
            raise DataError("the statement selects no rows", "give a SELECT statement")
        yield _batches(answer.to_arrow_reader(BLOCK_ROWS))
    except duckdb.Error as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"{url} does not answer the query: {reason}", "check the address and the query") from None
    finally:
        if connection is not None:
            connection.close()


def _batches(reader: Any) -> Iterator[pd.DataFrame]:
    import pyarrow as pa

    first = True
    for batch in reader:
        yield frame_from_arrow(pa.Table.from_batches([batch]))
        first = False
    if first:
        yield frame_from_arrow(reader.schema.empty_table())


def _exists(path: str) -> bool:
    return path == ":memory:" or Path(path).is_file()
