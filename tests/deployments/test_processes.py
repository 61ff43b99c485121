"""The command line as a process: exit codes and streams."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from prefect.settings import PREFECT_API_URL

from deployments.command_line.temporary_server import TemporaryServer
from deployments.sandbox import Sandbox
from flows.errors import DealcastError
from flows.nostradamus import Nostradamus
from tests.conftest import HANG, PATIENT_START, UNHURRIED, wait_for
from tests.prefect_database import home_with_database

if TYPE_CHECKING:
    from tests.conftest import WriteDeals

Process = Callable[..., "subprocess.CompletedProcess[str]"]
DEALCAST = [sys.executable, "-m", "deployments.cli"]
STEPS = {"extract", "check", "submit", "await", "invoke", "download", "report"}
"""What begins the lines that a sync writes to stderr."""


@pytest.fixture
def process(home: Path, prefect_server: None) -> Process:  # noqa: ARG001 - the home sets the environment
    """Run a command as a process of its own, against the session's Prefect server."""

    def run(*arguments: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [*DEALCAST, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=HANG,
            env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value() or "", **environment},
        )
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    return run


@pytest.mark.slow
def test_a_sync_as_a_process(process: Process, collection: str, write_deals: WriteDeals, platform: Nostradamus, tmp_path: Path) -> None:
    ended = process("sync", write_deals(3), "--crm", "canonical", "--collection", collection, "--horizon", 3, "--out", tmp_path / "out")
    assert "forecast of 3 months" in ended.stdout
    assert {line.split()[0] for line in ended.stderr.splitlines()} <= STEPS
    assert json.loads((tmp_path / "out/certificate.json").read_text())["rows_sent"] == 3
    platform.dump(collection, tmp_path / "dump.csv")
    assert len((tmp_path / "dump.csv").read_text().splitlines()) == 4


@pytest.mark.slow
def test_a_sync_that_the_gate_stops_as_a_process(process: Process, collection: str, write_deals: WriteDeals, sandbox: Sandbox) -> None:
    ended = process("sync", write_deals(3, {"value": "-1"}), "--crm", "canonical", "--collection", collection, code=4)
    [message] = [line for line in ended.stderr.splitlines() if line.startswith("dealcast: ")]
    assert "value: must not be negative (1)" in message
    assert ended.stdout == ""
    assert sandbox.control("GET", "uploads") == []


@pytest.mark.slow
def test_a_platform_that_is_down_as_a_process(process: Process, write_deals: WriteDeals) -> None:
    """The last line on stderr is the message, whatever the libraries logged before."""
    down = {"DEALCAST_PLATFORM_URL": "http://127.0.0.1:9"}
    ended = process("sync", write_deals(3), "--crm", "canonical", "--collection", "c", code=6, **down)
    assert ended.stderr.splitlines()[-1].startswith("dealcast: ")
    assert "127.0.0.1:9 cannot be reached" in ended.stderr


@pytest.mark.slow
def test_a_command_outlives_its_data_process(
    prefect_server: None,  # noqa: ARG001 - it runs the flow
    home: Path,  # noqa: ARG001 - it sets the environment
    collection: str,
    write_deals: WriteDeals,
) -> None:
    """What the system kills before it is at work has another in its place."""
    environment = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value() or ""}
    command = [*DEALCAST, "sync", str(write_deals(3)), "--crm", "canonical", "--collection", collection]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        starter = psutil.Process(running.pid)
        [process] = wait_for(lambda: below(starter, "spawn_main"), "a data process")
        process.kill()
        [another] = wait_for(lambda: [each for each in below(starter, "spawn_main") if each.pid != process.pid], "another one")
        told, said = running.communicate(timeout=HANG)
    assert running.returncode == 0, said
    assert "3 deals sent" in told
    assert not another.is_running()


def without_a_server(home: Path, **more: str) -> dict[str, str]:
    """The environment of someone who runs no Prefect server, and has run commands before."""
    return {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"} | {
        "PREFECT_HOME": str(home_with_database(home)),
        **PATIENT_START,
        **more,
    }


def below(parent: psutil.Process, program: str) -> list[psutil.Process]:
    """The processes with such a ``program`` that a command has started."""
    return [child for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE and program in " ".join(child.cmdline())]


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_without_a_prefect_server_a_command_has_its_own_for_as_long_as_it_lives(
    collection: str, write_deals: WriteDeals, tmp_path: Path
) -> None:
    """Killed, it can clean up nothing; the server goes with it all the same. One that ends by itself is in `test_readme.py`."""
    environment = without_a_server(tmp_path / "prefect")
    command = [*DEALCAST, "sync", str(write_deals(3)), "--crm", "canonical", "--collection", collection]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as killed:
        [server] = wait_for(lambda: below(psutil.Process(killed.pid), "temporary_server.py"), "a server")
        killed.kill()
    server.wait(HANG)


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_a_temporary_server_says_nothing_of_its_end(collection: str, write_deals: WriteDeals, tmp_path: Path) -> None:
    """What it logs while it is shut down, a write cut short with its traceback among it, would follow a command that went well."""
    environment = without_a_server(tmp_path / "prefect", PREFECT_LOGGING_SERVER_LEVEL="DEBUG")
    command = [*DEALCAST, "sync", str(write_deals(3)), "--crm", "canonical", "--collection", collection]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=HANG)
    assert ended.returncode == 0, ended.stderr
    assert "TaskRunRecorder started" in ended.stderr
    assert "TaskRunRecorder stopped" not in ended.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("why", ["is of a newer version of Prefect", "cannot write its database"])
def test_a_temporary_server_that_cannot_start_is_told_in_one_sentence(write_deals: WriteDeals, tmp_path: Path, why: str) -> None:
    environment = without_a_server(tmp_path / "prefect")
    if "newer" in why:
        with closing(sqlite3.connect(tmp_path / "prefect" / "prefect.db")) as database, database:
            database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    else:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = "sqlite+aiosqlite:////nowhere/at/all.db"
    command = [*DEALCAST, "sync", str(write_deals(3)), "--crm", "canonical", "--collection", "c", "--json"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=HANG)
    assert ended.returncode == json.loads(ended.stdout)["exit_code"] == 2
    (line,) = ended.stderr.splitlines()
    assert why in line
    assert str(tmp_path / "prefect") in line
    assert "Set PREFECT_HOME" in line


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ("alembic.util.exc.CommandError: Can't locate revision identified by 'f'", 2, "is of a newer version of Prefect. Set PREFECT_HOME"),
        (
            "sqlite3.OperationalError: attempt to write a readonly database",
            2,
            "cannot write its database",
        ),
        ("PermissionError: [Errno 13] Permission denied: '/srv'", 2, "cannot write its database"),
        (
            "  File\nImportError: no module named x\n\nERROR: startup failed",
            1,
            "ended (ImportError: no module named x). Run it",
        ),
        ("", 1, "Prefect's temporary server ended. Run it again"),
    ],
)
def test_why_a_temporary_server_ended(said: str, code: int, words: str) -> None:
    """A process that ends with such words stands for one: `test_a_temporary_server_that_cannot_start_is_told_in_one_sentence`."""
    with tempfile.TemporaryFile("w+") as written, subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE) as child:
        written.write(said)
        server = TemporaryServer(child, "http://127.0.0.1:9/api", written)
        with pytest.raises(DealcastError) as raised:
            server.await_start()
        assert raised.value.exit_code == code
        assert words in str(raised.value)
        assert "Traceback" not in str(raised.value)


@pytest.mark.parametrize("while_they", ["wait for the platform", pytest.param("were asked to come back later", marks=pytest.mark.slow)])
def test_many_collections_end_at_a_signal_and_say_how_to_go_on(
    while_they: str,
    home: Path,
    prefect_server: None,  # noqa: ARG001 - it runs the flow
    sandbox: Sandbox,
    platform: Nostradamus,
    write_deals: WriteDeals,
    tmp_path: Path,
) -> None:
    """The signal reaches the main thread alone; those that wait for a platform that takes its time end with it."""
    sandbox.control("PUT", "speed", {"queued_seconds": 600, "processing_seconds": 600})
    collections = [platform.create_collection(f"customer {number}", "Europe/Rome").id for number in range(3)]
    if while_they == "were asked to come back later":
        sandbox.control(
            "POST", "faults", {"kind": "status", "status": 429, "retry_after": 600, "method": "POST", "path": "*/append", "count": None}
        )
    table = tmp_path / "customers.csv"
    table.write_text("collection,export,crm\n" + "".join(f"{each},{write_deals(2)},canonical\n" for each in collections))
    environment = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value() or "", "DEALCAST_DEADLINE": "3600"}
    command = [sys.executable, "-c", UNHURRIED, "collections", "sync", str(table)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        wait_for(lambda: len(sandbox.control("GET", "requests?method=POST&path=*/append")) == len(collections), "the appends")
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=HANG)
    assert running.returncode == 130
    assert "ended by Ctrl-C" in said
    assert "The run was interrupted. Start it again the same way" in said, said
    assert list((home / "staging").iterdir()) == []
    assert len(sandbox.control("GET", "requests?method=POST&path=*/append")) == len(collections)
