"""A healthy wait is short in the log, and nowhere looks like a failure; the clock is the test's own."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Log
from prefect.client.schemas.sorting import LogSort

from deployments.sandbox import Sandbox
from flows import tasks
from flows.delivery.lifecycle import AcceptedAppend
from flows.errors import DeadlinePassed, StillProcessing
from flows.ledger.store import Entry, Ledger, Sending
from flows.runtime.step_log import log_intended_plainly
from flows.settings import load_settings
from flows.ui import progress
from tests.conftest import wait_for

if TYPE_CHECKING:
    from tests.flows.conftest import Clock, Fault, Sync, TaskStates, WriteDeals

NOW = datetime.now(UTC)


@pytest.fixture
def sent(tmp_path: Path) -> AcceptedAppend:
    upload = Sending(state="accepted", intended_at=NOW, id="r1", accepted_at=NOW)
    entry = Entry(
        fingerprint="f",
        collection="c",
        mode="append",
        created_at=NOW,
        export={},
        csv_sha256="",
        rows=1,
        quarantined=0,
        totals={},
        upload=upload,
    )
    return AcceptedAppend.of(entry, Ledger(str(tmp_path)))


def test_five_minutes_of_waiting_are_at_most_a_dozen_lines(sent: AcceptedAppend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each word of the platform's, and then one a minute, however often it is asked."""
    said: list[str] = []
    seconds = [1000.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: seconds[-1]))
    monkeypatch.setattr(progress, "say", lambda _, message, **__: said.append(message))
    for second in range(300):
        seconds.append(1000.0 + second)
        status = "accepted" if second < 2 else "queued" if second < 20 else "in_progress"
        with pytest.raises(StillProcessing), progress.show_wait(sent, load_settings()):
            raise StillProcessing(f"append request r1: {status}, {second} of 3600 s", status)
    assert [line.split(": ")[1].split(",")[0] for line in said] == ["accepted", "queued", *["in_progress"] * 5]
    assert not [line for line in said if "fail" in line.lower()]


@pytest.mark.parametrize(("error", "lines"), [(StillProcessing("queued", "queued"), 0), (DeadlinePassed("too late"), 1)], ids=str)
def test_what_prefect_calls_a_failed_attempt_is_a_line_of_ours_or_none(
    error: Exception, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Prefect's own line, `Task run failed with exception`, comes with each poll."""
    log_intended_plainly()
    with caplog.at_level(logging.INFO, "prefect.task_runs"):
        logging.getLogger("prefect.task_runs").error("Task run failed with exception: %r - Retry %s/%s will start %s", error, 1, 9, "soon")
    assert len(caplog.records) == lines
    assert all(record.levelno < logging.ERROR and "failed" not in record.getMessage() for record in caplog.records)


_WAIT = timedelta(minutes=5)
_POLL_EVERY = timedelta(seconds=5)


def _logged(run_id: Any) -> list[Log]:
    """What Prefect's log has of a run, once its last line is there."""
    chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:

        def whole() -> list[Log] | None:
            lines = client.read_logs(chosen, sort=LogSort.TIMESTAMP_ASC, limit=200)
            return lines if any(line.task_run_id is None and "Finished in state Completed" in line.message for line in lines) else None

        return wait_for(whole, "the end of the run's log")


@pytest.mark.slow
def test_a_healthy_wait_of_five_minutes_in_the_log_and_its_retries_in_the_api(
    sync: Sync,
    write_deals: WriteDeals,
    fault: Fault,
    sandbox: Sandbox,
    task_states: TaskStates,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The platform takes five minutes for the deals and five for the forecast, by a clock that each poll moves."""
    monkeypatch.setenv("DEALCAST_POLL_DELAY_MAX", "0.02")
    monkeypatch.setenv("DEALCAST_DEADLINE", "3600")
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + clock.ahead.total_seconds()))
    done = {"*/append": _WAIT, "/api/invocation": 2 * _WAIT}

    def each_moves_the_clock(name: str, path: str) -> None:
        poll = getattr(tasks, name)

        def later(*args: Any) -> Any:
            clock.ahead += _POLL_EVERY
            if path in done and clock.ahead >= done[path]:
                del done[path]
                sandbox.control("DELETE", "faults")
                for other in done:
                    fault("stuck", other, "POST", count=1)
            return poll(*args)

        monkeypatch.setattr(tasks, name, later)

    each_moves_the_clock("poll_append", "*/append")
    each_moves_the_clock("poll_forecast", "/api/invocation")
    fault("stuck", "*/append", "POST", count=1)
    state = sync(write_deals())
    assert state.is_completed(), state.message
    lines = _logged(state.state_details.flow_run_id)
    said = [line.message for line in lines]
    assert not [line for line in lines if line.level >= logging.WARNING], said
    assert not [message for message in said if "fail" in message.lower()]
    submitted, taken = (max(n for n, line in enumerate(said) if words in line) for words in ("accepted as request", "months invoked as"))
    states = task_states(state)  # once they are written down
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id])),
            limit=200,
        )
    for waiting, between in (("await_append", said[submitted:taken]), ("await_forecast", said[taken:])):
        (run,) = [each for each in runs if each.name == waiting]
        of_task = [line.message for line in lines if line.task_run_id == run.id]
        assert 4 <= len([line for line in between if "in_progress" in line]) <= len(of_task) <= 12, of_task
        assert run.run_count >= 50
        assert len([each for each in states[waiting] if each.name == "AwaitingRetry"]) == run.run_count - 1
