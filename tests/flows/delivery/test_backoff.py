"""When to look again: soon after the platform is done, with few looks, and never later than the cap allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain, repeat

import pytest

from flows.delivery.backoff import JITTER, expected_seconds, is_alike, is_too_soon, is_transient, poll_backoff, send_backoff
from flows.errors import PlatformBusy, StillProcessing, Terminal
from flows.ledger.store import Sending
from flows.settings import Settings

PLAIN = Settings(poll_delay=1.0, poll_delay_max=60.0)


def looks(took: float, expected: float | None, *, late: float = 1.0, asking: float = 0.0) -> list[float]:
    """Seconds after acceptance at which looks at an upload that takes ``took`` are answered.

    Each delay is ``late`` times as long, and each look takes ``asking`` seconds itself.
    """
    waits = poll_backoff(PLAIN, expected)
    seen = []
    for moment in accumulate(wait * late + asking for wait in chain(waits, repeat(waits[-1]))):
        seen.append(moment)
        if moment - asking >= took:
            break
    return seen


def after_history(took: float, first: float, late: float) -> list[float]:
    """The looks of a sync after five that saw what each one saw, the first of them expecting ``first``."""
    for _ in range(5):
        first = looks(took, first, late=late)[-1]
    return looks(took, first, late=late)


LATE = [1 - JITTER, 1.0, 1 + JITTER]


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("took", [5, 8, 10, 12, 15, 20, 30, 60, 300, 1800])
def test_with_history_half_the_looks_of_one_each_second_see_the_end_within_a_tenth(took: float, late: float) -> None:
    times = after_history(took, took, late)
    assert len(times) <= took / 2
    assert times[-1] - took <= 0.1 * times[-1]


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("took", [5, 7, 10, 12, 15, 20, 60])
def test_from_the_third_sync_on_the_end_is_seen_within_a_tenth(took: float, late: float) -> None:
    """Though a look takes a moment itself, which each sync's history has in it, and the first sync has none."""
    seen: list[float] = []
    for number in range(6):
        usual = sorted(seen[-5:])[(len(seen[-5:]) - 1) // 2] if seen else None
        times = looks(took, usual, late=late, asking=0.12)
        seen.append(times[-1])
        assert number < 2 or (len(times) <= took / 2 and times[-1] - took <= 0.1 * times[-1])


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("took", [0.5, 5, 60, 300, 1800, 10_000])
def test_without_history_looks_are_a_second_or_a_tenth_apart(took: float, late: float) -> None:
    times = looks(took, None, late=late)
    assert times[-1] - took <= max(PLAIN.poll_delay * late, 0.1 * times[-1])
    assert len(times) <= (1.05 * took / 2 if took >= 60 else took / (1 - JITTER) + 1)


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("took", [5, 20, 100, 600])
@pytest.mark.parametrize("first", [0.25, 1, 4, 40])
def test_what_history_expects_comes_nearer_to_the_truth(took: float, first: float, late: float) -> None:
    """One slow night must not make every later sync wait as long: what is seen is what is expected next time."""
    expected = took * first
    for _ in range(100):
        expected = looks(took, expected, late=late)[-1]
    assert took <= expected <= took * 1.12


def took(*seconds: float) -> list[Sending | None]:
    """Uploads that took so many seconds, oldest first."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Sending(state="completed", intended_at=moment, accepted_at=moment, completed_at=moment + timedelta(seconds=each))
        for each in seconds
    ]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], None),
        ([4.0], 4.0),
        ([2.0, 28_800.0], 2.0),
        ([28_800.0], None),
        ([2.0, 2000.0], 2.0),
        ([9.0, 1.0, 5.0], 5.0),
        ([100.0, 1.0, 1.0, 1.0, 1.0, 1.0], 1.0),
    ],
)
def test_what_is_expected_is_what_the_platform_took_and_not_how_long_nobody_looked(history: list[float], expected: float | None) -> None:
    assert expected_seconds([None, *took(*history)], PLAIN) == expected


@pytest.mark.parametrize(
    ("elapsed", "expected", "soon"), [(0.1, None, True), (2, None, False), (7200, 28_800.0, False), (100, 28_800.0, True)]
)
def test_the_first_attempt_looks_unless_it_is_too_soon_and_always_when_the_deadline_is_over(
    elapsed: float, expected: float | None, soon: bool
) -> None:
    assert is_too_soon(datetime.now(UTC) - timedelta(seconds=elapsed), PLAIN, expected) is soon


def test_sends_are_repeated_later_and_later_up_to_the_cap() -> None:
    waits = send_backoff(PLAIN)
    assert waits[:3] == [1.0, 1.5, 2.25]
    assert waits == sorted(waits)
    assert waits[-1] == PLAIN.poll_delay_max
    assert sum(waits[: PLAIN.send_retries]) > 45


@pytest.mark.parametrize("took", [20, 100, 600])
def test_a_platform_that_is_suddenly_twice_as_fast_is_noticed_at_once(took: float) -> None:
    times = looks(took / 2, took)
    assert times[-1] - took / 2 <= 0.1 * times[-1]


@pytest.mark.parametrize("expected", [None, 0.0, 1.0, 30.0, 600.0, 86_400.0])
@pytest.mark.parametrize("elapsed", [0.0, 10.0, 5000.0])
def test_no_wait_is_longer_than_the_cap(expected: float | None, elapsed: float) -> None:
    waits = poll_backoff(PLAIN, expected, elapsed)
    assert all(0 < wait <= PLAIN.poll_delay_max for wait in waits)
    assert len(waits) <= 50, "prefect takes no more"


class _State:
    def __init__(self, data: object) -> None:
        self.data = data


@pytest.mark.parametrize(
    ("error", "again"), [(StillProcessing("x"), True), (PlatformBusy("x"), True), (ValueError(), False), (None, False)]
)
def test_only_a_transient_error_is_tried_again(error: object, again: bool) -> None:
    assert is_transient(None, None, _State(error)) is again
    assert not is_transient(None, None, _State(type("Interrupted", (Terminal, Exception), {})()))


@pytest.mark.parametrize(("rows", "others", "alike"), [(3, 9_000, True), (0, 20_000, True), (3, 20_001, False), (10**6, 5 * 10**5, True)])
def test_a_first_sync_of_everything_tells_nothing_of_the_small_ones_after_it(rows: int, others: int, alike: bool) -> None:
    assert is_alike(rows, others) is is_alike(others, rows) is alike
