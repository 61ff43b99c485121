"""A real Prefect server, a real sandbox, real files: what the flow tests share."""

from __future__ import annotations

import csv
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, TaskRun
from prefect.client.schemas.sorting import TaskRunSort

from deployments.sandbox import Sandbox
from flows.errors import DealcastError
from flows.nostradamus import Nostradamus
from flows.options import SyncOptions
from flows.sync_deals import sync_deals
from tests.conftest import wait_for

if TYPE_CHECKING:
    from tests.conftest import WriteDeals as WriteDeals  # noqa: PLC0414 - the alias re-exports it for the type checker

Sync = Callable[..., State[Any]]
Asked = Callable[[str, str], int]
Fault = Callable[..., None]
Failing = Callable[..., DealcastError]
TaskStates = Callable[..., dict[str, list[State[Any]]]]
Held = Callable[[], dict[str, dict[str, str]]]


@pytest.fixture(scope="session", autouse=True)
def _engine(prefect_server: None) -> None:
    """Every test here runs on the session's Prefect server."""


@pytest.fixture
def sync(home: Path, collection: str) -> Sync:  # noqa: ARG001 - the home sets the environment
    """Run the flow on the real engine and return its final state."""

    def run(export: Path, **options: Any) -> State[Any]:
        values = {"export": str(export), "crm": "canonical", "collection": collection, "horizon": 3, **options}
        return sync_deals(SyncOptions(**values), return_state=True)

    return run


@pytest.fixture
def held(platform: Nostradamus, collection: str, tmp_path: Path) -> Held:
    """What the platform holds, by id."""

    def read() -> dict[str, dict[str, str]]:
        dump = tmp_path / "dump.csv"
        platform.dump(collection, dump)
        with dump.open(newline="", encoding="utf-8") as source:
            return {row["id"]: row for row in csv.DictReader(source)}

    return read


@pytest.fixture
def asked(sandbox: Sandbox) -> Asked:
    """How many requests the platform got, by method and path pattern."""

    def count(method: str, path: str) -> int:
        return len(sandbox.control("GET", f"requests?method={method}&path={path}"))

    return count


@pytest.fixture
def fault(sandbox: Sandbox) -> Iterator[Fault]:
    """Let something go wrong at the platform, until the test ends."""

    def add(kind: str, path: str, method: str = "GET", **more: Any) -> None:
        sandbox.control("POST", "faults", {"kind": kind, "method": method, "path": path, **more})

    yield add
    sandbox.control("DELETE", "faults")


@pytest.fixture
def failing(sync: Sync) -> Failing:
    """Run the flow, which must fail, and return the error that ended it."""

    def run(export: Path, **options: Any) -> DealcastError:
        state = sync(export, **options)
        error = state.result(raise_on_failure=False)
        assert state.is_failed(), state
        assert isinstance(error, DealcastError), error
        assert str(error) in (state.message or ""), "the state's message says what the error says"
        return error

    return run


@pytest.fixture
def task_states() -> TaskStates:
    """A run's tasks as the Prefect UI shows them once it has ``last``: the states each went through, by the task run's name."""

    def read(state: State[Any], last: str = "publish_report") -> dict[str, list[State[Any]]]:
        run_id = state.state_details.flow_run_id
        assert run_id is not None
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        with get_client(sync_client=True) as client:

            def written() -> list[TaskRun] | None:  # the server writes task runs down after the fact
                runs = client.read_task_runs(flow_run_filter=chosen, sort=TaskRunSort.EXPECTED_START_TIME_ASC, limit=200)
                ended = last in {run.name for run in runs} and all(run.state and run.state.is_final() for run in runs)
                return runs if ended else None

            return {run.name: list(client.read_task_run_states(run.id)) for run in wait_for(written, f"{last} to be written down")}

    return read


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the steps say as they go, as the UI's log and the terminal show it."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, handler = logging.getLogger("prefect.task_runs"), Keep()
    logger.addHandler(handler)
    yield said
    logger.removeHandler(handler)


class Clock:
    """The time of day as dealcast's own modules see it; Prefect and the platform keep the real one."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def set(self, moment: datetime) -> None:
        """Let it be ``moment`` now."""
        self.ahead = moment - datetime.now(UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test moves."""
    moved = Clock()

    class Kind(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, datetime)

    class Moved(datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # a plain one, as everybody's
            return datetime.now(tz) + moved.ahead

    for name, module in list(sys.modules.items()):
        if name.startswith(("flows.", "deployments.commands")) and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", Moved)
    return moved


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Every record of every logger at DEBUG, with its traceback."""
    lines: list[str] = []
    formatter = logging.Formatter("%(name)s %(message)s %(args)s")

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(formatter.format(record))

    handler = Keep(logging.DEBUG)
    names = ["", *logging.root.manager.loggerDict]
    before = {name: logging.getLogger(name).level for name in names}
    unheard = [name for name in names if name == "" or not logging.getLogger(name).propagate]
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    for name in unheard:
        logging.getLogger(name).addHandler(handler)
    yield lines
    for name in unheard:
        logging.getLogger(name).removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
