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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from expectations.formats import holds
from flows.crm.values.cells import by_value, plain, typed
from flows.crm.values.zones import GREENWICH, in_zone, offset_named

Order = Literal["day-first", "month-first", "year-first"]
ORDERS: tuple[Order, ...] = ("day-first", "month-first", "year-first")

_YEAR = r"[1-9][0-9]{3}"
_LEAP = r"(?:0[48]|[2468][048]|[13579][26])"
_DAY = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    rf"|(?:[1-9][0-9]{_LEAP}|(?:[2468][048]|[13579][26])00)-02-29)"
)
_HOUR = r"(?:[01][0-9]|2[0-3])"
_REST = r":[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_NAIVE = rf"^{_DAY}(?:[ T]{_HOUR}{_REST})?$"
_ZONED = rf"^{_DAY}[ T]{_HOUR}(?:{_REST})?(?:Z|[+-]{_HOUR}(?::?[0-5][0-9])?)$"
"""The years that Arrow reads, from 1000 on: a cell is read alike whether or not all of its column can be read at once."""

_WHOLE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?(?: ?(?:Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?))?$"
_PLAIN_LENGTH = len("2024-05-01T08:00:00")

_BEFORE_A_TIME = r"at|um|kl\.?|klo|à|às|as|a las|alle(?: ore)?|ore|om|o(?: godz\.)?|в|v|saat"
_TIME = (
    rf"(?:(?:,? (?:(?:{_BEFORE_A_TIME}) )?|T)(?P<hour>\d{{1,2}})[:.h](?P<minute>\d{{2}})(?:[:.](?P<second>\d{{2}})(?:[.,]\d+)?)?"
    r"(?: ?(?P<half>[AaPp])\.? ?[Mm]\.?| Uhr)?)?"
    r" ?(?P<zone>Z|(?:UTC|GMT)?[+-]\d{2}(?::?\d{2})?|[A-Z]{2,5})?"
)
_LONGEST = 200
"""Characters of a date: a longer text is none, and patterns take long over it."""

_ISO = re.compile(rf"(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}}){_TIME}", re.ASCII)
_NUMERIC = re.compile(rf"(?P<first>\d{{1,2}})(?P<sep>[-/.])(?P<other>\d{{1,2}})(?P=sep)(?P<last>\d{{4}}|\d{{2}})\.?{_TIME}", re.ASCII)
_MONTH_FIRST = re.compile(rf"(?P<word>[^\W\d]{{3,}})\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year>\d{{4}}){_TIME}")
_DAY_FIRST = re.compile(
    rf"(?P<day>\d{{1,2}})(?:\.|st|nd|rd|th)?[ -](?:de )?(?P<word>[^\W\d]{{3,}})\.?,?[ -](?:de )?"
    rf"(?P<year>\d{{4}}|\d{{2}})(?: [\u0433r]\.)?{_TIME}"
)
_WORD_WITHIN = re.compile(rf"(?P<year>\d{{4}})(?:-|\.? )(?P<word>[^\W\d]{{3,}})\.?[- ](?P<day>\d{{1,2}})\.?{_TIME}")
_COMPACT = re.compile(
    r"(?P<year>(?:19|20)\d{2})(?P<month>\d{2})(?P<day>\d{2})(?:T?(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2}))?(?P<half>)(?P<zone>Z)?",
    re.ASCII,
)
_SIGNED = re.compile(r"^(\d{4})[年년.] ?(\d{1,2})[月월.] ?(\d{1,2})[日일.]? ?")
_CLOCK = re.compile(r"(\d{1,2})[時时시点點](?: ?(\d{1,2})[分분](?: ?(\d{1,2})[秒초])?)?")
_HALVES = re.compile(r"(?:(上午|午前|오전)|下午|午後|오후) ?(\d{1,2}:\d{2}(?::\d{2})?)")
_EAST_DAY = re.compile(
    r" ?(?:[(\uff08][月火水木金土日월화수목금토](?:曜日?|요일)?[)\uff09]|[月火水木金土日]曜日?"
    r"|(?:星期|周|週)[一二三四五六日天]|[월화수목금토일]요일)"
)
_ORDINAL = re.compile(r"(?<=\d)(?:er|[º°ª])(?= )")
_LEADING = re.compile(r"(?P<weekday>[^\W\d]{2,})(?:\.,?|,)? (?=\S)")
_ARTICLE = re.compile(r"^(?:den|le|el|the|il) (?=\d)", re.IGNORECASE)
_HALF_ALONE = re.compile(r"(?<=[ T])(\d{1,2})(?= ?[AaPp]\.? ?[Mm]\.?$)")
_SHORT_OFFSET = re.compile(r"(?<=UTC|GMT)([+-])(\d)(?=:|$)")
_UNIX_DATE = re.compile(r"^([A-Z][a-z]{2}) (\d{1,2}) (\d\d:\d\d:\d\d) ([A-Z]{2,5}) (\d{4})$")
"""As the Unix command `date` writes it: the year behind the zone."""

_HOUR_ALONE = re.compile(r"(?<=\d[T ]\d\d)(?=Z$|[+-]\d\d(?::?\d\d)?$)")
_IN_FIGURES = re.compile(r"(?!\d{4}\. )[\d/.:, -]+(?:(?<=:\d\d) ?[AaPp][Mm])?", re.ASCII)
_SPACED = re.compile(r"^(\d{1,2})\. (\d{1,2})\. (?=\d{2})", re.ASCII)
_BEHIND_OFFSET = re.compile(r"((?:[+-]\d{2}:?\d{2}|Z)) ?(?:\([^()]*\)|\[[\w/+-]+\])$", re.ASCII)
"""The zone's name behind its offset, as JavaScript and Java write it."""

_LETTERS = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp]\.? ?[Mm]\.?)? ?(?P<zone>[A-Z]{2,5})$", re.ASCII)

_SERIAL = re.compile(r"(?P<serial>\d{5})(?:[.,](?P<fraction>\d+))?", re.ASCII)
_UNIX = re.compile(r"(?P<seconds>1\d{9})(?:\d{3}){0,3}(?:\.\d+)?", re.ASCII)
_SERIAL_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 -- a spreadsheet serial has no zone
_SERIALS = range(20_000, 80_000)  # 1954 to 2119

_NONE = re.compile(
    r"0(?:\.0+)?|0{8}|00?:00(?::00)?|(?:0001-01-01|0+(?P<sign>[-/.])0+(?P=sign)0+|1900[-/.]0?1[-/.]00?|00?[-/.]0?1[-/.](?:1900|00)|0?1[-/.]00?[-/.](?:1900|00))"
    r"(?:[ T]00?:00(?::00(?:\.0+)?)?(?:Z|\+00(?::?00)?)?)?",
    re.ASCII,
)
NO_DAYS = ("1899-12-30", "1899-12-31", "1900-01-01", "1970-01-01")
"""The zeros of databases, spreadsheets and programming languages: written where there is no date."""

_AFTER_NO_DAYS = datetime(1970, 1, 2)  # noqa: DTZ001 -- compared with times of no zone; made a scalar later, which imports pandas


Readings = dict[Order, tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Clock:
    """In which zones times are read and told, and when "now" is, for two-digit years; ``letters`` have the zones that the user says.

    ``serials`` takes the ``header`` of a column with a spreadsheet's day numbers.
    """

    crm: str
    collection: str
    now: datetime
    letters: Mapping[str, str] = field(default_factory=dict)
    header: str = ""
    serials: set[str] = field(default_factory=set)


def to_datetimes(column: pa.Array, clock: Clock, order: Callable[[str], Order], *, days: bool = False) -> tuple[pa.Array, int]:
    """The column as ``yyyy-mm-ddTHH:MM:SS``, and how many cells could not be read and keep their text; a zero for a date is null.

    ``order`` is asked only for a value that needs it. With ``days`` a time of midnight means no time at all.
    """
    if column.null_count == len(column):
        return column, 0
    for convert in (_without_zone, _with_zone):
        try:
            return convert(column, clock, days=days), 0
        except pa.ArrowInvalid:
            continue
    return _mixed(plain(column), clock, order, days=days)


def in_platform_form(column: pa.Array, clock: Clock) -> pa.Array:
    """The column with each whole date and time of ISO 8601 as ``yyyy-mm-ddTHH:MM:SS``; any other text stays as it is.

    A fraction is cut, an offset told in the collection's zone, and a blank in place of the T makes no difference.
    """
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    if longest <= _PLAIN_LENGTH and clock.crm == clock.collection and not holds(pa.chunked_array([column]), b" "):
        return column
    fits = pc.fill_null(_fits(column, _WHOLE), False)
    read, _ = to_datetimes(column.filter(fits), clock, lambda _: "year-first")
    return pc.replace_with_mask(column, fits, pc.coalesce(read, column.filter(fits)))


def _mixed(column: pa.Array, clock: Clock, order: Callable[[str], Order], *, days: bool) -> tuple[pa.Array, int]:
    odd = pc.invert(pc.fill_null(pc.or_(_fits(column, _NAIVE), _fits(column, _ZONED)), True))
    texts = pc.replace_with_mask(column, odd, by_value(column.filter(odd), lambda text: to_iso(text, clock, order) or text))
    result, read = texts, 0
    for pattern, convert in ((_NAIVE, _without_zone), (_ZONED, _with_zone)):
        fits = pc.fill_null(_fits(texts, pattern), False)
        count = pc.sum(fits).as_py() or 0
        if count:
            result = pc.replace_with_mask(result, fits, convert(texts.filter(fits), clock, days=days))
            read += count
    return result, len(texts) - texts.null_count - read


def _fits(column: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(column, pattern)


def _without_zone(column: pa.Array, clock: Clock, *, days: bool) -> pa.Array:
    times = column.cast(pa.timestamp("us")).cast(pa.timestamp("s"), safe=False)
    length = pc.binary_length(column)
    if pc.any(pc.equal(length, 13)).as_py():
        raise pa.ArrowInvalid("an hour without minutes is no time")
    if clock.crm == clock.collection:
        return _text(times, times, column)
    lone = pc.less_equal(length, 10)
    if days:
        lone = pc.or_(lone, _at_midnight(times))
    here = in_zone(times, clock.crm)
    return _text(pc.if_else(lone, times, _told_in(here, clock.collection)), times, column)


def _with_zone(column: pa.Array, clock: Clock, *, days: bool) -> pa.Array:
    instants = column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("s", "UTC"), safe=False)
    told, utc = _told_in(instants, clock.collection), instants.cast(pa.timestamp("s"))
    if days:
        told = pc.if_else(_at_midnight(utc), utc, told)
    return _text(told, utc, column)


def _told_in(instants: pa.Array, zone: str) -> pa.Array:
    return pc.local_timestamp(instants.cast(pa.timestamp("s", zone)))


def _at_midnight(times: pa.Array) -> pa.Array:
    return pc.equal(times, pc.floor_temporal(times, unit="day"))


def _text(times: pa.Array, written: pa.Array, column: pa.Array) -> pa.Array:
    """The times as text, null where what was ``written`` is no date. Raises pa.ArrowInvalid for a year before 1000 in ``column``."""
    text = pc.binary_replace_slice(times.cast(pa.string()), 10, 11, "T")
    if not pc.less(pc.min(written), pa.scalar(_AFTER_NO_DAYS, pa.timestamp("s"))).as_py():
        return text
    if pc.any(pc.starts_with(column, "0")).as_py():
        raise pa.ArrowInvalid("a year before 1000 is a zero for a date, or read by nobody")
    days = pc.utf8_slice_codeunits(written.cast(pa.string()), 0, 10)
    return pc.if_else(pc.is_in(days, pa.array(NO_DAYS)), None, text)


def to_iso(text: str, clock: Clock, order: Callable[[str], Order]) -> str | None:
    """One value in ISO 8601 (a day, a local time, or an instant), or None if it cannot be read surely."""
    if len(text) > _LONGEST:
        return None
    weekdays, text = _weekdays_said(text), as_compared(text)
    if _NONE.fullmatch(text):
        return NO_DAYS[0]
    try:
        read = _number(text, clock) or _written(text, clock, order)
    except (ValueError, OverflowError):
        return None
    return read if read is None or weekdays is None or date.fromisoformat(read[:10]).weekday() in weekdays else None


def _number(text: str, clock: Clock) -> str | None:
    if found := _UNIX.fullmatch(text):
        return datetime.fromtimestamp(int(found["seconds"]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = _SERIAL.fullmatch(text)
    if found is None or int(found["serial"]) not in _SERIALS:
        return None
    clock.serials.add(clock.header)
    time = _SERIAL_ZERO + timedelta(days=int(found["serial"]), seconds=round(float(f"0.{found['fraction'] or 0}") * 86_400))
    return time.isoformat() if found["fraction"] else time.date().isoformat()


def _written(text: str, clock: Clock, order: Callable[[str], Order]) -> str | None:
    if found := _ISO.fullmatch(text) or _COMPACT.fullmatch(text):
        return _iso(found, clock, int(found["year"]), int(found["month"]), int(found["day"]))
    if found := _MONTH_FIRST.fullmatch(text) or _DAY_FIRST.fullmatch(text) or _WORD_WITHIN.fullmatch(text):
        month = _months().get(found["word"].casefold().replace("\u0307", ""), 0)  # a dot that a Turkish capital leaves behind
        day = date(_year(found["year"], clock.now), month, int(found["day"]))
        return _iso(found, clock, day.year, day.month, day.day)
    found = _NUMERIC.fullmatch(text)
    return _in_figures(found, clock, readings_of(text, clock.now), order) if found else None


def _in_figures(found: re.Match[str], clock: Clock, readings: Readings, order: Callable[[str], Order]) -> str | None:
    if any("-".join(reading) in {*NO_DAYS, "0001-01-01"} for reading in readings.values()):
        return NO_DAYS[0]
    chosen = "day-first" if same_both_ways(readings) else order(found[0]) if readings else None
    return _iso(found, clock, *(int(part) for part in readings[chosen])) if chosen in readings else None


def letters_behind(text: str) -> str | None:
    """The letters of a zone that stand behind a time, where they can be no zone's but one that the user names; None if there are none."""
    found = _LETTERS.search(as_compared(text))
    return found["zone"] if found and found["zone"] not in {"AM", "PM", *GREENWICH} else None


def as_compared(text: str) -> str:
    """A date's text in the one spelling in which it is read and its order told: without weekday, all languages' signs as `-` and `:`."""
    if _IN_FIGURES.fullmatch(text):
        return _SPACED.sub(r"\1.\2.", " ".join(text.split()))
    text = " ".join(typed(text).split())
    if _weekdays_said(text) is not None:
        text = text[_LEADING.match(text).end() :]  # type: ignore[union-attr] # a weekday was found there
    text = _ORDINAL.sub("", _ARTICLE.sub("", _UNIX_DATE.sub(r"\1 \2 \5 \3 \4", text)))
    text = _SIGNED.sub(r"\1-\2-\3 ", _EAST_DAY.sub("", text) if not text.isascii() else text).rstrip()
    text = _CLOCK.sub(lambda found: ":".join([found[1], f"{int(found[2] or 0):02d}", *([found[3]] if found[3] else [])]), text)
    text = _HALVES.sub(lambda found: f"{found[2]} {'AM' if found[1] else 'PM'}", text)
    text = _HOUR_ALONE.sub(":00", _BEHIND_OFFSET.sub(r"\1", _HALF_ALONE.sub(r"\1:00", text)))
    return _SPACED.sub(r"\1.\2.", _SHORT_OFFSET.sub(r"\g<1>0\2", text))


def _weekdays_said(text: str) -> frozenset[int] | None:
    """The weekdays that the word at the head of a date may mean, Monday being 0; None where it is none, or a month as well."""
    found = None if text[:1].isdigit() else _LEADING.match(" ".join(typed(text).split()))
    word = found["weekday"].casefold().replace("\u0307", "") if found else ""
    return None if word in _months() else _weekdays().get(word)


def readings_of(text: str, now: datetime) -> Readings:
    """The readings of a date in figures, one for each order that its figures allow: year, month and day; none for any other text.

    Two figures in front can be a year only where two stand at the end as well.
    """
    found = _NUMERIC.fullmatch(as_compared(text))
    if found is None:
        return {}
    first, other, last = found["first"], found["other"], found["last"]
    parts: dict[Order, tuple[str, str, str]] = {"day-first": (last, other, first), "month-first": (last, first, other)}
    if len(last) == len(first) == 2:
        parts["year-first"] = (first, other, last)
    return {
        order: (f"{_year(year, now):04d}", f"{int(month):02d}", f"{int(day):02d}")
        for order, (year, month, day) in parts.items()
        if 1 <= int(month) <= 12 and 1 <= int(day) <= 31
    }


def same_both_ways(readings: Readings) -> bool:
    """True if day and month are the same number, and nothing else is in doubt."""
    return {"day-first", "month-first"} <= set(readings) and len(set(readings.values())) == 1


def _year(text: str, now: datetime) -> int:
    if len(text) == 4:
        return int(text)
    year = now.year // 100 * 100 + int(text)
    return year - 100 if year >= now.year + 20 else year + 100 if year < now.year - 80 else year


def _iso(found: re.Match[str], clock: Clock, year: int, month: int, day: int) -> str:
    if found["hour"] is None:
        if re.fullmatch("[A-Z]{2,5}", found["zone"] or "") and found["zone"] not in GREENWICH:
            raise ValueError(found["zone"])
        return datetime(year, month, day).date().isoformat()  # noqa: DTZ001 -- a day has no zone
    hour, half = int(found["hour"]), (found["half"] or "").casefold()
    if half and not 1 <= hour <= 12:
        raise ValueError(hour)
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    minute, second = int(found["minute"]), int(found["second"] or 0)
    end_of_day = not half and (hour, minute, second) == (24, 0, 0)
    time = datetime(year, month, day, 0 if end_of_day else hour, minute, second) + timedelta(days=end_of_day)  # noqa: DTZ001 -- the zone follows
    zone = re.sub(r"^(?:UTC|GMT)(?=[+-])", "", found["zone"] or "")
    return time.isoformat() + (zone if zone[:1] in {"+", "-", ""} else offset_named(zone, time, clock.letters))


@cache
def _months() -> dict[str, int]:
    """The names and abbreviations of months, in the languages that CRMs are used in."""
    return {word: number for number, words in enumerate(_names()["months"], start=1) for word in words.split()}


@cache
def _weekdays() -> dict[str, frozenset[int]]:
    """The same of weekdays; an abbreviation may be that of several days, in several languages."""
    days = [words.split() for words in _names()["weekdays"]]
    return {word: frozenset(number for number, words in enumerate(days) if word in words) for words in days for word in words}


def _names() -> dict[str, list[str]]:
    said: dict[str, list[str]] = tomllib.loads((resources.files("flows.crm.values") / "words" / "months.toml").read_text("utf-8"))
    return said
