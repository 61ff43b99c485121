"""Checks of a forecast's months: whether it would begin now, whether those that came are those asked for, what is odd about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from flows.delivery.lifecycle import Forecast
from flows.errors import Objection, StoppedByGuard
from flows.options import counted

NOT_INVOKED = "No forecast was invoked"
"""The beginning of a message where the forecast alone was stopped."""

_YEAR = 12
_NAMED = 12
"""Months that a sentence names."""


def check_first_month(newest_deal: Sequence[Any] | None, today: date) -> None:
    """Check that a forecast without a first month of the user's own begins in the running month or the next.

    Raises:
        StoppedByGuard: :func:`object_to_first_month` objects.
    """
    if objections := object_to_first_month(newest_deal, today):
        raise StoppedByGuard.at(NOT_INVOKED, objections)


def object_to_first_month(newest_deal: Sequence[Any] | None, today: date) -> list[Objection]:
    """The objection to a forecast that would begin earlier or later than now; it names the deal, its age, and the remedy.

    Args:
        newest_deal: date, line and column of the newest creation or closing in the data: the platform predicts from the month after
            it (D; A: that these two columns count). None where nobody knows: nothing is checked.
        today: the day in the collection's zone.
    """
    if newest_deal is None:
        return []
    moment, line, column = newest_deal
    newest, running = _number(str(moment)), today.year * _YEAR + today.month - 1
    if running - 1 <= newest <= running:
        return []
    if newest > running:
        why = f"since {column} in line {line} of the export is in {_month(newest)}, in the future"
        remedy = "Fix that deal in the CRM."
    else:
        age = (today - date.fromisoformat(str(moment)[:10])).days
        why = f"since the newest deal (line {line}, {column}) is of {_month(newest)}, {age} days ago"
        remedy = "Export again with newer deals."
    return [Objection(f"the forecast would begin in {_month(newest + 1)}, {why}", f"--first-month {_month(running)}", remedy)]


def judged(forecast: Forecast, wanted: Mapping[str, Any], made_on: date) -> Forecast:
    """``forecast`` with remarks on its months; one of other months than ``wanted`` is kept, and not read, so that no sum of it is told.

    Args:
        forecast: as it was downloaded.
        wanted: the arguments of its invocation: `horizon`, and `first_month` or None.
        made_on: the day of the invocation in the collection's zone.
    """
    if forecast.unread:
        return forecast
    months, first_month = [month for month, _ in forecast.months], wanted.get("first_month")
    if wrong := wrong_months(months, int(wanted["horizon"]), made_on, first_month=first_month):
        return replace(forecast, months=(), unread=f"forecast kept, not read: {'; '.join(wrong)}")
    return replace(forecast, notes=tuple(remarks(forecast.months, made_on)))


def wrong_months(months: Sequence[str], horizon: int, today: date, *, first_month: str | None = None) -> list[str]:
    """Say what keeps ``months`` (``YYYY-MM-DD``) from being ``horizon`` months in a row, from ``first_month``, or the running one, on."""
    numbers, running = sorted({_number(month) for month in months}), today.year * _YEAR + today.month - 1
    said = []
    if first_month is None and (past := [number for number in numbers if number < running]):
        said.append(f"{len(past)} of its months are past, from {_month(past[0])} on")
    if numbers and (holes := sorted(set(range(numbers[0], numbers[-1])) - set(numbers))):
        said.append(f"it has no prediction for {', '.join(map(_month, holes[:_NAMED]))}{' ...' if len(holes) > _NAMED else ''}")
    if numbers and first_month is not None and _month(numbers[0]) != first_month:
        said.append(f"it begins in {_month(numbers[0])}, {first_month} was asked for")
    if len(numbers) != horizon:
        said.append(f"it has {counted(len(numbers), 'month')}, {horizon} were asked for")
    return said


def remarks(predictions: Sequence[tuple[str, float]], today: date) -> list[str]:
    """Say what is odd about predictions of the right months: the running one, and negative revenue."""
    running = f"{today:%Y-%m}"
    said = []
    if running in [month[:7] for month, _ in predictions]:
        said.append(f"{running} is the running month: a part of its revenue is in the data already")
    if negative := [month[:7] for month, revenue in predictions if revenue < 0]:
        said.append(f"it has negative revenue for {', '.join(negative)}")
    return said


def _number(month: str) -> int:
    return int(month[:4]) * _YEAR + int(month[5:7]) - 1


def _month(number: int) -> str:
    return f"{number // _YEAR:04d}-{number % _YEAR + 1:02d}"
