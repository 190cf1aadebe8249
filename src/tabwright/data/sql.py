"""A table from the answer of a database to a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabwright.data.readers import read_table
from tabwright.errors import DataError, MissingExtraError, OptionError

if TYPE_CHECKING:
    import pandas as pd

SCHEMES = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


def read_sql(url: str, query: str) -> pd.DataFrame:
    """The rows that a query selects.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``; another of SQLAlchemy's dialects by its
        full name (``mysql+pymysql://``), where its driver is installed.
    query : str
        A SELECT statement, or the name of a table.

    Raises
    ------
    OptionError
        If the address is none of a database.
    DataError
        If the database can't be reached or refuses the query, or no row comes back.
    """
    import pandas as pd
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
        with engine.connect() as connection:
            if " " not in query.strip():
                quoted = engine.dialect.identifier_preparer.quote(query.strip())
                if not inspect(connection).has_table(query.strip()):
                    raise DataError(f"{shown} has no table {query.strip()!r}", "name one of its tables, or a query")
                query = f"SELECT * FROM {quoted}"  # noqa: S608 - a quoted name of a table that is there
            answer = connection.exec_driver_sql(query)
            if not answer.returns_rows:
                raise DataError("the statement selects no rows", "give a SELECT statement")
            frame = pd.DataFrame(answer.fetchall(), columns=list(answer.keys()))
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
        raise DataError(f"{shown} does not answer the query: {reason}", "check the address and the query") from None
    finally:
        engine.dispose()
    return read_table(frame)


def _exists(path: str) -> bool:
    from pathlib import Path

    return path == ":memory:" or Path(path).is_file()
