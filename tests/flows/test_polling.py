"""When to look again: soon after the platform is done, with few looks, and never later than the cap allows."""

from __future__ import annotations

from itertools import accumulate, chain, repeat

import pytest

from flows.errors import PlatformBusy, StillProcessing, Terminal
from flows.polling import JITTER, delays, is_transient
from flows.settings import Settings

PLAIN = Settings(poll_delay=1.0, poll_delay_max=60.0)


def looks(took: float, expected: float | None, *, late: float = 1.0) -> list[float]:
    """Seconds after acceptance at which an upload that takes ``took`` is looked at; each delay is ``late`` times as long."""
    waits = delays(PLAIN, expected)
    times = accumulate((wait * late for wait in chain(waits, repeat(waits[-1]))), initial=0.0)
    seen = []
    for moment in times:
        seen.append(moment)
        if moment >= took:
            return seen
    return seen


@pytest.mark.parametrize("late", [1.0, 1 + JITTER])
@pytest.mark.parametrize("took", [0.5, 10, 100, 1000, 10_000])
def test_without_history_few_looks_see_the_end_soon(took: float, late: float) -> None:
    times = looks(took, None, late=late)
    assert times[-1] - took <= max(1.5, 0.15 * took, 0.0)
    assert len(times) <= 35 + took / 60


@pytest.mark.parametrize("late", [1.0, 1 + JITTER])
@pytest.mark.parametrize("took", [5, 20, 100, 600])
@pytest.mark.parametrize("first", [0.25, 1, 4, 40])
def test_what_history_expects_comes_nearer_to_the_truth(took: float, first: float, late: float) -> None:
    """One slow night must not make every later sync wait as long: what is seen is what is expected next time."""
    expected = took * first
    for _ in range(30):
        expected = looks(took, expected, late=late)[-1]
    assert took <= expected <= max(took * 1.25, took + 1.5)


@pytest.mark.parametrize("expected", [None, 0.0, 1.0, 30.0, 600.0, 86_400.0])
@pytest.mark.parametrize("elapsed", [0.0, 10.0, 5000.0])
def test_no_wait_is_longer_than_the_cap(expected: float | None, elapsed: float) -> None:
    waits = delays(PLAIN, expected, elapsed)
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
    assert not is_transient(None, None, _State(type("Ended", (Terminal, Exception), {})()))
