"""A healthy wait is short in the log, and nowhere looks like a failure; the clock is the test's own."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.delivery.lifecycle import AcceptedAppend
from flows.errors import DeadlinePassed, StillProcessing
from flows.ledger.store import Entry, Ledger, Sending
from flows.runtime.step_log import log_intended_plainly
from flows.settings import load_settings
from flows.ui import progress

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
