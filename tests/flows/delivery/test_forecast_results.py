"""Every shape in which a forecast can come: its months are read, or its files are kept; the sync ends well, and asks for no second one."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from openpyxl import Workbook

from flows.delivery.forecast_files import download
from flows.delivery.lifecycle import Forecast
from flows.delivery.result_table import read_months
from flows.nostradamus import Nostradamus, ResultFormat
from tests.conftest import sampled, wait_for
from tests.flows.crm.bombs import cell, shared_rows, workbook

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Fault, Sync, WriteDeals

Row = dict[str, Any]
_NEXT = pd.period_range(pd.Timestamp.now() + pd.DateOffset(months=1), periods=3, freq="M")
FIRST, SECOND, THIRD = (f"{month}-01" for month in _NEXT)
MONTHS = ((FIRST, 1000.5), (SECOND, 0.0), (THIRD, 2500.0))
FLAGS = {"primaryResult": True, "status": "completed", "jsonAvailable": True, "csvAvailable": True, "xlsxAvailable": True}


def rows(month: str, revenue: str, **more: Any) -> list[Row]:
    return [{month: first, revenue: amount, **more} for first, amount in MONTHS]


@dataclass(frozen=True, eq=False)
class Shape:
    """How a result comes, and the columns that are not read; empty where its months are."""

    rows: list[Row]
    unread: str = ""
    separator: str = ","
    around: Callable[[list[Row]], Any] = list
    answer: dict[str, Any] = field(default_factory=dict)
    missing: tuple[ResultFormat, ...] = ()
    status: int = 404
    """What a missing format is answered with."""
    own: dict[ResultFormat, bytes] = field(default_factory=dict)

    @cache  # noqa: B019 - a few shapes, and a workbook says when it was made
    def content(self, form: ResultFormat) -> bytes:
        """The result in one format."""
        if form in self.own:
            return self.own[form]
        if form == "json":
            return json.dumps(self.around(self.rows)).encode()
        table = [list(self.rows[0]), *(list(row.values()) for row in self.rows)]
        if form == "csv":
            return "".join(self.separator.join("" if cell is None else str(cell) for cell in row) + "\n" for row in table).encode()
        workbook = Workbook(write_only=True)
        sheet = workbook.create_sheet()
        for row in table:
            sheet.append(row)
        content = io.BytesIO()
        workbook.save(content)
        return content.getvalue()


def flags(**changed: Any) -> dict[str, Any]:
    return {"invocationResults": {"a-result": {**FLAGS, **changed}}}


KNOWN = rows("month", "revenue")
SHAPES = {
    "an object around it": Shape(KNOWN, around=lambda rows: {"meta": {"horizon": 3, "notes": []}, "data": {"predictions": rows}}),
    "no file at all": Shape(
        KNOWN, answer=flags(jsonAvailable=False, csvAvailable=False, xlsxAvailable=False), missing=("json", "csv", "xlsx"), unread="no file"
    ),
    "month and revenue": Shape(KNOWN),
    "in capitals": Shape(rows("Month", "Revenue")),
    "named as the data": Shape(rows("closedDate", "estimatedRevenue")),
    "names of no meaning": Shape(rows("ds", "yhat")),
    "a third column of text": Shape(rows("closedDate", "amount", currency="EUR")),
    "a null revenue": Shape([*KNOWN[:2], {"month": THIRD, "revenue": None}], unread="columns month, revenue"),
    "semicolons": Shape(KNOWN, separator=";"),
    "a bare array": Shape(KNOWN, around=list),
    "no xlsx": Shape(KNOWN, answer=flags(xlsxAvailable=False), missing=("xlsx",)),
    "a message that is an object": Shape(KNOWN, answer={"message": {"text": "done", "code": 7}}),
    "two columns of numbers": Shape(rows("ds", "yhat", upper=9.5), unread="columns ds, yhat, upper"),
    "a known name among them": Shape(rows("month", "Revenue", upper=9.5, lower=1)),
    "a format in which one date is odd": Shape(KNOWN, own={"csv": f"month,revenue\n{FIRST},1000.5\nJan 2027,0\n{THIRD},2500\n".encode()}),
    "a redirect for a format": Shape(KNOWN, missing=("xlsx",), status=302),
    "flags that say nothing": Shape(KNOWN, answer={"invocationResults": {}}, missing=("csv",)),
}


def bring_about(shape: Shape, fault: Fault, folder: Path) -> None:
    """Let the platform answer in this shape; ``folder`` has a file of an earlier forecast."""
    for form in ("json", "csv", "xlsx"):
        if form in shape.missing:
            fault("status", f"/api/invocation/*/{form}", status=shape.status, count=None)
        else:
            fault("garbage", f"/api/invocation/*/{form}", base64=base64.b64encode(shape.content(form)).decode(), count=None)
    if shape.answer:
        fault("altered", "/api/invocation/*", fields=shape.answer, count=None)
    folder.mkdir()
    (folder / "forecast.xlsx").write_bytes(b"of an earlier forecast")


def assert_kept_and_read(shape: Shape, forecast: Forecast, folder: Path) -> None:
    kept = {path.name: path.read_bytes() for path in folder.glob("forecast.*")}
    assert kept == {f"forecast.{form}": shape.content(form) for form in ("json", "csv", "xlsx") if form not in shape.missing}
    assert forecast.months == (() if shape.unread else MONTHS)
    assert (shape.unread in forecast.unread) if shape.unread else (forecast.unread == "")


@pytest.mark.parametrize("name", SHAPES)
def test_a_result_of_any_shape_is_kept_and_its_months_are_read_where_they_are_sure(
    platform: Nostradamus, collection: str, write_deals: WriteDeals, fault: Fault, tmp_path: Path, name: str
) -> None:
    upload = platform.upload(collection, write_deals())
    wait_for(lambda: platform.upload_status(collection, upload.id).status == "completed", "the upload")
    invocation = platform.invoke(collection, horizon=3)
    wait_for(lambda: platform.invocation(invocation.id).status == "completed", "the forecast")
    bring_about(SHAPES[name], fault, tmp_path / "out")
    assert_kept_and_read(SHAPES[name], download(platform, invocation.id, tmp_path / "out", lambda: None), tmp_path / "out")


@pytest.mark.parametrize("name", sampled(sorted(SHAPES, key=lambda name: name != "no file at all"), 2))
def test_a_result_of_any_shape_ends_the_sync_well(
    sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, tmp_path: Path, name: str
) -> None:
    shape, folder = SHAPES[name], tmp_path / "out"
    bring_about(shape, fault, folder)
    state = sync(write_deals(), out=str(folder))
    assert state.is_completed(), state.message
    forecast = state.result().forecast
    assert_kept_and_read(shape, forecast, folder)
    assert forecast.unread in str(state.message)
    assert forecast.unread in (folder / "report.md").read_text()
    assert sync(write_deals(), out=str(folder)).is_completed()
    assert asked("POST", "/api/invocation") == 1


def test_formats_that_disagree_are_kept_and_none_of_them_is_believed(sync: Sync, write_deals: WriteDeals, fault: Fault) -> None:
    fault("garbage", "/api/invocation/*/csv", body="month,revenue\n2026-12-01,1\n", count=None)
    forecast = sync(write_deals()).result().forecast
    assert forecast.unread == "forecast kept, not read: its json and csv disagree"
    assert forecast.months == ()
    assert forecast.files.keys() == {"json", "csv", "xlsx"}


@pytest.mark.parametrize(
    ("form", "content", "why_not"),
    [
        ("json", b'[{"month": "2026-12-01", "revenue": 1' + b"0" * 400 + b"}]", "columns month, revenue"),
        ("json", b"[" * 200_000, "no table"),
        ("json", b"{}", "no rows"),
        ("json", b"[]", "no rows"),
        ("json", b'["2026-12-01"]', "no rows"),
        ("json", b'[{"month": "2026-12-01", "revenue": true}]', "columns month, revenue"),
        ("json", b'[{"month": "2026-12-01", "revenue": NaN}]', "columns month, revenue"),
        ("json", b'[{"month": "2026-12-31", "revenue": 1}]', "columns month, revenue"),
        ("json", b'[{"month": "2026-12-01", "revenue": 1}, {"month": "2026-12-01", "revenue": 2}]', "columns month, revenue"),
        ("json", b'[{"month": "2026-12-01", "revenue": 1}, {"month": "2027-01-01"}]', "columns month, revenue"),
        ("csv", b"month;revenue\n2026-12-01;1,5\n", "columns month, revenue"),
        ("csv", b"month,revenue\n2026-12-01,1,5\n", "columns month, revenue"),
        ("csv", b"\xff", "no table"),
        ("csv", b"", "no rows"),
        ("xlsx", b"PK\x03\x04", "no table"),
        ("json", b'[{"month": "2026-12-01", "revenue": 1, "revenue": 2}]', "no table"),
        ("json", b'[{"month": "2026-12-01", "revenue": 1}, {"month": "total", "revenue": 1}]', "columns month, revenue"),
        ("json", b'[{"month": "2026-12-01", "revenue": 1}, {"month": "2027-13-01", "revenue": 1}]', "columns month, revenue"),
        ("json", b'{"eu": [{"month": "2026-12-01", "revenue": 1}], "us": [{"month": "2026-12-01", "revenue": 2}]}', "several tables"),
        ("json", b'[{"month": "2026-12-01", "band": {"low": 1, "high": 2}}]', "columns month, band.low, band.high"),
        ("json", b'{"2026-12": 1}', "no rows"),
        ("json", b'[["2026-12-01", 1]]', "no rows"),
        ("json", b"[{}, []]", "no rows"),
        ("json", b"<html>", "no table"),
        ("json", b'{"month": {"0": "2026-12-01"}, "revenue": {"0": 1}}', "no rows"),
        ("csv", b"month,revenue,revenue\n2026-12-01,1,2\n", "columns month, revenue, revenue"),
        ("csv", b"month,revenue\n2026-12-01,1\n2027-01-01\n", "columns month, revenue"),
        ("csv", b"month,revenue\n2026-12-01,1\nTotal,1\n", "columns month, revenue"),
        ("csv", b"month,revenue\n", "no rows"),
        ("csv", b"month,revenue\n2026-12-01,EUR 1\n", "columns month, revenue"),
        ("csv", b"month,revenue\n12/01/2026,1\n", "columns month, revenue"),
        ("csv", b"2026-12-01,1\n2027-01-01,2\n", "columns (a text of 10 characters), 1"),
        ("csv", "month,revenue\n2026-12-01,1\n".encode("utf-16"), "no table"),
        ("csv", ",".join(f"c{number}" for number in range(500)).encode() + b"\n1", "c11 and 488 more"),
    ],
)
def test_what_is_not_sure_is_not_read(form: ResultFormat, content: bytes, why_not: str) -> None:
    reading = read_months(content, form)
    assert reading.months == ()
    assert why_not in reading.why_not


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("csv", b"month,revenue\r2026-12-01,1000.5\r"),
        ("json", b'[{"ds": "2026-12-01T00:00:00.000Z", "y": "1000.50"}]'),
        ("csv", b"\xef\xbb\xbfds\ty\r\n2026-12-01 00:00:00\t1.0005e3\r\n"),
        ("csv", b'"month","revenue","run"\n"2026-12-01","1000.5","7"\n'),
        ("csv", b"\n\nmonth,revenue\n\n2026-12-01,1000.5,\n,\n"),
        ("csv", b"\tmonth\trevenue\n0\t2026-12-01\t1000.5\n"),
        ("csv", b"mese|fatturato|nota\n2026-12|1000.5|a, b; c\n"),
        ("json", b'\xef\xbb\xbf[{"revenue": 1000.5, "month": "2026-12"}]'),
        ("json", b'[{"period": "2026-12-01T00:00:00+01:00", "forecast": {"value": 1000.5, "unit": "EUR"}}]'),
        ("json", b'{"notes": [{"text": "x"}], "empty": [], "data": {"rows": [{"ds": "2026-12-01", "y": 1000.5}]}}'),
    ],
)
def test_a_month_and_a_number_are_known_by_their_values(form: ResultFormat, content: bytes) -> None:
    assert read_months(content, form).months == (("2026-12-01", 1000.5),)


def test_revenue_that_no_sum_holds_is_not_read() -> None:
    content = json.dumps([{"month": first, "revenue": 1e308} for first, _ in MONTHS]).encode()
    assert read_months(content, "json").why_not == "its json has a revenue beyond 1e+15"


def test_a_workbook_of_the_platform_takes_no_more_than_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have ended the flow's process."""
    monkeypatch.setenv("DEALCAST_HOME", str(tmp_path / "home"))
    book = workbook(tmp_path / "corner.xlsx", f'<row r="1048576">{cell("XFD1048576", "x")}</row>')
    assert read_months(book.read_bytes(), "xlsx").why_not == "its xlsx is no table"
    assert not [*(tmp_path / "home" / "staging").iterdir()]


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("json", json.dumps([{f"a{number}": number} for number in range(1100)]).encode()),
        ("csv", b"a\n" * 1100 + b"1," * 1100),
        ("csv", b"a,b\n" + b"1,2\n" * 600_000),
    ],
)
def test_a_small_result_that_makes_a_large_table_is_none(form: ResultFormat, content: bytes) -> None:
    """A file of the largest size would make a million times as many cells."""
    assert read_months(content, form).why_not == f"its {form} is no table"


def test_a_workbook_of_the_platform_is_held_in_part_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parser is bounded, and writes more than a flow's process is to hold."""
    monkeypatch.setenv("DEALCAST_HOME", str(tmp_path / "home"))
    book = workbook(tmp_path / "long.xlsx", shared_rows(3, 70), shared="A" * 30_000)
    assert read_months(book.read_bytes(), "xlsx").why_not == "its xlsx is no table"


def test_a_workbook_may_have_dates_other_sheets_and_empty_lines() -> None:
    workbook, content = Workbook(), io.BytesIO()
    cover, data = workbook.active, workbook.create_sheet("data")
    assert cover is not None
    cover.append(["Forecast", datetime(2026, 11, 1)])  # noqa: DTZ001 - a cell of a workbook has no zone
    for row in (["period", "amount", "currency"], [datetime(2026, 12, 1), 1000.5, "EUR"], [None, None, ""]):  # noqa: DTZ001 - as above
        data.append(row)
    workbook.save(content)
    assert read_months(content.getvalue(), "xlsx").months == (("2026-12-01", 1000.5),)
