"""What stands in a Prefect server on SQLite, taken apart: a failed statement's remains, and who may write when."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from flows.runtime.prefect_sqlite import TurnTakingSqlite, connect_closing
from tests.benchmarks.stall import REQUESTS_OF_A_RUN, write_at_once
from tests.conftest import HANG, sampled

MEMORY = "prefect.server.concurrency.lease_storage.memory"


def test_garbage_of_a_failed_statement_does_not_wait_for_its_connection(tmp_path: Path) -> None:
    """A statement that is at work holds its connection until the event loop lets it go; the garbage collector must not wait for it."""
    at_work, go_on = threading.Event(), threading.Event()

    def wait() -> bool:
        at_work.set()
        return go_on.wait(HANG)

    async def meet() -> bool:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/x.db")
        event.listen(engine.sync_engine, "do_connect", connect_closing)
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.create_function("wait", 0, wait)
            await connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            await connection.exec_driver_sql("INSERT INTO t VALUES (1)")
            gc.disable()
            try:
                with pytest.raises(IntegrityError):
                    await connection.exec_driver_sql("INSERT INTO t VALUES (1)")
                working = asyncio.create_task(connection.exec_driver_sql("SELECT wait()"))
                await asyncio.to_thread(at_work.wait, HANG)
                gc.collect()
            finally:
                gc.enable()
            go_on.set()
            answer = (await working).scalar_one()
        await engine.dispose()
        return bool(answer)

    assert asyncio.run(meet()), "the event loop's thread stood until the statement was done"


@pytest.mark.parametrize(("said", "kept"), sampled([({}, "filesystem"), ({"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": MEMORY}, "memory")]))
def test_a_server_keeps_its_leases_over_a_restart_unless_it_is_told_otherwise(tmp_path: Path, said: dict[str, str], kept: str) -> None:
    """In a context of settings, which `prefect server start` enters before the server is made."""
    program = (
        "from prefect.settings import temporary_settings\n"
        "entered = temporary_settings(); entered.__enter__()\n"
        "import prefect.server.api.server, flows.runtime.server_plugin\n"
        "from prefect.server.concurrency.lease_storage import get_concurrency_lease_storage\n"
        "print(type(get_concurrency_lease_storage()).__module__)"
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    own |= {"PREFECT_HOME": str(tmp_path), **said}
    done = subprocess.run([sys.executable, "-c", program], env=own, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"prefect.server.concurrency.lease_storage.{kept}"


def test_transactions_that_read_and_then_write_take_turns(tmp_path: Path) -> None:
    """SQLite refuses one that wants to write what another has written since it read; in turns none has."""
    database = TurnTakingSqlite(f"sqlite+aiosqlite:///{tmp_path}/x.db")

    async def change(engine: AsyncEngine, number: int) -> None:
        async with AsyncSession(engine) as session, database.begin_transaction(session):
            await session.execute(text("SELECT * FROM t"))
            await session.execute(text("INSERT INTO t VALUES (:number)"), {"number": number})

    async def meet() -> list[int]:
        engine = await database.engine()
        async with engine.begin() as connection:
            await connection.exec_driver_sql("CREATE TABLE t (number INTEGER)")
        await asyncio.gather(*(change(engine, number) for number in range(20)))
        async with engine.connect() as connection:
            return list((await connection.exec_driver_sql("SELECT number FROM t ORDER BY rowid")).scalars())

    assert asyncio.run(meet()) == list(range(20)), "first come, first served"


def test_what_a_transaction_starts_waits_for_its_turn_once_that_is_over(tmp_path: Path) -> None:
    """A task inherits its maker's context, but not the maker's turn."""
    database = TurnTakingSqlite(f"sqlite+aiosqlite:///{tmp_path}/x.db")
    modes: list[str] = []

    async def meet() -> None:
        engine = await database.engine()
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *seen: modes.append(seen[2]) if "BEGIN" in seen[2] else None)
        over = asyncio.Event()

        async def late() -> None:
            await over.wait()
            async with AsyncSession(engine) as session, database.begin_transaction(session):
                await session.execute(text("SELECT 1"))

        async with AsyncSession(engine) as session, database.begin_transaction(session):
            await session.execute(text("SELECT 1"))
            task = asyncio.create_task(late())
        over.set()
        await task

    asyncio.run(meet())
    assert modes == ["BEGIN IMMEDIATE"] * 2


def test_a_server_s_process_takes_turns_and_a_worker_s_imports_nothing_for_them() -> None:
    """Prefect imports the entry point in both."""
    look = "import sys, prefect.plugins; prefect.plugins.load_prefect_collections(); {then}"
    server = "from prefect.server.database import provide_database_interface as database; print(type(database().database_config).__name__)"
    loaded = "print('flows.runtime.prefect_sqlite' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    said = [
        subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True).stdout.strip()
        for code in ("import prefect.server.api.server; " + look.format(then=server), look.format(then=loaded))
    ]
    assert said == ["TurnTakingSqlite", "False"]


def test_where_writers_meet_the_server_answers_them_all() -> None:
    """Without `flows.runtime.server_plugin`, which nobody asked the session's server to import, a tenth of the answers is 503."""
    answers = write_at_once(str(PREFECT_API_URL.value()), writers=3, runs=10)
    assert len(answers) == 3 * (1 + 10 * REQUESTS_OF_A_RUN)
    assert {answer.status for answer in answers} <= {200, 201, 204}
