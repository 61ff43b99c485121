"""Dates and times of any spelling as the platform's text, proven or left as they are.

The rules: a value with a zone or offset is an instant; one without is in the CRM's zone; both are told in the
collection's zone. A value without a time is a day, not an instant: it becomes its midnight and never moves. A local
time that a DST change repeats is taken as the earlier of the two; one that it skips moves forward to the first that
exists. Fractions of a second are cut. Two-digit years lie between 80 years ago and 19 years ahead. Numbers are spreadsheet
serials (1900 system) or Unix seconds or milliseconds, told apart by size. What fits none of this keeps its text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from flows.crm.values.cells import by_value, plain

Order = Literal["day-first", "month-first"]

_LEAP_YEAR = r"(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)"
_DAY = (
    r"(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    rf"|{_LEAP_YEAR}-02-29)"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_NAIVE = rf"^{_DAY}(?:[ T]{_CLOCK}(?::[0-5][0-9](?:\.[0-9]{{1,6}})?)?)?$"
_ZONED = rf"^{_DAY}[ T]{_CLOCK}:[0-5][0-9](?:\.[0-9]{{1,6}})?(?:Z|[+-][01][0-9]:?[0-5][0-9])$"

_TIME = (
    r"(?:(?:,? | at | um | à |T)(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:[.,]\d+)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?"
    r" ?(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
)
_ISO = re.compile(rf"(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}}){_TIME}", re.ASCII)
_NUMERIC = re.compile(rf"(?P<first>\d{{1,2}})(?P<sep>[-/.])(?P<other>\d{{1,2}})(?P=sep)(?P<year>\d{{4}}|\d{{2}}){_TIME}", re.ASCII)
_MONTH_FIRST = re.compile(rf"(?P<word>[^\W\d]{{3,}})\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year>\d{{4}}){_TIME}")
_DAY_FIRST = re.compile(
    rf"(?P<day>\d{{1,2}})(?:\.|st|nd|rd|th)?[ -](?:de )?(?P<word>[^\W\d]{{3,}})\.?,?[ -](?:de )?(?P<year>\d{{4}}|\d{{2}}){_TIME}"
)
_SERIAL = re.compile(r"(?P<serial>\d{5})(?:[.,](?P<fraction>\d+))?", re.ASCII)
_UNIX = re.compile(r"(?P<seconds>1\d{9})(?:\d{3})?", re.ASCII)
_SERIAL_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 -- a spreadsheet serial has no zone
_SERIALS = range(20_000, 80_000)  # 1954 to 2119


@dataclass(frozen=True, slots=True)
class Clock:
    """In which zones times are read and told, and when "now" is, for two-digit years."""

    crm: str
    collection: str
    now: datetime


def to_datetimes(column: pa.Array, clock: Clock, order: Callable[[], Order], *, days: bool = False) -> tuple[pa.Array, int]:
    """The column as ``yyyy-mm-ddTHH:MM:SS``, and how many cells could not be read and keep their text.

    ``order`` is asked only where a value needs it. With ``days`` a time of midnight means no time at all.
    """
    if column.null_count == len(column):
        return column, 0
    for convert in (_naive, _zoned):
        try:
            return convert(column, clock, days=days), 0
        except pa.ArrowInvalid:
            continue
    return _mixed(plain(column), clock, order, days=days)


def _mixed(column: pa.Array, clock: Clock, order: Callable[[], Order], *, days: bool) -> tuple[pa.Array, int]:
    odd = pc.invert(pc.fill_null(pc.or_(_fits(column, _NAIVE), _fits(column, _ZONED)), True))
    result = pc.replace_with_mask(column, odd, by_value(column.filter(odd), lambda text: to_iso(text, clock.now, order) or text))
    read = 0
    for pattern, convert in ((_NAIVE, _naive), (_ZONED, _zoned)):
        fits = pc.fill_null(_fits(result, pattern), False)
        count = pc.sum(fits).as_py() or 0
        if count:
            result = pc.replace_with_mask(result, fits, convert(result.filter(fits), clock, days=days))
            read += count
    return result, len(result) - result.null_count - read


def _fits(column: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(column, pattern)


def _naive(column: pa.Array, clock: Clock, *, days: bool) -> pa.Array:
    times = column.cast(pa.timestamp("us")).cast(pa.timestamp("s"), safe=False)
    length = pc.binary_length(column)
    if pc.any(pc.equal(length, 13)).as_py():
        raise pa.ArrowInvalid("an hour without minutes is no time")
    if clock.crm == clock.collection:
        return _text(times)
    lone = pc.less_equal(length, 10)
    if days:
        lone = pc.or_(lone, _at_midnight(times))
    here = pc.assume_timezone(times, clock.crm, ambiguous="earliest", nonexistent="latest")
    return _text(pc.if_else(lone, times, _told_in(here, clock.collection)))


def _zoned(column: pa.Array, clock: Clock, *, days: bool) -> pa.Array:
    instants = column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("s", "UTC"), safe=False)
    told = _told_in(instants, clock.collection)
    if days:
        utc = instants.cast(pa.timestamp("s"))
        told = pc.if_else(_at_midnight(utc), utc, told)
    return _text(told)


def _told_in(instants: pa.Array, zone: str) -> pa.Array:
    return pc.local_timestamp(instants.cast(pa.timestamp("s", zone)))


def _at_midnight(times: pa.Array) -> pa.Array:
    return pc.equal(times, pc.floor_temporal(times, unit="day"))


def _text(times: pa.Array) -> pa.Array:
    return pc.binary_replace_slice(times.cast(pa.string()), 10, 11, "T")


def to_iso(text: str, now: datetime, order: Callable[[], Order]) -> str | None:
    """One value in ISO 8601 (a day, a local time, or an instant), or None if it cannot be read surely."""
    text = " ".join(text.split())
    try:
        return _number(text) or _written(text, now, order)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> str | None:
    if found := _UNIX.fullmatch(text):
        return datetime.fromtimestamp(int(found["seconds"]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = _SERIAL.fullmatch(text)
    if found is None or int(found["serial"]) not in _SERIALS:
        return None
    time = _SERIAL_ZERO + timedelta(days=int(found["serial"]), seconds=round(float(f"0.{found['fraction'] or 0}") * 86_400))
    return time.isoformat() if found["fraction"] else time.date().isoformat()


def _written(text: str, now: datetime, order: Callable[[], Order]) -> str | None:
    if found := _ISO.fullmatch(text):
        return _iso(found, int(found["year"]), int(found["month"]), int(found["day"]))
    if found := _MONTH_FIRST.fullmatch(text) or _DAY_FIRST.fullmatch(text):
        return _iso(found, _year(found["year"], now), _months().get(found["word"].casefold(), 0), int(found["day"]))
    if found := _NUMERIC.fullmatch(text):
        first, other = int(found["first"]), int(found["other"])
        shown = order_shown_by(text)  # None: both orders say the same, or neither is a date
        day, month = (first, other) if shown and order() == "day-first" else (other, first)
        return _iso(found, _year(found["year"], now), month, day)
    return None


def order_shown_by(text: str) -> Order | Literal["either"] | None:
    """Which order of day and month a value proves; "either" for one that needs proof from elsewhere, None for one that needs none."""
    found = _NUMERIC.fullmatch(" ".join(text.split()))
    if found is None:
        return None
    first, other = int(found["first"]), int(found["other"])
    if max(first, other) > 31 or min(first, other) > 12 or 0 in {first, other} or first == other:
        return None
    return "day-first" if first > 12 else "month-first" if other > 12 else "either"


def _year(text: str, now: datetime) -> int:
    if len(text) == 4:
        return int(text)
    year = now.year // 100 * 100 + int(text)
    return year - 100 if year >= now.year + 20 else year + 100 if year < now.year - 80 else year


def _iso(found: re.Match[str], year: int, month: int, day: int) -> str:
    if found["hour"] is None:
        return datetime(year, month, day).date().isoformat()  # noqa: DTZ001 -- a day has no zone
    hour, half = int(found["hour"]), (found["half"] or "").casefold()
    if half and not 1 <= hour <= 12:
        raise ValueError(hour)
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    time = datetime(year, month, day, hour, int(found["minute"]), int(found["second"] or 0))  # noqa: DTZ001 -- the zone follows
    zone = found["zone"] or ""
    return time.isoformat() + (zone if zone[:1] in {"+", "-", ""} else "Z")


@cache
def _months() -> dict[str, int]:
    """The names and abbreviations of months, in the languages that CRMs are used in."""
    names = tomllib.loads((resources.files("flows.crm.values") / "words" / "months.toml").read_text("utf-8"))
    return {word: number for number, words in enumerate(names["months"], start=1) for word in words.split()}
