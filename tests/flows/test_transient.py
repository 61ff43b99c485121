"""What the platform cannot do now is tried again; what it will never do is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.sandbox import Sandbox
from flows.errors import (
    DeadlinePassed,
    OutcomeUnknown,
    PlatformBusy,
    PlatformRefused,
    PlatformUnavailable,
    PlatformUnreachable,
    UnexpectedAnswer,
    UploadPostponed,
)
from flows.ledger.store import Ledger
from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Failing, Fault, Held, Sync, WriteDeals

PLACES = [
    ("GET", "/api/collection"),
    ("POST", "*/append"),
    ("GET", "*/append/*"),
    ("POST", "/api/invocation"),
    ("GET", "/api/invocation/*"),
    ("GET", "/api/invocation/*/csv"),
]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks that ask once wait by Prefect's own default, which is none; those that wait, wait shortly."""
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "4")


@pytest.mark.parametrize("status", sampled([429, 503]))
def test_a_platform_that_is_busy_at_every_step_gets_each_request_again(
    sync: Sync, write_deals: WriteDeals, sandbox: Sandbox, fault: Fault, asked: Asked, held: Held, status: int
) -> None:
    times = [1 if path == "*/append" else 2 for _, path in PLACES]  # an upload goes out once more, and then only by a later run
    for (method, path), count in zip(PLACES, times, strict=True):
        fault("status", path, method, status=status, count=count)
    state = sync(write_deals(3))
    assert state.is_completed(), state.message
    assert [found["matched"] for found in sandbox.control("GET", "faults")] == times, "every step met it"
    assert len(held()) == 3
    assert len(state.result().forecast.months) == 3
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("status", sampled([500, 502, 504]))
def test_an_append_that_the_platform_failed_at_is_sent_again(
    sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, held: Held, status: int
) -> None:
    fault("status", "*/append", "POST", status=status)
    assert sync(write_deals(3), forecast="never").is_completed()
    assert len(held()) == 3
    assert asked("POST", "*/append") == 2


def refused_and_again(sandbox: Sandbox) -> list[tuple[datetime, datetime]]:
    """When each request that met a 429 came, and when it came again, by the platform's log: a slow run is no wait."""
    log = [
        (datetime.fromisoformat(entry["at"]), (entry["method"], entry["path"]), entry["status"])
        for entry in sandbox.control("GET", "requests")
    ]
    return [
        (came, next(later for later, same, _ in log[number + 1 :] if same == asked))
        for number, (came, asked, status) in enumerate(log)
        if status == 429
    ]


def test_retry_after_is_honored_and_told_at_every_step(
    sync: Sync, write_deals: WriteDeals, sandbox: Sandbox, fault: Fault, told: list[str]
) -> None:
    for method, path in PLACES:
        fault("status", path, method, status=429, retry_after=1)
    assert sync(write_deals()).is_completed()
    waits = [(again - came).total_seconds() for came, again in refused_and_again(sandbox)]
    assert len(waits) == len(PLACES)
    assert min(waits) >= 1
    assert len([line for line in told if line.startswith("waiting 1 s until the next attempt: ")]) == len(PLACES)


@pytest.mark.slow
def test_a_date_for_a_retry_is_honored(sync: Sync, write_deals: WriteDeals, sandbox: Sandbox, fault: Fault) -> None:
    for seconds in (3, 30, 120):  # a busy machine comes to the request only after the first date
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        fault("status", "/api/collection", status=429, retry_after=format_datetime(until, usegmt=True))
        assert sync(write_deals(first=seconds), forecast="never").is_completed()
        came, again = refused_and_again(sandbox)[-1]
        if came < until:
            break
    assert came < until <= again


@pytest.mark.slow
def test_a_retry_after_that_no_attempt_would_follow_is_not_waited_for(
    failing: Failing, write_deals: WriteDeals, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    fault("status", "*/append", "POST", status=429, retry_after=3600)
    assert isinstance(failing(write_deals()), PlatformBusy)


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(
    failing: Failing, write_deals: WriteDeals, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_DEADLINE", "2")
    fault("status", "*/append/*", status=429, retry_after=3600, count=None)
    assert isinstance(failing(write_deals()), DeadlinePassed)


@pytest.mark.slow
def test_a_retry_after_that_is_nonsense_is_no_obstacle(sync: Sync, write_deals: WriteDeals, fault: Fault) -> None:
    fault("status", "*/append", "POST", status=503, retry_after="in a while")
    assert sync(write_deals()).is_completed()


@pytest.mark.slow
def test_a_send_is_not_tried_for_ever(failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked) -> None:
    fault("status", "*/append", "POST", status=503, count=None)
    error = failing(write_deals())
    assert isinstance(error, UploadPostponed)
    assert error.exit_code == 6
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (2, 0)


@pytest.mark.parametrize("status", sampled([400, 404, 405, 409, 413, 415, 422]))
def test_an_answer_that_says_no_is_not_tried_again(
    failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked, status: int
) -> None:
    fault("status", "*/append", "POST", status=status, count=None)
    error = failing(write_deals())
    assert isinstance(error, PlatformRefused)
    assert error.exit_code == 5
    assert str(status) in str(error)
    assert "The fault `status` was set" in str(error), "the body's message is told"
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 0)


@pytest.mark.slow
def test_a_platform_that_is_down_ends_in_one_message(failing: Failing, write_deals: WriteDeals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_PLATFORM_URL", "http://127.0.0.1:9")
    error = failing(write_deals())
    assert isinstance(error, PlatformUnreachable)
    assert error.exit_code == 6
    assert "127.0.0.1:9 cannot be reached" in str(error)
    assert "nothing was sent" in str(error)
    assert "DEALCAST_PLATFORM_URL" in str(error)


@pytest.mark.slow
def test_an_unknown_collection_is_named_with_those_that_exist(
    failing: Failing, write_deals: WriteDeals, collection: str, asked: Asked
) -> None:
    error = failing(write_deals(), collection="no-such-collection")
    assert error.exit_code == 5
    assert "no-such-collection" in str(error)
    assert collection in str(error)
    assert "dealcast collections create" in str(error)
    assert asked("POST", "*/append") == 0


@pytest.mark.parametrize("kind", sampled(["drop_after_commit", "drop", "drop_unread", "half", "no_id", "garbage", "status_after_commit"]))
def test_an_append_without_a_usable_answer_is_sent_again_and_merges(
    sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, held: Held, kind: str
) -> None:
    fault(kind, "*/append", "POST")
    assert sync(write_deals(3)).is_completed()
    assert len(held()) == 3
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (2, 1)


@pytest.mark.parametrize("kind", sampled(["drop", "drop_after_commit", "half", "no_id", "garbage"]))
def test_under_stop_an_unknown_outcome_ends_the_run(
    failing: Failing, sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Exit 8, nothing repeated, and the next run refuses too until it is told to resend."""
    monkeypatch.setenv("DEALCAST_ON_UNKNOWN", "stop")
    fault(kind, "*/append", "POST")
    for _ in range(2):
        error = failing(write_deals())
        assert isinstance(error, OutcomeUnknown)
        assert error.exit_code == 8
        assert "DEALCAST_ON_UNKNOWN=resend" in str(error)
        assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 0)
    monkeypatch.setenv("DEALCAST_ON_UNKNOWN", "resend")
    assert sync(write_deals()).is_completed()
    assert asked("POST", "*/append") == 2


LOOKS = ["*/append/*", "/api/invocation/*"]


@pytest.mark.parametrize("kind", sampled(["drop", "delay", "half", "slow"], 2))
def test_a_look_that_got_no_whole_answer_is_repeated_and_a_late_one_waited_for(
    sync: Sync, write_deals: WriteDeals, sandbox: Sandbox, fault: Fault, asked: Asked, kind: str
) -> None:
    for path in LOOKS:
        fault(kind, path, seconds=0.3)
    state = sync(write_deals())
    assert state.is_completed(), state.message
    assert [found["matched"] for found in sandbox.control("GET", "faults")] == [1] * len(LOOKS), "every look met it"
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 1)


@pytest.mark.parametrize("kind", sampled(["garbage", "no_id"]))
@pytest.mark.parametrize("path", sampled(LOOKS))
def test_a_look_whose_answer_cannot_be_read_ends_the_run(
    failing: Failing, sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, kind: str, path: str
) -> None:
    fault(kind, path)
    error = failing(write_deals())
    assert isinstance(error, UnexpectedAnswer)
    assert "is not the documented" in str(error)
    assert sync(write_deals()).is_completed(), "a later run resumes from the last recorded step"
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("form", sampled(["json", "csv", "xlsx"]))
def test_a_result_that_cannot_be_read_is_kept_beside_those_that_can(
    sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, home: Path, form: str
) -> None:
    fault("garbage", f"/api/invocation/*/{form}")
    state = sync(write_deals())
    assert state.is_completed()
    assert len(state.result().forecast.months) == 3
    assert {path.suffix for path in home.glob("forecasts/*/forecast.*")} == {".json", ".csv", ".xlsx"}
    assert asked("POST", "/api/invocation") == 1


@pytest.mark.parametrize("path", sampled(["/api/invocation/*", "/api/collection", "*/append/*"]))
def test_a_redirect_is_not_followed(failing: Failing, write_deals: WriteDeals, fault: Fault, path: str) -> None:
    fault("redirect", path, location="http://127.0.0.1:9/elsewhere", count=None)
    error = failing(write_deals())
    assert isinstance(error, UnexpectedAnswer)
    assert "redirect to 127.0.0.1" in str(error)


@pytest.mark.slow
def test_a_result_that_is_elsewhere_is_not_fetched_there_and_the_others_are_kept(
    sync: Sync, write_deals: WriteDeals, fault: Fault, home: Path
) -> None:
    fault("redirect", "/api/invocation/*/json", location="http://127.0.0.1:9/elsewhere", count=None)
    state = sync(write_deals())
    assert state.is_completed()
    assert len(state.result().forecast.months) == 3
    assert {path.suffix for path in home.glob("forecasts/*/forecast.*")} == {".csv", ".xlsx"}


@pytest.mark.slow
def test_the_ledger_names_the_request_before_it_is_waited_for(
    failing: Failing, write_deals: WriteDeals, fault: Fault, collection: str, home: Path
) -> None:
    fault("garbage", "*/append/*", count=None)
    failing(write_deals())
    [entry] = Ledger(str(home / "ledger")).entries(collection)
    assert (entry.upload.state, entry.upload.sends) == ("accepted", 1)
    assert entry.upload.id


@pytest.mark.slow
def test_a_platform_that_cannot_be_reached_leaves_no_doubt(
    failing: Failing, write_deals: WriteDeals, home: Path, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    monkeypatch.setenv("DEALCAST_PLATFORM_URL", "http://127.0.0.1:9")
    assert isinstance(failing(write_deals(), timezone="UTC"), PlatformUnavailable)
    assert Ledger(str(home / "ledger")).entries(collection) == [], "it was asked something small before anything was written down"
