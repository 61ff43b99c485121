"""The history of forecasts as a table in a database that SQLAlchemy knows, one row a collection, as-of time and month."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

_LONGEST = 200
_WAIT_SECONDS = 10
_STATEMENT_SECONDS = 60


def bring_up(url: str, name: str, history: pa.Table) -> None:
    """Give the table ``name`` each forecast of ``history`` that it lacks, in one transaction; rows of other collections are let be.

    Args:
        url: of the database, as SQLAlchemy writes it; `postgresql://` means psycopg.
        name: of the table, `schema.table` or `table`; it is made where it is missing.
        history: one collection's, as `forecast_history.SCHEMA`.

    Raises:
        SQLAlchemyError: the database cannot be reached, or refuses; nothing is changed then.
        ImportError: the database's driver is not installed.
    """
    rows = _newest_by_as_of(history)
    engine = _engine(url)
    table = _table(name)
    mine = table.c.collection == rows[0]["collection"]
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text(f"SET LOCAL statement_timeout = '{_STATEMENT_SECONDS}s'"))
        table.create(connection, checkfirst=True)
        there = set(connection.scalars(sa.select(table.c.invocation_id).where(mine).distinct()))
        missing = [row for row in rows if row["invocation_id"] not in there]
        if missing:
            renewed = sorted({row["as_of"] for row in missing})
            connection.execute(sa.delete(table).where(mine, table.c.as_of.in_(renewed)))
            connection.execute(sa.insert(table), missing)


def _newest_by_as_of(history: pa.Table) -> list[dict[str, Any]]:
    """The rows of the last forecast of each state of the data: a repeated one takes the place of the one before."""
    rows = history.sort_by([("as_of", "ascending"), ("invoked_at", "ascending")]).to_pylist()
    last = {row["as_of"]: row["invocation_id"] for row in rows}
    return [row for row in rows if last[row["as_of"]] == row["invocation_id"]]


def _engine(url: str) -> sa.Engine:
    where = sa.make_url(url)
    if where.drivername in ("postgresql", "postgres"):
        where = where.set(drivername="postgresql+psycopg")
    patience: dict[str, Any] = {"connect_timeout": _WAIT_SECONDS} if where.drivername == "postgresql+psycopg" else {}
    return sa.create_engine(where, poolclass=sa.NullPool, hide_parameters=True, connect_args=patience)


class _Moment(sa.TypeDecorator[Any]):
    """A moment in UTC; a database without time zones keeps it without one."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ARG002 - the signature is SQLAlchemy's
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


def _table(name: str) -> sa.Table:
    schema, _, plain = name.rpartition(".")
    text = sa.String(_LONGEST)
    return sa.Table(
        plain,
        sa.MetaData(),
        sa.Column("collection", text, primary_key=True),
        sa.Column("as_of", _Moment, primary_key=True),
        sa.Column("month", sa.Date, primary_key=True),
        sa.Column("revenue", sa.Double, nullable=False),
        sa.Column("invoked_at", _Moment, nullable=False),
        *(sa.Column(each, text) for each in ("currency", "platform", "request_id", "invocation_id", "fingerprint")),
        schema=schema or None,
    )
