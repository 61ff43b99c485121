"""A POST and its record: what the ledger cannot take is not lost from the message, and a platform that is down is spared the file."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployments.sandbox import Sandbox
from flows.delivery import submit
from flows.delivery.backoff import SEND_JITTER, honor_retry_after, send_backoff
from flows.delivery.submit import require_new, send_once, send_upload
from flows.errors import FileTrouble, LockLost, OutcomeUnknown, PlatformUnavailable, PlatformUnreachable, Transient, UploadPostponed
from flows.ledger.store import HOLDER, Entry, Ledger, Sending
from flows.nostradamus import Nostradamus
from flows.settings import load_settings
from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Fault

Run = Callable[..., list[PlatformUnavailable]]


def test_an_acceptance_that_cannot_be_recorded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The intent stays in the ledger, so that the next run sends again, and people can find what was accepted."""
    recorded: list[str] = []
    monkeypatch.setattr(submit, "_RECORD_DELAYS", (0.0,))

    def record(sending: Sending) -> None:
        if sending.state == "accepted":
            raise OSError(errno.ENOSPC, "No space left on device")
        recorded.append(sending.state)

    with pytest.raises(FileTrouble, match=r"request-4711.*No space left"):
        send_once(None, record, lambda: "request-4711", what="append to acme", policy="resend")
    assert recorded == ["intended"]


def test_an_acceptance_is_recorded_once_the_ledger_can_be_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "_RECORD_DELAYS", (0.0, 0.0))
    tries: list[str] = []

    def record(sending: Sending) -> None:
        tries.append(sending.state)
        if len(tries) in (2, 3):
            raise OSError(errno.EIO, "Input/output error")

    assert send_once(None, record, lambda: "request-4711", what="append to acme", policy="resend").id == "request-4711"
    assert tries == ["intended", "accepted", "accepted", "accepted"]


def test_the_id_of_an_earlier_upload_is_no_acceptance(ledger: Ledger, collection: str, platform: Nostradamus) -> None:
    """As from a proxy that gives out an answer twice: what was never taken in would be seen as completed at once."""
    now = datetime.now(UTC)
    first = Sending(state="completed", intended_at=now, id="request-1", accepted_at=now, completed_at=now)
    ledger.write(_entry(collection, "first", ledger).model_copy(update={"upload": first}))
    entry = _entry(collection, "second", ledger)

    def send(identifier: str) -> Sending:
        found = ledger.read(collection, "second") or entry

        def record(upload: Sending) -> None:
            ledger.write(found.model_copy(update={"upload": upload}))

        return send_upload(ledger, found, record, lambda: identifier, platform=platform, settings=load_settings())

    with pytest.raises(PlatformUnreachable, match="id of an earlier one"):
        send("request-1")
    assert (known := ledger.read(collection, "second")) is not None
    assert (known.upload.state, known.upload.id, known.in_doubt) == ("unknown", None, True)
    assert send("request-2").id == "request-2"
    assert "`dealcast forget" in str(known.upload.reason)
    delete = entry.model_copy(update={"mode": "delete"})
    accepted = send_upload(ledger, delete, lambda _: None, lambda: "request-1", platform=platform, settings=load_settings())
    assert accepted.id == "request-1", "requests of another kind have an address of their own, and perhaps numbers"


@pytest.mark.parametrize(("word", "taken"), [("queued", True), ("in_progress", True), ("error", True), ("completed", False)])
def test_a_known_id_is_of_a_new_request_while_that_has_not_completed(word: str, taken: bool) -> None:
    """A platform that was set up anew numbers from one again."""
    now = datetime.now(UTC)
    earlier = [None, Sending(state="completed", intended_at=now, id="1", accepted_at=now, completed_at=now)]
    with nullcontext() if taken else pytest.raises(OutcomeUnknown, match="dealcast forget"):
        assert require_new("1", earlier, lambda _: word) == "1"


def test_a_request_of_a_known_id_is_followed_to_its_own_end(
    ledger: Ledger, collection: str, sandbox: Sandbox, fault: Fault, asked: Asked, platform: Nostradamus, write_deals: Callable[..., Path]
) -> None:
    """As the platform answers it: at work, so it is none that has completed."""
    now, csv = datetime.now(UTC), write_deals(3)
    fault("stuck", "*/append", "POST")
    request = platform.append(collection, csv).id
    first = Sending(state="completed", intended_at=now, id=request, accepted_at=now, completed_at=now)
    ledger.write(_entry(collection, "first", ledger).model_copy(update={"upload": first}))
    entry = _entry(collection, "second", ledger)
    sent = send_upload(ledger, entry, lambda _: None, lambda: request, platform=platform, settings=load_settings())
    assert (sent.state, sent.id, asked("GET", "*/append/*")) == ("accepted", request, 1)
    sandbox.control("DELETE", "faults")


@pytest.fixture
def ledger(home: Path) -> Ledger:
    return Ledger(str(home / "ledger"))


@pytest.fixture
def run(ledger: Ledger, collection: str, platform: Nostradamus, write_deals: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Run:
    """What a run does to send one file, each attempt as Prefect makes it; the errors of its attempts."""
    count = iter(range(1000))
    csv = write_deals(3)

    def attempts(
        content: str = "same",
        retries: int = 10,
        failed: Callable[[PlatformUnavailable], None] = lambda _: None,
        client: Callable[[], Nostradamus] = lambda: platform,
        **settings: Any,
    ) -> list[PlatformUnavailable]:
        number = next(count)
        monkeypatch.setattr(submit, "_this_run", lambda: f"run {number}")
        errors: list[PlatformUnavailable] = []
        for _ in range(retries + 1):
            entry = ledger.read(collection, content) or _entry(collection, content, ledger)

            def record(upload: Sending, entry: Entry = entry) -> None:
                ledger.write(entry.model_copy(update={"upload": upload}))

            try:
                send_upload(
                    ledger,
                    entry,
                    record,
                    lambda: client().append(collection, csv).id,
                    platform=client(),
                    settings=load_settings().model_copy(update=settings),
                )
                break
            except PlatformUnavailable as error:
                errors.append(error)
                failed(error)
                if not isinstance(error, Transient):
                    break
        return errors

    return attempts


def _entry(collection: str, fingerprint: str, ledger: Ledger) -> Entry:
    upload = Sending(state="unsent", intended_at=datetime.now(UTC))
    facts: dict[str, Any] = {"export": {}, "csv_sha256": "", "rows": 3, "quarantined": 0, "totals": {}, "created_at": datetime.now(UTC)}
    entry = Entry(fingerprint=fingerprint, collection=collection, mode="append", upload=upload, **facts)
    return entry.model_copy(update={"number": ledger.next_number(entry)})


DOWN = [("status", {"status": 503}), ("drop", {}), ("status_after_commit", {"status": 500}), ("status", {"status": 429})]


@pytest.mark.parametrize(("kind", "how"), DOWN)
def test_a_platform_that_takes_no_upload_gets_one_more_in_the_run(
    run: Run, fault: Fault, asked: Asked, kind: str, how: dict[str, int]
) -> None:
    """Though it lists collections; the second after the time that the setting says."""
    fault(kind, "*/append", "POST", count=None, **how)
    first, last = run(upload_backoff=75.0)
    assert isinstance(first, Transient)
    assert first.retry_after == 75.0
    assert isinstance(last, UploadPostponed)
    assert "each later run sends it once" in str(last)
    assert asked("POST", "*/append") == 2


@pytest.mark.parametrize("content", ["same", "other"])
def test_later_runs_send_it_once_and_then_more_rarely(run: Run, fault: Fault, asked: Asked, content: str) -> None:
    """Whether the export has changed meanwhile or not: POST is down, the listing is up."""
    fault("status", "*/append", "POST", status=503, count=None)
    sent = []
    for number in range(6):
        ended = run(f"{content} {number}" if content == "other" else content, retries=number < 2, upload_backoff=1000.0)
        assert ended
        sent.append(asked("POST", "*/append"))
    assert sent == [2, 3, 3, 3, 3, 3]


def test_the_wait_doubles_and_the_error_says_until_when(run: Run, fault: Fault, asked: Asked) -> None:
    fault("status", "*/append", "POST", status=503, count=None)
    for _ in range(6):
        run(upload_backoff=0.0)
    assert asked("POST", "*/append") == 7
    [error] = run(upload_backoff=10.0)
    assert isinstance(error, UploadPostponed)
    assert "7 uploads in a row" in str(error)
    assert "DEALCAST_UPLOAD_BACKOFF=0" in str(error)
    assert asked("POST", "*/append") == 7
    run(upload_backoff=0.0)
    [later] = run(upload_backoff=10.0)
    assert _wait(later) == 2 * _wait(error) == 10.0 * 2**5


@pytest.mark.parametrize("mode", ["append", "override", "delete"])
def test_nothing_of_any_kind_is_sent_once_another_holds_the_lock(ledger: Ledger, collection: str, platform: Nostradamus, mode: Any) -> None:
    """Asked once the intent is written: as a pause comes right before the POST."""
    sent: list[str] = []
    entry = _entry(collection, "paused", ledger).model_copy(update={"mode": mode})
    ledger.hold(collection, b"mine")

    def record(upload: Sending) -> None:
        ledger.write(entry.model_copy(update={"upload": upload}))
        ledger.put(collection, HOLDER, b"another's")

    def post() -> str:
        sent.append("sent")
        return "id"

    with pytest.raises(LockLost):
        send_upload(ledger, entry, record, post, platform=platform, settings=load_settings())
    assert sent == []
    ledger.let_go(collection)


AWAY: dict[str, tuple[str, dict[str, int]]] = {
    "503, asks for a second": ("status", {"status": 503, "retry_after": 1}),
    "refused": ("refused", {}),
    "502": ("status", {"status": 502}),
    "503": ("status", {"status": 503}),
    "503, asks for nothing": ("status", {"status": 503, "retry_after": 0}),
    "504": ("status", {"status": 504}),
    "429, asks for a second": ("status", {"status": 429, "retry_after": 1}),
    "taken in, 500": ("status_after_commit", {"status": 500}),
    "dropped": ("drop", {}),
}


@pytest.mark.parametrize("everything", [False, True], ids=["uploads", "everything"])
@pytest.mark.parametrize(("kind", "how"), sampled(AWAY, 2))
def test_an_outage_of_a_minute_costs_one_more_upload_at_most_and_ends_in_its_run(
    run: Run,
    fault: Fault,
    asked: Asked,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    how: dict[str, int],
    everything: bool,
) -> None:
    """It begins as the file goes out, and ends 60 s later, on a clock that the waits alone move, each as short as it can be."""
    for name in ("UPLOAD_BACKOFF", "SEND_RETRIES", "POLL_DELAY", "POLL_DELAY_MAX"):
        monkeypatch.delenv(f"DEALCAST_{name}", raising=False)
    settings, waits = load_settings(), iter(send_backoff(load_settings()))
    passed: list[float] = []
    monkeypatch.setattr("flows.delivery.backoff.interruptible_sleep", passed.append)
    nobody, there = Nostradamus("http://127.0.0.1:9", "token"), Nostradamus(sandbox.url, sandbox.token)

    def failed(error: PlatformUnavailable) -> None:
        if isinstance(error, Transient):
            honor_retry_after(error)
        passed.append(next(waits) * (1 - SEND_JITTER))
        if sum(passed) >= 60:
            sandbox.control("DELETE", "faults")

    if kind != "refused":
        fault(kind, "*/append", "POST", count=None, **how)
    if everything and kind != "refused":
        fault("status", "/api/collection", status=503, count=None)
    with nobody, there:
        errors = run(
            retries=settings.send_retries, failed=failed, client=lambda: nobody if kind == "refused" and sum(passed) < 60 else there
        )
    assert all(isinstance(error, Transient) for error in errors)
    assert sum(passed) >= 60
    assert asked("POST", "*/append") == (1 if kind == "refused" else 2)


def _wait(error: PlatformUnavailable) -> float:
    """Seconds between the two times that the error names: of the last upload, and from when on there may be another."""
    last, due = (datetime.fromisoformat(found) for found in re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", str(error)))
    return (due - last).total_seconds()


def test_what_did_not_go_out_is_tried_as_often_as_ever(run: Run, fault: Fault, asked: Asked) -> None:
    """The listing, asked first once an upload failed, is away for a while."""
    fault("status", "*/append", "POST", status=503)
    fault("status", "/api/collection", status=503, count=5)
    assert len(run()) == 6
    assert asked("POST", "*/append") == 2


def test_one_that_is_accepted_begins_the_count_anew(run: Run, fault: Fault, asked: Asked) -> None:
    for number in range(3):
        fault("status", "*/append", "POST", status=503)
        assert len(run(f"export {number}", upload_backoff=1000.0)) == 1
    assert asked("POST", "*/append") == 6
