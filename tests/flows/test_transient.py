"""What the platform cannot do now is tried again; what it will never do is not."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.errors import DeadlinePassed, OutcomeUnknown, PlatformBusy, PlatformRefused, PlatformUnreachable, UnexpectedAnswer
from flows.ledger import Ledger

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


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *((method, path, status) for method, path in PLACES for status in (429, 503)),
        *(("POST", "*/append", status) for status in (500, 502, 504)),
    ],
)
def test_an_answer_that_asks_for_a_retry_gets_it(
    sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, held: Held, method: str, path: str, status: int
) -> None:
    fault("status", path, method, status=status, count=2)
    state = sync(write_deals(3))
    assert state.is_completed(), state.message
    assert len(held()) == 3
    assert len(state.result().forecast.months) == 3
    posts = {"POST": 3}.get(method, 1)
    assert asked("POST", "*/append") == (posts if path == "*/append" else 1)
    assert asked("POST", "/api/invocation") == (posts if path == "/api/invocation" else 1)


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize(("method", "path"), [("POST", "*/append"), ("GET", "*/append/*"), ("POST", "/api/invocation")])
def test_retry_after_is_obeyed(sync: Sync, write_deals: WriteDeals, fault: Fault, form: str, method: str, path: str) -> None:
    """At least as long as asked; a date has whole seconds."""
    wait = "1" if form == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    fault("status", path, method, status=429, retry_after=wait)
    started = time.time()
    until = started + 1 if form == "seconds" else datetime.strptime(wait, "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=UTC).timestamp()
    assert sync(write_deals()).is_completed()
    assert time.time() >= until


def test_a_retry_after_that_no_attempt_would_follow_is_not_waited_for(
    failing: Failing, write_deals: WriteDeals, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    fault("status", "*/append", "POST", status=429, retry_after=60)
    started = time.monotonic()
    assert isinstance(failing(write_deals()), PlatformBusy)
    assert time.monotonic() - started < 50


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(
    failing: Failing, write_deals: WriteDeals, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_DEADLINE", "2")
    fault("status", "*/append/*", status=429, retry_after=60, count=None)
    started = time.monotonic()
    assert isinstance(failing(write_deals()), DeadlinePassed)
    assert time.monotonic() - started < 50


def test_a_retry_after_that_is_nonsense_is_no_obstacle(sync: Sync, write_deals: WriteDeals, fault: Fault) -> None:
    fault("status", "*/append", "POST", status=503, retry_after="in a while")
    assert sync(write_deals()).is_completed()


def test_a_send_is_not_tried_for_ever(failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked) -> None:
    fault("status", "*/append", "POST", status=503, count=None)
    error = failing(write_deals())
    assert isinstance(error, PlatformBusy)
    assert error.exit_code == 6
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (5, 0)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 413, 415, 422])
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


def test_a_platform_that_is_down_ends_in_one_message(failing: Failing, write_deals: WriteDeals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_PLATFORM_URL", "http://127.0.0.1:9")
    error = failing(write_deals())
    assert isinstance(error, PlatformUnreachable)
    assert error.exit_code == 6
    assert "127.0.0.1:9 cannot be reached" in str(error)
    assert "nothing was sent" in str(error)
    assert "DEALCAST_PLATFORM_URL" in str(error)


def test_an_unknown_collection_is_named_with_those_that_exist(
    failing: Failing, write_deals: WriteDeals, collection: str, asked: Asked
) -> None:
    error = failing(write_deals(), collection="no-such-collection")
    assert error.exit_code == 5
    assert "no-such-collection" in str(error)
    assert collection in str(error)
    assert "dealcast collections create" in str(error)
    assert asked("POST", "*/append") == 0


@pytest.mark.parametrize("kind", ["drop", "drop_unread", "drop_after_commit", "half", "no_id", "garbage", "status_after_commit"])
def test_an_append_without_a_usable_answer_is_sent_again_and_merges(
    sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, held: Held, kind: str
) -> None:
    fault(kind, "*/append", "POST")
    assert sync(write_deals(3)).is_completed()
    assert len(held()) == 3
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (2, 1)


@pytest.mark.parametrize("kind", ["drop", "drop_after_commit", "half", "no_id", "garbage"])
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


@pytest.mark.parametrize("kind", ["drop", "half", "garbage", "no_id", "slow", "delay"])
@pytest.mark.parametrize("path", ["*/append/*", "/api/invocation/*"])
def test_a_look_that_went_wrong_is_repeated_or_ends_clearly(
    sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, kind: str, path: str
) -> None:
    """A GET that got no whole answer is repeated; an answer that cannot be read ends the run, with the body quoted."""
    fault(kind, path, seconds=0.3)
    state = sync(write_deals())
    if kind in ("garbage", "no_id"):
        error = state.result(raise_on_failure=False)
        assert isinstance(error, UnexpectedAnswer)
        assert "is not the documented" in str(error)
        assert sync(write_deals()).is_completed(), "a later run goes on where it stood"
    else:
        assert state.is_completed(), state.message
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 1)


@pytest.mark.parametrize("form", ["json", "csv", "xlsx"])
def test_a_result_that_cannot_be_read_is_not_kept(
    failing: Failing, sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, home: Path, form: str
) -> None:
    fault("garbage", f"/api/invocation/*/{form}")
    error = failing(write_deals())
    assert isinstance(error, UnexpectedAnswer)
    assert form in str(error)
    assert list(home.glob("forecasts/*/forecast.*")) == []
    assert sync(write_deals()).is_completed()
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 1)


@pytest.mark.parametrize(
    "body",
    [
        "month,revenue\n2025-04-01,1.0\n",
        "month,revenue\n2025-04-01,1\n2025-05-01,2\n2025-06-01,3\n",
        "month,revenue\n",
        "month,revenue\n2025-04-01,nan\n2025-05-01,nan\n2025-06-01,nan\n",
        "Monat,Umsatz\n2025-04-01,1\n",
    ],
)
def test_formats_that_disagree_are_not_kept(failing: Failing, write_deals: WriteDeals, fault: Fault, home: Path, body: str) -> None:
    fault("garbage", "/api/invocation/*/csv", body=body)
    error = failing(write_deals())
    assert isinstance(error, UnexpectedAnswer)
    assert "csv" in str(error)
    assert list(home.glob("forecasts/*/forecast.*")) == []


@pytest.mark.parametrize("path", ["/api/collection", "*/append/*", "/api/invocation/*/json"])
def test_a_redirect_is_not_followed(failing: Failing, write_deals: WriteDeals, fault: Fault, path: str) -> None:
    fault("redirect", path, location="http://127.0.0.1:9/elsewhere", count=None)
    error = failing(write_deals())
    assert isinstance(error, UnexpectedAnswer)
    assert "redirect to 127.0.0.1" in str(error)


def test_the_ledger_names_the_request_before_it_is_waited_for(
    failing: Failing, write_deals: WriteDeals, fault: Fault, collection: str, home: Path
) -> None:
    fault("garbage", "*/append/*", count=None)
    failing(write_deals())
    [entry] = Ledger(str(home / "ledger")).entries(collection)
    assert (entry.upload.state, entry.upload.sends) == ("accepted", 1)
    assert entry.upload.id
