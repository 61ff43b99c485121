"""The time between two attempts: soon after the platform is done, with few polls, and never later than the cap allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain, repeat
from types import SimpleNamespace

import pytest

from flows.delivery.backoff import POLL_JITTER, SEND_JITTER, honor_retry_after, is_transient, poll_backoff, send_backoff
from flows.errors import PlatformBusy, StillProcessing, Terminal
from flows.ledger.store import Sending
from flows.ledger.usual_time import usual_seconds
from flows.settings import Settings

PLAIN = Settings(poll_delay=1.0, poll_delay_max=60.0)


def polls(took: float, *, stretched: float = 1.0) -> list[float]:
    """Seconds after acceptance at which an upload that takes ``took`` is polled, each delay ``stretched`` by the jitter."""
    waits = poll_backoff(PLAIN)
    seen = []
    for moment in accumulate(wait * stretched for wait in chain(waits, repeat(waits[-1]))):
        seen.append(moment)
        if moment >= took:
            break
    return seen


@pytest.mark.parametrize("stretched", [1 - POLL_JITTER, 1.0, 1 + POLL_JITTER])
@pytest.mark.parametrize("took", [0.5, 5, 10.5, 60, 120, 300, 1800, 10_000])
def test_the_end_is_seen_within_a_second_or_a_tenth_of_the_time_waited(took: float, stretched: float) -> None:
    times = polls(took, stretched=stretched)
    assert times[-1] - took <= max(PLAIN.poll_delay * stretched, 0.1 * times[-1])


@pytest.mark.parametrize(("took", "share"), [(60, 1 / 2), (120, 1 / 3), (300, 1 / 5), (1800, 1 / 18)])
def test_a_long_wait_takes_a_part_of_the_polls_of_one_each_second(took: float, share: float) -> None:
    assert len(polls(took, stretched=1 - POLL_JITTER)) <= took * share


def test_by_default_an_outage_of_a_minute_is_ridden_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """By each step that asks, however its delays are shortened, and by an upload that went out."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DEALCAST_{name.upper()}", raising=False)
    settings = Settings()
    assert sum(send_backoff(settings)[: settings.send_retries]) * (1 - SEND_JITTER) > 60
    assert settings.upload_backoff > 60


def test_the_delay_is_a_tenth_of_the_time_waited_between_its_limits() -> None:
    waits = poll_backoff(PLAIN)
    for waited, wait in zip(accumulate(waits, initial=0.0), waits, strict=False):
        assert wait == pytest.approx(min(max(1.0, waited / 10), 60.0))
    assert len(waits) == 50, "prefect takes no more"
    assert set(poll_backoff(Settings(poll_delay=5.0, poll_delay_max=2.0))) == {2.0}
    assert max(poll_backoff(Settings(poll_delay=1.0, poll_delay_max=3.0))) == 3.0


@pytest.mark.parametrize(("attempt", "waits"), [(1, [7.0]), (2, [7.0]), (3, [])])
def test_a_wait_that_is_asked_for_is_kept_before_each_further_attempt(
    monkeypatch: pytest.MonkeyPatch, attempt: int, waits: list[float]
) -> None:
    """Of a task with two retries: the last attempt has none after it."""
    waited: list[float] = []
    context = SimpleNamespace(task_run=SimpleNamespace(run_count=attempt), task=SimpleNamespace(retries=2))
    monkeypatch.setattr("flows.delivery.backoff.TaskRunContext", SimpleNamespace(get=lambda: context))
    monkeypatch.setattr("flows.delivery.backoff.say", lambda *_: None)
    monkeypatch.setattr("flows.delivery.backoff.interruptible_sleep", waited.append)
    honor_retry_after(PlatformBusy("busy", retry_after=7.0))
    assert waited == waits


def took(*seconds: float) -> list[Sending | None]:
    """Uploads that took so many seconds, oldest first."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Sending(state="completed", intended_at=moment, accepted_at=moment, completed_at=moment + timedelta(seconds=each))
        for each in seconds
    ]


@pytest.mark.parametrize(
    ("history", "usual"),
    [([], None), ([4.0], 4.0), ([2.0, 28_800.0], 2.0), ([9.0, 1.0, 5.0], 5.0), ([100.0, 1.0, 1.0, 1.0, 1.0, 1.0], 1.0)],
)
def test_the_usual_time_is_what_the_platform_took_for_the_last_few(history: list[float], usual: float | None) -> None:
    assert usual_seconds([None, *took(*history)]) == usual


def test_sends_are_repeated_later_and_later_up_to_the_cap() -> None:
    waits = send_backoff(PLAIN)
    assert waits[:3] == [1.0, 1.5, 2.25]
    assert waits == sorted(waits)
    assert waits[-1] == PLAIN.poll_delay_max
    assert sum(waits[: PLAIN.send_retries]) > 45


class _State:
    """A Prefect state, of which the condition reads the data."""

    def __init__(self, data: object) -> None:
        self.data = data


@pytest.mark.parametrize(
    ("error", "again"), [(StillProcessing("x"), True), (PlatformBusy("x"), True), (ValueError(), False), (None, False)]
)
def test_only_a_transient_error_is_tried_again(error: object, again: bool) -> None:
    assert is_transient(None, None, _State(error)) is again
    assert not is_transient(None, None, _State(type("Interrupted", (Terminal, Exception), {})()))
