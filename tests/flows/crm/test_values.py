"""Dates, numbers and booleans are read surely or kept as they are."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from importlib import resources

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.crm.values.cell_transforms import number_in
from flows.crm.values.dates import Clock, Order, to_datetimes
from flows.crm.values.flags import to_booleans
from flows.crm.values.numbers import Style, to_numbers

NOW = datetime(2026, 11, 23, tzinfo=UTC)
UTC_CLOCK = Clock("UTC", "UTC", NOW)


def _never_asked(_: str) -> Order:
    raise AssertionError("this value needs no order of day and month")


def _date(text: str, clock: Clock = UTC_CLOCK, order: Order | None = None, *, days: bool = False) -> str:
    column, unread = to_datetimes(pa.array([text]), clock, (lambda _: order) if order else _never_asked, days=days)
    assert unread == ("T" not in column[0].as_py())
    return str(column[0].as_py())


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2024-04-15", "2024-04-15T00:00:00"),
        ("2024-04-15 09:05", "2024-04-15T09:05:00"),
        ("2024-04-15T09:05:07", "2024-04-15T09:05:07"),
        ("2024-04-15 09:05:07.999", "2024-04-15T09:05:07"),
        ("2024-04-15T09:05:07Z", "2024-04-15T09:05:07"),
        ("2024-04-15T09:05:07.1Z", "2024-04-15T09:05:07"),
        ("2024-04-15T09:05:07.000+0000", "2024-04-15T09:05:07"),
        ("2024-04-15T09:05:07.345000+02:00", "2024-04-15T07:05:07"),
        ("2024-02-29", "2024-02-29T00:00:00"),
        ("2024/4/5", "2024-04-05T00:00:00"),
        ("Oct 7, 2025 6:55 PM", "2025-10-07T18:55:00"),
        ("Oct 7, 2025 12:05 AM", "2025-10-07T00:05:00"),
        ("October 7, 2025", "2025-10-07T00:00:00"),
        ("15 Apr, 2021 00:02:00", "2021-04-15T00:02:00"),
        ("15-Apr-2021", "2021-04-15T00:00:00"),
        ("7 de octubre de 2025", "2025-10-07T00:00:00"),
        ("3. März 2025 10:30", "2025-03-03T10:30:00"),
        ("45397", "2024-04-15T00:00:00"),
        ("45397.5", "2024-04-15T12:00:00"),
        ("1713171907", "2024-04-15T09:05:07"),
        ("1713171907345", "2024-04-15T09:05:07"),
        (" 2024-04-15 09:05 ", "2024-04-15T09:05:00"),
        ("2025-10-07 6:55\u202fPM", "2025-10-07T18:55:00"),
        ("05/05/2024", "2024-05-05T00:00:00"),
        ("2024-03-01T10Z", "2024-03-01T10:00:00"),
        ("2024-03-01 10:00:00+00", "2024-03-01T10:00:00"),
        ("2024-03-01T10:00-0330", "2024-03-01T13:30:00"),
        ("20240131", "2024-01-31T00:00:00"),
        ("20240131T101500Z", "2024-01-31T10:15:00"),
        ("1713171907.0", "2024-04-15T09:05:07"),
        ("7 oct. 2025 3:45 p. m.", "2025-10-07T15:45:00"),
        ("2024-03-01 9:05 a.\u00a0m.", "2024-03-01T09:05:00"),
        ("31 sty 2024", "2024-01-31T00:00:00"),
        ("5 września 2024 r.", "2024-09-05T00:00:00"),
        ("31 января 2024 \u0433. 10:30", "2024-01-31T10:30:00"),
        ("3 maj 2024", "2024-05-03T00:00:00"),
        ("3. huhtikuuta 2024", "2024-04-03T00:00:00"),
        ("3. července 2024", "2024-07-03T00:00:00"),
        ("3. června 2024", "2024-06-03T00:00:00"),
        ("3 EKİM 2024", "2024-10-03T00:00:00"),
        ("3 Ağustos 2024", "2024-08-03T00:00:00"),
        ("2024年1月31日 10:30", "2024-01-31T10:30:00"),
        ("2024. 1. 31.", "2024-01-31T00:00:00"),
        ("2024년 1월 31일 오후 3:45", "2024-01-31T15:45:00"),
        ("2024年1月31日 15時30分", "2024-01-31T15:30:00"),
        ("２０２４／０１／３１ １０：３０", "2024-01-31T10:30:00"),  # noqa: RUF001 -- as a Japanese keyboard may write them
        ("2024-02-29 24:00", "2024-03-01T00:00:00"),
        ("2023-12-31T24:00:00+01:00", "2023-12-31T23:00:00"),
        ("31 Jan 2024 24:00", "2024-02-01T00:00:00"),
        ("2024-01-31 10:00:00 CET", "2024-01-31T09:00:00"),
        ("2024-07-01 10:00 MESZ", "2024-07-01T08:00:00"),
        ("2024-01-31 10:00 AEDT", "2024-01-30T23:00:00"),
        ("Wed, 31 Jan 2024 10:00:00 GMT", "2024-01-31T10:00:00"),
        ("Wed Jan 31 2024 10:00:00 GMT+0100 (Central European Standard Time)", "2024-01-31T09:00:00"),
        ("2024-01-31T10:00:00+01:00[Europe/Paris]", "2024-01-31T09:00:00"),
        ("2024-Jan-31", "2024-01-31T00:00:00"),
        ("1706695200123456", "2024-01-31T10:00:00"),
        ("1er mars 2024", "2024-03-01T00:00:00"),
        ("den 3. marts 2024 kl. 9.05", "2024-03-03T09:05:00"),
        ("1º de março de 2024", "2024-03-01T00:00:00"),
        ("perjantai 1. maaliskuuta 2024 klo 9.05", "2024-03-01T09:05:00"),
        ("viernes, 1 de marzo de 2024", "2024-03-01T00:00:00"),
        ("Fr., 1. März 2024", "2024-03-01T00:00:00"),
        ("2024年3月1日(金) 15時05分", "2024-03-01T15:05:00"),
        ("2024年3月1日 星期五 下午3点05分", "2024-03-01T15:05:00"),
        ("2024-03-01 3 PM", "2024-03-01T15:00:00"),
        ("Mar 1, 2024 12am", "2024-03-01T00:00:00"),
        ("2024-03-01 10:00 GMT+2", "2024-03-01T08:00:00"),
        ("Fri Mar  1 10:30:00 CET 2024", "2024-03-01T09:30:00"),
        ("\u0662\u0660\u0662\u0664-\u0660\u0663-\u0660\u0661", "2024-03-01T00:00:00"),
        ('="2024-03-01"', "2024-03-01T00:00:00"),
        ("\u200e2024\u201103\u201101", "2024-03-01T00:00:00"),
    ],
)
def test_a_date_that_needs_no_proof(text: str, read: str) -> None:
    assert _date(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29",
        "2024-13-01",
        "2024-04-31",
        "2024-04-15 24:01",
        "2024-07-01 10:00 CET",  # the zone's name, or its winter's time
        "2024-01-31 10:00 CST",  # Chicago's or Shanghai's
        "2024-01-31 XYZ",
        "Tue, 31 Jan 2024 10:00:00 GMT",  # a Wednesday
        "Montag, 1. März 2024",  # a Friday
        "12:00 PM 24:00",
        "2024-04-15 09:60",
        "2024-04-15 13:05 PM",
        "2024-04-15 09",
        "Foo 7, 2025",
        "soon",
        "15",
        "-",
        "2024-04",
        "1900-02-29",
    ],
)
def test_what_is_no_date_keeps_its_text(text: str) -> None:
    column, unread = to_datetimes(pa.array([text, "2024-04-15"]), UTC_CLOCK, _never_asked)
    assert column.to_pylist() == [text, "2024-04-15T00:00:00"]
    assert unread == 1


@pytest.mark.parametrize(
    ("text", "order", "read"),
    [
        ("03/04/24", "day-first", "2024-04-03T00:00:00"),
        ("03/04/24", "month-first", "2024-03-04T00:00:00"),
        ("3.4.2024 9:05", "day-first", "2024-04-03T09:05:00"),
        ("02/23/26 08:55 PM", "month-first", "2026-02-23T20:55:00"),
        ("23/02/2026, 20:55:01", "day-first", "2026-02-23T20:55:01"),
        ("31/02/2024", "day-first", "31/02/2024"),
        ("13/13/2024", "day-first", "13/13/2024"),
        ("02/23/26", "day-first", "02/23/26"),
        ("01/02/46", "day-first", "1946-02-01T00:00:00"),
        ("01/02/45", "day-first", "2045-02-01T00:00:00"),
        ("7/13/2024 10:00 AM EDT", "month-first", "2024-07-13T14:00:00"),
        ("31. 1. 2024 9:05", "day-first", "2024-01-31T09:05:00"),
        ("31.01.2024.", "day-first", "2024-01-31T00:00:00"),
        ("31.01.2024 10:30 Uhr", "day-first", "2024-01-31T10:30:00"),
        ("31/01/2024 à 10h30", "day-first", "2024-01-31T10:30:00"),
        ("01/03/2024 às 10:30", "day-first", "2024-03-01T10:30:00"),
        ("01/03/2024 alle ore 10:30", "day-first", "2024-03-01T10:30:00"),
        ("01/03/2024 o godz. 10:30", "day-first", "2024-03-01T10:30:00"),
        ("Fr, 01.03.2024 10:30", "day-first", "2024-03-01T10:30:00"),
        ("Fr, 01.03.2024 10:30", "month-first", "Fr, 01.03.2024 10:30"),  # 3 January was a Wednesday
        ("13/3/2024 下午 3:05", "day-first", "2024-03-13T15:05:00"),
        ("3/1/2024 3 PM", "month-first", "2024-03-01T15:00:00"),
    ],
)
def test_a_date_in_a_known_order(text: str, order: Order, read: str) -> None:
    assert _date(text, order=order) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2024-03-10 12:00", "2024-03-10T17:00:00"),
        ("2024-07-01 12:00", "2024-07-01T18:00:00"),
        ("2024-03-10 02:30", "2024-03-10T08:00:00"),
        ("2024-11-03 01:30", "2024-11-03T06:30:00"),
        ("2024-11-03 00:30:00Z", "2024-11-03T01:30:00"),
        ("2024-07-01", "2024-07-01T00:00:00"),
        ("7/1/2024", "2024-07-01T00:00:00"),
    ],
)
def test_times_move_from_zone_to_zone_and_days_do_not(text: str, read: str) -> None:
    """Skipped by a DST change: the first time that exists. Repeated by one: the earlier. A day without a time stays that day."""
    assert _date(text, Clock("America/New_York", "Europe/Rome", NOW), "month-first") == read


@pytest.mark.parametrize("text", ["2024-07-01 00:00:00", "2024-07-01T00:00:00.000Z", "7/1/2024 0:00"])
def test_a_day_written_as_midnight_stays_that_day(text: str) -> None:
    assert _date(text, Clock("America/New_York", "Asia/Tokyo", NOW), "month-first", days=True) == "2024-07-01T00:00:00"


@pytest.mark.parametrize(
    "text",
    [
        *("0000-00-00", "0000-00-00 00:00:00", "00/00/0000", "0001-01-01T00:00:00Z", "1899-12-30", "30/12/1899", "12/30/1899 00:00"),
        *("1900-01-00", "1900-01-01 00:00:00", "0/1/1900", "01.00.1900", "1899-12-31T00:00:00+00:00", "30 Dec 1899"),
        *("1970-01-01", "1970-01-01T00:00:00.000Z", "01/01/1970", "0", "00000000", "00:00:00", "1/1/0001 12:00:00 AM", "01.01.0001"),
    ],
)
def test_a_zero_where_a_date_would_stand_is_no_date(text: str) -> None:
    for column in ([text], [text, "2024-04-15 09:05", "7 Oct 2025"]):
        read, unread = to_datetimes(pa.array(column), UTC_CLOCK, _never_asked)
        assert (read[0].as_py(), unread) == (None, 0)


_SPELLINGS = st.builds(
    lambda day, rest: day + rest,
    st.sampled_from(
        ["2024-04-15", "0004-02-29", "1900-02-29", "0001-01-01", "0000-01-01", "2000-02-29", "9999-12-31", "2024-4-5", "20240415"]
    ),
    st.sampled_from(["", " 10", "T10", " 10:05", "T10:05", " 10:05:07", " 10:05:07.5", " 10:05:07.1234567", " 24:00", " 10:60"]).flatmap(
        lambda time: st.sampled_from(["", "Z", "+02", "-0330", "+05:45", "+24:00", "+00", " UTC"]).map(lambda zone: time + zone)
    ),
)


@given(column=st.lists(_SPELLINGS, min_size=1, max_size=4), days=st.booleans())
def test_what_a_cell_is_read_as_does_not_depend_on_its_neighbours(column: list[str], days: bool) -> None:
    clock = Clock("America/New_York", "Europe/Rome", NOW)
    alone = [to_datetimes(pa.array([text]), clock, _never_asked, days=days) for text in column]
    together, unread = to_datetimes(pa.array(column), clock, _never_asked, days=days)
    assert together.to_pylist() == [read[0].as_py() for read, _ in alone]
    assert unread == sum(count for _, count in alone)


def test_no_name_of_a_month_is_two_months_s() -> None:
    months = tomllib.loads((resources.files("flows.crm.values") / "words" / "months.toml").read_text("utf-8"))["months"]
    words = [word for names in months for word in set(names.split())]
    assert len(words) == len(set(words))
    assert all(word == word.casefold() for word in words)


@given(
    when=st.datetimes(datetime.fromisoformat("1971-01-01"), datetime.fromisoformat("2090-01-01")),
    zones=st.tuples(*[st.sampled_from(["UTC", "America/New_York", "Europe/Rome", "Asia/Kolkata", "Australia/Lord_Howe"])] * 2),
)
def test_every_spelling_of_a_time_means_the_same(when: datetime, zones: tuple[str, str]) -> None:
    """The vectorised way and the way through single values agree, whatever else is in the column."""
    when, clock = when.replace(microsecond=0), Clock(*zones, NOW)
    spellings = [
        f"{when:%Y-%m-%d %H:%M:%S}",
        f"{when:%Y/%m/%d %H:%M:%S}",
        f"{when:%d %b, %Y %H:%M:%S}",
        f"{when:%b %d, %Y %I:%M:%S %p}",
        f"{when:%d/%m/%Y %H:%M:%S}",
    ]
    alone, _ = to_datetimes(pa.array(spellings[:1]), clock, _never_asked)
    together, unread = to_datetimes(pa.array([*spellings, None, "nonsense"]), clock, lambda _: "day-first")
    assert unread == 1
    assert together.to_pylist() == [alone[0].as_py()] * len(spellings) + [None, "nonsense"]


@given(when=st.datetimes(datetime.fromisoformat("1971-01-01"), datetime.fromisoformat("2090-01-01")), hours=st.integers(-12, 14))
def test_an_offset_names_the_same_instant(when: datetime, hours: int) -> None:
    when = when.replace(microsecond=0)
    there = when + timedelta(hours=hours)
    assert _date(f"{there:%Y-%m-%dT%H:%M:%S}{hours:+03d}:00") == when.isoformat()


def _number(text: str, style: Style = "point", *, integer: bool = False) -> str:
    return str(to_numbers(pa.array([text]), lambda: style, integer=integer)[0][0].as_py())


@pytest.mark.parametrize(
    ("text", "style", "read"),
    [
        ("468.0", "point", "468.0"),
        ("1.234", "point", "1.234"),
        ("1.234", "comma", "1234"),
        ("1,234", "point", "1234"),
        ("1,234", "comma", "1.234"),
        ("$25,000.00", "point", "25000.00"),
        ("1.234,56", "comma", "1234.56"),
        ("25.000,00 €", "comma", "25000.00"),
        ("1 234,56", "comma", "1234.56"),
        ("1\u202f234,56", "comma", "1234.56"),
        ("1'234.50", "point", "1234.50"),
        ("12,34,567.80", "point", "1234567.80"),
        ("US$ 10", "point", "10"),
        ("CHF 10.5", "point", "10.5"),
        (".5", "point", "0.5"),
        ("5.", "point", "5"),
        ("+5", "point", "5"),
        ("(120)", "point", "-120"),
        ("-$5.00", "point", "-5.00"),
        ("-0.00", "point", "0.00"),
        (" 12 ", "point", "12"),
        ("1.200,-", "comma", "1200"),
        ("1200.-", "point", "1200"),
        ("CHF 1'200.-", "point", "1200"),
        ("1.200,-- €", "comma", "1200"),
        ("1200,\u2013", "comma", "1200"),
        ("1200-", "point", "-1200"),
        ("1e+05", "point", "100000"),
        ("1.5e+06", "comma", "1500000"),
        ("\ue0001.234", "comma", "1.234"),
        ("12.500", "comma", "12500"),
        ("Rs. 12,34,567.50", "point", "1234567.50"),
        ("1 200,50 руб.", "comma", "1200.50"),  # noqa: RUF001 -- roubles
        ("Fr. 1'200.-", "point", "1200"),
        ("１２００円", "point", "1200"),
        ("kr. 1.200,00", "comma", "1200.00"),
        ("1.200,00 TL", "comma", "1200.00"),
        ("R1,200.00", "point", "1200.00"),
        ("₹12,34,567/-", "point", "1234567"),
        ("$(1,200.00)", "point", "-1200.00"),
        ("1200 Euro", "point", "1200"),
        ("\uffe51200", "point", "1200"),
        ("\u0661\u066c\u0662\u0663\u0664\u066b\u0665\u0660", "point", "1234.50"),
        ("\u20101200", "point", "-1200"),
        ('="1200,50"', "comma", "1200.50"),
        ("'1200", "point", "1200"),
        ("\u200b1200", "point", "1200"),
    ],
)
def test_a_number(text: str, style: Style, read: str) -> None:
    assert _number(text, style) == read


@pytest.mark.parametrize(
    ("text", "amount"), [("$1,500 monthly", "$1,500"), ("5 million", "5 million"), ("$5 k", "$5 k"), ("2 tsd", "2 tsd")]
)
def test_a_period_behind_an_amount_is_left_out_and_a_factor_is_not(text: str, amount: str) -> None:
    assert number_in(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "10k",
        "1e3",
        "1,23",
        "1,2345",
        "12,",
        "1..2",
        "NaN",
        "inf",
        "50%",
        "1-2",
        "$",
        "12 34",
        "\u1813",  # a digit of Mongolian
        "(5",
        "$5 EUR",
        "0x10",
        "1200--",
        "1200\u2013",
        "1.200.-",
        "1.23E+05",
        "1200万円",
        *("5 MIO", "5 TSD", "5 MRD", "MLN 5", "5 PCT", "T€ 5", "5 M€", "K$5", "M$ 5", "TSD€ 5"),  # no currency, but a factor
        "1.2M",
        "1200/2",
        "=1200",
    ],
)
def test_what_is_no_number_keeps_its_text(text: str) -> None:
    column, unread = to_numbers(pa.array([text, "7"]), lambda: "point", integer=False)
    assert column.to_pylist() == [text, "7"]
    assert unread == 1


def test_integers_lose_an_empty_fraction_and_no_other() -> None:
    column, unread = to_numbers(pa.array(["3.0", "3", "1,000", "3.5", None]), lambda: "point", integer=True)
    assert column.to_pylist() == ["3", "3", "1000", "3.5", None]
    assert unread == 1


@pytest.mark.parametrize(
    ("text", "style", "read"),
    [("3.0", "comma", "3"), ("1.200", "comma", "1200"), ("1,000", "point", "1000"), ("1.000", "comma", "1000"), ("2,00", "point", "2")],
)
def test_a_whole_number(text: str, style: Style, read: str) -> None:
    assert _number(text, style, integer=True) == read


@given(
    column=st.lists(st.sampled_from(["12.5", "1.234", "1,234", "1.234,5", "1,234.5", "7", "\ue0001.234", "1.200,-", "0.500"]), min_size=1),
    known=st.sampled_from([None, "point", "comma"]),
    integer=st.booleans(),
)
def test_what_a_number_is_read_as_does_not_depend_on_its_neighbours(column: list[str], known: Style | None, integer: bool) -> None:
    alone = [to_numbers(pa.array([text]), lambda: "point", integer=integer, known=known) for text in column]
    together, unread = to_numbers(pa.array(column), lambda: "point", integer=integer, known=known)
    assert together.to_pylist() == [read[0].as_py() for read, _ in alone]
    assert unread == sum(count for _, count in alone)


def test_booleans() -> None:
    column, unread = to_booleans(pa.array(["TRUE", "1", "0.0", "No", "perhaps", None]), blank="false")
    assert column.to_pylist() == ["true", "true", "false", "false", "perhaps", "false"]
    assert unread == 1
