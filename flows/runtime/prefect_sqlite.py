"""Prefect's server on SQLite: transactions take turns, and a statement that failed keeps nobody waiting.

By default two faults meet in Prefect 3.8 (seen with SQLAlchemy 2.0 on CPython 3.11). A transaction that reads before it writes is
refused at once where another wrote in between, and the server answers 503. What the refused statement leaves behind is freed by the
garbage collector, in the event loop's thread, which needs the connection; that may by then wait, for up to a minute, for another
connection's lock, which only the event loop could release: for so long the server stands still.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import provide_database_interface, set_database_config
from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


class ClosingCursor(sqlite3.Cursor):
    """A cursor that a failure closes; CPython does so itself from 3.12 on."""

    def execute(self, *arguments: Any) -> ClosingCursor:
        """As `sqlite3.Cursor` does."""
        try:
            return super().execute(*arguments)
        except sqlite3.Error:
            self.close()
            raise

    def executemany(self, *arguments: Any) -> ClosingCursor:
        """As `sqlite3.Cursor` does."""
        try:
            return super().executemany(*arguments)
        except sqlite3.Error:
            self.close()
            raise


class ClosingConnection(sqlite3.Connection):
    """A connection whose cursors a failure closes."""

    def cursor(self, factory: Any = ClosingCursor) -> Any:
        """As `sqlite3.Connection` does."""
        return super().cursor(factory)


def connect_closing(dialect: Any, _record: Any, _arguments: Any, keywords: dict[str, Any]) -> None:
    """Make SQLAlchemy connect to SQLite so, as a listener to its `do_connect`; other databases are left alone."""
    if dialect.name == "sqlite":
        keywords["factory"] = ClosingConnection


class _Turn:
    """The right to write, until the transaction is over."""

    over = False


_TURN: ContextVar[_Turn | None] = ContextVar("dealcast_turn", default=None)


class TurnTakingSqlite(AioSqliteConfiguration):
    """Prefect's configuration, but each transaction takes SQLite's write lock when it begins: first come, first served."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    @asynccontextmanager
    async def begin_transaction(self, session: AsyncSession, with_for_update: bool = False) -> AsyncIterator[AsyncSessionTransaction]:
        """Begin once all that asked before are done; a transaction inside another begins as Prefect has it."""
        outer = _TURN.get()  # what is started in a transaction and outlives it has inherited a turn that is over
        if outer is not None and not outer.over:
            async with super().begin_transaction(session, with_for_update) as transaction:
                yield transaction
            return
        async with self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            turn = _Turn()
            token = _TURN.set(turn)
            try:
                async with super().begin_transaction(session, with_for_update=True) as transaction:
                    yield transaction
            finally:
                turn.over = True
                _TURN.reset(token)


def take_turns() -> None:
    """Let the Prefect server of this process, if its database is SQLite, work so; before it connects."""
    config = provide_database_interface().database_config
    if type(config) is AioSqliteConfiguration:
        event.listen(Engine, "do_connect", connect_closing)
        set_database_config(TurnTakingSqlite(config.connection_url))
