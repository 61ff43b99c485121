"""Fixtures for all rooms: real servers, one per session and worker, emptied before each test."""

from __future__ import annotations

import csv
import gc
import os
import random
import shutil
import signal
import socket
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from multiprocessing import forkserver, resource_tracker
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import httpx
import psutil
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings

from deployments.cli import main
from deployments.command_line import signals
from deployments.sandbox import Sandbox, running
from expectations.deals_schema import COLUMN_NAMES
from flows.nostradamus import Nostradamus
from tests.prefect_database import copy_database

settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("sample", settings.get_profile("no clock"), max_examples=30, derandomize=True, database=None)
settings.load_profile("no clock" if os.environ.get("DEALCAST_FUZZ") == "full" else "sample")  # a busy machine is no finding

_TODAY = datetime.now(UTC)

CLOSED = f"{_TODAY:%Y-%m}-01T00:00:00"
"""When the sample deals were closed: in this month, so that a forecast may begin with the next."""

FIRST_MONTHS = tuple(
    f"{month // 12}-{month % 12 + 1:02d}" for month in range(_TODAY.year * 12 + _TODAY.month, _TODAY.year * 12 + _TODAY.month + 12)
)
"""The months that a forecast of the sample deals predicts."""

DEAL = {
    "name": "Deal",
    "creationDatetime": "2025-01-10T09:00:00",
    "addDatetime": "2025-01-10T09:00:00",
    "closedDatetime": CLOSED,
    "expectedClosureDatetime": CLOSED,
    "status": "closed_won",
    "stage": "Won",
    "currentStageStartDatetime": CLOSED,
    "value": "1000.00",
    "lastUpdateDatetime": CLOSED,
}

T = TypeVar("T")

HANG = 300.0
"""Seconds that only what hangs takes: where all is well nothing is waited for so long, however busy the machine."""


UNHURRIED = f"""
import sys
from deployments import cli
from deployments.command_line import signals
signals.UNWINDING_SECONDS = {HANG}
sys.exit(cli.main())
"""
"""The program of a command that has all the time to unwind, which on a busy machine it needs."""

PATIENT_START = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(int(HANG))}
"""For the environment of a command that starts a Prefect server of its own."""


def wait_for(look: Callable[[], T | None], what: str, said: Sequence[str] = ()) -> T:
    """Look until there is something to see; ``said`` is shown where it never comes."""
    end = time.monotonic() + HANG
    while time.monotonic() < end:
        found = look()
        if found:  # neither None, nor False, nor none of a list
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {HANG:.0f} s for {what}\n{''.join(said)}")


def answers(url: str) -> bool:
    """``True`` where a GET of ``url`` succeeds: a server is up."""
    try:
        return httpx.get(url, trust_env=False, timeout=HANG).is_success
    except httpx.HTTPError:
        return False


def sampled(cases: Iterable[Any], keep: int = 1) -> list[Any]:
    """Cases that go the same way through the code: the first ``keep`` are run each time, all of them by ``make faults``.

    What a mapping holds is named by its keys; a tuple is several arguments.
    """
    named = cases.items() if isinstance(cases, Mapping) else ((None, case) for case in cases)
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), id=name, marks=[pytest.mark.slow] if number >= keep else [])
        for number, (name, case) in enumerate(named)
    ]


def free_port() -> int:
    """A port for a server that is started later: below those that a connection is given, so that none takes it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


WriteDeals = Callable[..., Path]
Dealcast = Callable[..., Result]


LONG_ROOMS = ("deployments", "commands", "tests", "faults", "flows")
"""Whose files take longest: their tests start processes and wait for them, those of the last run flows."""


_PLACE = pytest.StashKey[Path]()

LAST = -1000
"""The priority at exit of what comes after Prefect's own removals, and after multiprocessing's, which has a folder in ours."""


def pytest_configure(config: pytest.Config) -> None:
    """Give the session a temporary folder of its own, by which what it leaves behind is known.

    A suite run in the background hands SIGINT on ignored, and one under `nohup` SIGHUP: no process that it starts would end by them.
    """
    if not hasattr(config, "workerinput"):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # what a test writes is kept, as ever
        config.stash[_PLACE] = Path(tempfile.mkdtemp(prefix="dealcast-suite-"))
        remove = {"ignore_errors": True}
        Finalize(None, shutil.rmtree, (config.stash[_PLACE],), remove, exitpriority=LAST)
        os.environ["TMPDIR"], tempfile.tempdir = str(config.stash[_PLACE]), None
    worker = getattr(config, "workerinput", {}).get("workerid", "main")
    os.environ["PREFECT_HOME"] = str(Path(os.environ["TMPDIR"]) / f"prefect-{worker}")  # never the user's own
    os.environ["DEALCAST_HOME"] = str(Path(os.environ["TMPDIR"]) / f"home-{worker}")
    patch("ssl.create_default_context", cache(ssl.create_default_context)).start()  # each client loads all certificates, which takes 20 ms
    gc.set_threshold(100_000)  # as in the command line
    signals.UNWINDING_SECONDS = HANG  # a command in the suite's own process is not to end it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.option.loadscopereorder = False  # the order is that of `pytest_collection_modifyitems`


@pytest.hookimpl(trylast=True)  # once those that are not run are taken out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long rooms first, then the files with the most tests: a long file that is begun last keeps the other workers waiting."""
    tests = Counter(item.path for item in items)
    staged = {item.path for item in items if "stage" in getattr(item, "fixturenames", ()) and "deployments" in item.path.parts}
    rooms = {path: path.parent.name for path in tests}
    order = {room: place for place, room in enumerate(LONG_ROOMS)}
    items.sort(key=lambda item: (item.path not in staged, order.get(rooms[item.path], len(order)), -tests[item.path]))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail where a process that the session started, or a folder of ours, is left once it is over."""
    yield
    place = session.config.stash.get(_PLACE, None)
    alone = not session.config.pluginmanager.hasplugin("dsession")
    if place is None or alone:  # one of several workers, or without any: the servers that it holds itself end with it
        return
    for helper in (forkserver._forkserver, resource_tracker._resource_tracker):  # noqa: SLF001 - as Python's own suite ends them
        helper._stop()  # type: ignore[union-attr] # noqa: SLF001 - typeshed does not know it; they would end with this process
    _, left = psutil.wait_procs(_started_in(place), timeout=HANG)
    folders = sorted(path.name for path in place.glob("dealcast-*"))
    if left or folders:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("\nleft behind:", *left, *folders, sep="\n  ")


def _started_in(place: Path) -> list[psutil.Process]:
    """The processes that have ``place``, or a folder in it, for their temporary files."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("TMPDIR", "").startswith(str(place)):
                found.append(process)
    return found


@pytest.fixture(scope="session")
def session_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the session; use `sandbox` unless the test brings its own collection and touches no control route."""
    with running(queued_seconds=0.01, processing_seconds=0.01) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(session_sandbox: Sandbox) -> Sandbox:
    """The session's sandbox, as if it had just been started empty."""
    session_sandbox.control("POST", "reset")
    return session_sandbox


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One real Prefect API for the session; without heartbeats, for which every run would wait a second.

    Its runs draw no picture, which is a quarter of a run's work: `test_chart.py`, the browser's test and `forecasts --chart` do.
    It writes down task runs once a second and events every few seconds, all at once, which one by one are half of its work; and it holds
    no event against automations, of which it has none.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings  # noqa: PLC0415 - most rooms need no Prefect
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415 - as above

    from flows.runtime import best_effort  # noqa: PLC0415 - as above

    def folder_with_database() -> str:
        folder = tempfile.mkdtemp()
        copy_database(Path(folder) / "prefect-test.db")
        return folder

    best_effort.SECONDS = HANG  # a busy machine's server is no server that is away
    services = {
        "TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
        "TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "EVENT_PERSISTER_BATCH_SIZE": "500",
        "TRIGGERS_ENABLED": "false",
    }
    with (
        patch.dict(os.environ, {f"PREFECT_SERVER_SERVICES_{name}": value for name, value in services.items()}),
        patch("prefect.testing.utilities.mkdtemp", folder_with_database),
        patch("flows.ui.artifacts.draw", lambda _: b"<svg/>"),
        prefect_test_harness(server_startup_timeout=int(HANG)),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture(autouse=True)
def _no_data_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the test's own process exports are read there: a data process would outlive the test, and have its environment."""
    if request.path.name != "test_data_process.py":
        monkeypatch.setattr("flows.runtime.data_process.start_data_process", lambda *_: None)


@pytest.fixture
def home(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dealcast home of the test's own, pointed at the sandbox, which looks again every few hundredths of a second."""
    live_at(tmp_path / "home", sandbox, monkeypatch)
    return tmp_path / "home"


def live_at(home: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``home`` be dealcast's home, and ``sandbox`` its platform."""
    for name in ("LEDGER", "TOKEN_FILE", "TOKEN_BLOCK", "CONFIG", "FOLDER", "ALLOW_HTTP", "EXTRA_SUITE", "ON_UNKNOWN"):
        monkeypatch.delenv(f"DEALCAST_{name}", raising=False)
    for name, value in {
        "HOME": str(home),
        "PLATFORM_URL": sandbox.url,
        "TOKEN": sandbox.token,
        "POLL_DELAY": "0.02",
        "POLL_DELAY_MAX": "0.1",
        "UPLOAD_BACKOFF": "0.1",
        "DEADLINE": str(HANG),
    }.items():
        monkeypatch.setenv(f"DEALCAST_{name}", value)


@pytest.fixture
def platform(sandbox: Sandbox) -> Iterator[Nostradamus]:
    with Nostradamus(sandbox.url, sandbox.token) as client:
        yield client


@pytest.fixture
def collection(platform: Nostradamus) -> str:
    return platform.create_collection("test", "Europe/Rome").id


@pytest.fixture
def write_deals(tmp_path: Path) -> WriteDeals:
    """Write a canonical export: ``count`` good deals, then one for each of ``extra``, which overrides a good one's cells."""

    def write(count: int = 3, *extra: dict[str, str], name: str = "deals.csv", first: int = 1, **every: str) -> Path:
        return write_export(tmp_path / name, count, *extra, first=first, **every)

    return write


def write_export(path: Path, count: int, *extra: dict[str, str], first: int = 1, **every: str) -> Path:
    """The same into ``path``."""
    deals = [{**DEAL, "id": str(number), **every} for number in range(first, first + count)]
    deals += [{**DEAL, "id": f"extra-{number}", **overrides} for number, overrides in enumerate(extra)]
    with path.open("w", newline="", encoding="utf-8") as sink:
        writer = csv.DictWriter(sink, COLUMN_NAMES, restval="")
        writer.writeheader()
        writer.writerows(deals)
    return path


@pytest.fixture
def dealcast(home: Path, monkeypatch: pytest.MonkeyPatch) -> Dealcast:  # noqa: ARG001 - the home sets the environment
    """Run a command in this process; it must end with ``code`` and never in a traceback."""

    def run(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return run
