"""One small export for each kind of fault that real ones have had, with what is right: the deals that are sent, or what stops them.

Names are those under which the kinds were handed in; `CASES` says how each is read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from openpyxl import Workbook

_HUBSPOT = ("Record ID", "Deal Name", "Deal Stage", "Close Date", "Create Date", "Amount", "Last Modified Date")
_FLAGS = ("Is Closed Won", "Is closed lost")
_SALESFORCE = ("Opportunity ID", "Opportunity Name", "Stage", "Amount", "Close Date", "Created Date", "Last Modified Date")
_API = ("Id", "Name", "StageName", "Amount", "CloseDate", "CreatedDate", "LastModifiedDate", "IsClosed", "IsWon")
_ZOHO = ("Record Id", "Deal Name", "Amount", "Closing Date", "Stage", "Created Time", "Modified Time")
_PIPEDRIVE = ("ID", "Title", "Stage", "Status", "Value", "Currency", "Deal created", "Update time", "Won time")
_DYNAMICS = (
    "(Do Not Modify) Opportunity",
    "(Do Not Modify) Modified On",
    "Created On",
    "Topic",
    "Status",
    "Status Reason",
    "Est. revenue",
    "Est. Close Date",
)
_CLOSED, _MADE, _CHANGED = "2025-03-31 10:00", "2025-01-02 09:00", "2025-04-01 08:00"

Row = Sequence[str]


@dataclass(frozen=True)
class Kind:
    """An export's content, the exit code that it ends in, the deals sent (the columns ``shown``), and part of what is said."""

    content: bytes
    code: int = 0
    sent: Sequence[str] = ()
    says: str = ""
    shown: Sequence[str] = ("id", "status", "closedDatetime", "value")


def write(folder: Path) -> None:
    """Write every kind's export into the folders ``reports`` and ``exports`` of ``folder``."""
    for name, kind in KINDS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kind.content)


def _csv(header: Row, *rows: Row, separator: str = ",", end: str = "\n", encoding: str = "utf-8") -> bytes:
    return "".join(separator.join(row) + end for row in (header, *rows)).encode(encoding)


def _deal(number: int | str, *more: str, **cells: str) -> list[str]:
    """A deal that is won, in the columns of HubSpot, with other ``cells`` (``stage="Lost"``), and ``more`` behind."""
    own = {"name": "A", "stage": "Closed Won", "close": _CLOSED, "create": _MADE, "amount": "70", "modified": _CHANGED} | cells
    return [str(number), *own.values(), *more]


def _report(number: str, stage: str, amount: str = "70") -> list[str]:
    return [f"0061a00000XyZ{number}", "A", stage, amount, "2025-03-31", "2025-01-02", "2025-04-01"]


def _won(*numbers: object, closed: str = "2025-03-31T10:00:00", value: str = "70") -> list[str]:
    return [f"{number} closed_won {closed} {value}" for number in numbers]


def _book(header: Row, *rows: Sequence[Any], before: str | None = None) -> bytes:
    book, stream = Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    if before:
        sheet.append([before])
        sheet = book.create_sheet("Deals")
    for row in (header, *rows):
        sheet.append(list(row))
    book.save(stream)
    return stream.getvalue()


def _zip(*parts: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number, part in enumerate(parts, start=1):
            archive.writestr(f"deals-{number}.csv", part)
    return stream.getvalue()


def _flags(yes: str, no: str) -> bytes:
    rows = [_deal(1, yes, no, stage="S"), _deal(2, no, yes, stage="S"), _deal(3, no, no, stage="S")]
    return _csv(_HUBSPOT + _FLAGS, *rows, separator=";")


_BY_FLAG = ("1 closed_won 2025-03-31T10:00:00 70", "2 closed_lost 2025-03-31T10:00:00 70", "3 open - 70")


def _deleted(header: str) -> Kind:
    return Kind(_csv((*_HUBSPOT, header), _deal(1, "false"), _deal(2, "true")), 0, _won(1), "1 deleted in the CRM")


def _pipedrive(number: int, value: str, won: str = "2025-03-31 23:30:00", status: str = "Won") -> list[str]:
    return [str(number), "A", "S", status, value, "EUR", "2025-01-02 09:00:00", "2025-04-01 08:00:00", won]


def _zoho(number: int, amount: object, closing: object = "2025-03-31", stage: str = "Closed Won") -> list[Any]:
    return [f"z{number}", "A", amount, closing, stage, "2025-01-02 09:00:00", "2025-04-01 08:00:00"]


def _api(number: int, amount: str = "70", currency: str | None = None, **cells: str) -> list[str]:
    own = {"stage": "Closed Won", "close": "2025-03-31", "created": "2025-01-02T09:00:00.000Z"} | cells
    row = [f"A{number}", "A", own["stage"], amount, own["close"], own["created"], "2025-04-01T08:00:00.000Z", "true", "true"]
    return row + ([currency] if currency is not None else [])


def _numbers(*amounts: object) -> bytes:
    return _book(_ZOHO, *(_zoho(number, amount) for number, amount in enumerate(amounts, start=1)))


_ZOHO_DAY = "2025-03-31T00:00:00"
_ACCENTS = ("Café Süd", "Peña y Núñez", "Crédit Général")


def _names(names: Sequence[str], encoding: str) -> bytes:
    return _csv(_HUBSPOT, *(_deal(number, name=name) for number, name in enumerate(names, start=1)), encoding=encoding)


def _ids(*ids: str) -> bytes:
    return _csv(_SALESFORCE, *([number, *_report("", "Closed Won")[1:]] for number in ids))


_SHORT, _LONG = ("0061a00000XyZda", "0061a00000XyZdB"), ("0061a00000XyZdaAAF", "0061a00000XyZdBAAV")
_REPORTS = {
    "01-flags-dutch.csv": Kind(_flags("WAAR", "ONWAAR"), 0, _BY_FLAG),
    "01b-flags-portuguese.csv": Kind(_flags("VERDADEIRO", "FALSO"), 0, _BY_FLAG),
    "01d-flags-x.csv": Kind(_flags("x", ""), 3, says="'x' is neither yes nor no"),
    "02-closed-not-won.csv": Kind(
        _csv(_SALESFORCE, *(_report("a", "Closed Not Won"), _report("b", "Closed Lost - Won by competitor"))),
        3,
        says="Closed Lost - Won by competitor: 1 deal",
    ),
    "04-zoho-omitted-open.csv": Kind(
        _csv((*_ZOHO, "Forecast Category"), [*_zoho(1, "70", "2025-12-31", "Negotiation/Review"), "Omitted"], [*_zoho(2, "70"), "Closed"]),
        0,
        ["z1 open - 70", *_won("z2", closed=_ZOHO_DAY)],
    ),
    "04b-zoho-deal-category.csv": Kind(
        _csv((*_ZOHO, "Deal Category"), [*_zoho(1, "70", stage="Signed"), "Closed Won"], [*_zoho(2, "70", stage="Signed"), "Open"]),
        0,
        [*_won("z1", closed=_ZOHO_DAY), "z2 open - 70"],
    ),
    "05-stages-won-lost.csv": Kind(
        _csv(_SALESFORCE, _report("a", "Won"), _report("b", "Lost"), _report("c", "Posted"), _report("d", "Closed_Won")),
        0,
        [
            f"0061a00000XyZ{number} {status} {_ZOHO_DAY} 70"
            for number, status in zip("abcd", ("closed_won", "closed_lost", "closed_won", "closed_won"), strict=True)
        ],
    ),
    "06-shift-thousands.csv": Kind(
        _csv(_HUBSPOT, _deal(1, amount="7,200", modified=""), _deal(2)), 3, says="line 2 (8 cells): the header has 7"
    ),
    "06c-shift-salesforce.csv": Kind(
        _csv(_SALESFORCE, _report("a", "Won", "12,500"), _report("b", "Won")), 3, says="line 2 (8 cells): the header has 7"
    ),
    "06d-shift-short-row.csv": Kind(_csv(_HUBSPOT, _deal(1), _deal(2)[:-1]), 3, says="line 3 (6 cells)"),
    "06e-backslash-quotes.csv": Kind(
        _csv(_HUBSPOT, _deal(1, name=r'"The \"big\" one"')), 3, says="line 2: a backslash stands before a quote"
    ),
    "07-quote-swallows-rows.csv": Kind(
        _csv(_HUBSPOT, _deal(1), _deal(2, name='"A'), _deal(3), _deal(4, name='B"'), _deal(5)),
        3,
        says="line 3, column 'Deal Name': the cell has 2 line breaks and the separators of whole rows",
    ),
    "07b-quote-swallows-tabs.csv": Kind(
        _csv(_HUBSPOT, _deal(1, name='"A'), _deal(2), _deal(3, name='"B'), _deal(4), separator="\t"), 3, says="line 2, column 'Deal Name'"
    ),
    "08-thousands-points.csv": Kind(
        _csv(_HUBSPOT, *(_deal(n, amount=a, close="31.03.2025 10:00") for n, a in ((1, "7.200"), (2, "950"))), separator=";"),
        0,
        [*_won(1, value="7200"), *_won(2, value="950")],
    ),
    "08b-thousands-pipedrive.csv": Kind(
        _csv(_PIPEDRIVE, _pipedrive(1, "7.200"), separator=";"), 3, says="--decimal point or --decimal comma"
    ),
    "09-year-first-two-digits.csv": Kind(
        _csv(_HUBSPOT, _deal(1, close="25-03-31", create="25/01/02")), 3, says="--date-order day-first or --date-order year-first"
    ),
    "11-year-typo.csv": Kind(
        _csv(_HUBSPOT, *map(_deal, range(1, 4)), _deal(4, close="2205-03-31 10:00")), 4, _won(1, 2, 3), "more than 20 years ahead"
    ),
    "12-merged-day1.csv": Kind(_csv((*_HUBSPOT, "Merged Deal IDs"), *(_deal(n, "") for n in (1, 2, 3))), 0, _won(1, 2, 3)),
    "12-merged-day2.csv": Kind(_csv((*_HUBSPOT, "Merged Deal IDs"), _deal(1, "2; 3")), 0, _won(1), "2 deals are gone from the CRM"),
    "13-archived-true.csv": _deleted("archived"),
    "13b-fivetran-deleted.csv": _deleted("_fivetran_deleted"),
    "13c-isDeleted.csv": _deleted("isDeleted"),
    "13e-pipedrive-deleted.csv": Kind(
        _csv(_PIPEDRIVE, _pipedrive(1, "70"), _pipedrive(2, "70", "", "deleted")),
        0,
        _won(1, closed="2025-03-31T23:30:00"),
        "1 deleted in the CRM",
    ),
    "14-ids-15.csv": Kind(_ids(*_SHORT), 0, _won(*_SHORT, closed=_ZOHO_DAY)),
    "14b-ids-18.csv": Kind(_ids(*_LONG), 7, says="the ids of 2 of its deals are held as"),
    "14d-ids-trailing-blank.csv": Kind(_ids(f"{_SHORT[0]} ", _SHORT[1]), 0, _won(*_SHORT, closed=_ZOHO_DAY)),
    "14e-ids-one-deal-four-ways.csv": Kind(
        _csv(_HUBSPOT, _deal("7 "), _deal("7"), _deal("7.0")), 3, says="writes one id in two ways: line 2 as `9` (1 characters), line 4"
    ),
    "15-ids-in-formula-quotes.csv": Kind(_csv(_HUBSPOT, _deal('"=""7000001"""'), _deal('="7000002"')), 0, _won(7000001, 7000002)),
    "16-words-for-null.csv": Kind(
        _csv((*_API, "AccountId", "ContactId"), [*_api(1), "NULL", "<NA>"], [*_api(2), r"\N", "#REF!"]),
        0,
        _won("A1", "A2", closed=_ZOHO_DAY),
    ),
    "17-local-times.csv": Kind(_csv(_HUBSPOT, _deal(1, close="2025-03-31 23:30")), 0, _won(1, closed="2025-03-31T23:30:00")),
    "17b-local-times-pipedrive.csv": Kind(_csv(_PIPEDRIVE, _pipedrive(1, "70")), 0, _won(1, closed="2025-03-31T23:30:00")),
    "18-half-swapped-dates.xlsx": Kind(
        _book(_HUBSPOT, [*_deal(1)[:3], datetime(2025, 6, 5), *_deal(1)[4:]], _deal(2, close="25/06/2025")),  # noqa: DTZ001 -- a cell has no zone
        3,
        says="a spreadsheet program has taken days for months",
    ),
    "19-macroman.csv": Kind(_names(_ACCENTS, "mac-roman"), 3, says="It could be mac-roman"),
    "19d-cp850.csv": Kind(_names(_ACCENTS, "cp850"), 3, says="It could be cp850"),
    "19e-cp1254.csv": Kind(_names(("Doğuş", "Şirket"), "cp1254"), 3, says="cp1254 ("),
    "20-cr-lines-final-crlf.csv": Kind(_csv(_HUBSPOT, _deal(1), _deal(2), end="\r").removesuffix(b"\r") + b"\r\n", 0, _won(1, 2)),
    "20b-cr-lines-newline-in-cell.csv": Kind(_csv(_HUBSPOT, _deal(1, name='"A\nB"'), _deal(2), end="\r"), 0, _won(1, 2)),
    "21-joined-with-bom.csv": Kind(
        _csv(_HUBSPOT, _deal(1), encoding="utf-8-sig") + _csv(_HUBSPOT, _deal(2), encoding="utf-8-sig"), 0, _won(1, 2), "1 header repeated"
    ),
    "22-postgres-offsets.csv": Kind(
        _csv(_HUBSPOT, _deal(1, close="2025-03-31 10:00:00+00"), _deal(2, close="2025-03-31")), 0, [*_won(1), *_won(2, closed=_ZOHO_DAY)]
    ),
    "23-zero-dates.csv": Kind(
        _csv(
            (*_HUBSPOT, "Last Activity Date"),
            *(_deal(n, zero) for n, zero in enumerate(("0000-00-00", "30/12/1899", "1900-01-00", "0"), 1)),
        ),
        0,
        _won(1, 2, 3, 4),
    ),
    "23b-spellings.csv": Kind(
        _csv(
            _HUBSPOT,
            *(
                _deal(number, close=close)
                for number, close in enumerate(
                    ("31/3/2025 10:00 a. m.", "31 mar 2025 10:00", "2025-03-31 10:00:00 UTC", "2025-03-31 12:00 CEST", "1743415200.0"), 1
                )
            ),
            _deal(6, close="2025-03-30 24:00"),
            _deal(7, close="20250331"),
            _deal(8, amount="1e+05"),
            _deal(9, amount='"1200,-"'),
        ),
        0,
        [*_won(1, 2, 3, 4, 5), *_won(6, 7, closed=_ZOHO_DAY), *_won(8, value="100000"), *_won(9, value="1200")],
    ),
    "24-split.zip": Kind(_zip(_csv(_HUBSPOT, _deal(1)), _csv(_HUBSPOT, _deal(2))), 0, _won(1, 2), "1 header repeated"),
    "25-opportunity-lines.csv": Kind(
        _csv((*_SALESFORCE, "Product Name"), *([*_report("a", "Won"), product] for product in ("P1", "P2"))),
        0,
        _won("0061a00000XyZa", closed=_ZOHO_DAY),
        "1 equal to another row in every column",
    ),
    "26-converted-amount-blank.csv": Kind(
        _csv((*_HUBSPOT, "Amount in company currency"), _deal(1, "75"), _deal(2, "", amount="5000000")),
        4,
        _won(1, value="75"),
        "value must not be empty (1)",
    ),
}
_EXPORTS = {
    "naive-times-local.csv": Kind(
        _csv(_HUBSPOT, _deal(1, close="2025-03-31 00:00"), _deal(2, close="2025-07-01 23:30")),
        0,
        [*_won(1, closed=_ZOHO_DAY), *_won(2, closed="2025-07-01T23:30:00")],
    ),
    "d365-modified-utc.csv": Kind(
        _csv(_DYNAMICS, ["0ab1c2d3-0000-4000-8000-00000000000f", "1/19/2025 8:05", "1/19/2025 9:00", "A", "Open", "S", "70", "12/31/2025"]),
        0,
        ["2025-01-19T09:00:00 2025-01-19T09:05:00"],
        shown=("creationDatetime", "lastUpdateDatetime"),
    ),
    "currency-without-amount.csv": Kind(
        _csv((*_API, "CurrencyIsoCode"), _api(1, currency="EUR"), _api(2, currency="USD"), _api(3, "", currency="USD")),
        0,
        _won("A1", closed=_ZOHO_DAY),
        "2 amount not in EUR",
    ),
    "own-value-ignored.csv": Kind(
        _csv((*_HUBSPOT, "Amount in company currency", "Annual contract value"), _deal(1, "70", "900"), _deal(2, "", "800", amount="")),
        0,
        [*_won(1, value="900"), *_won(2, value="800")],
    ),
    "own-value-ignored.toml": Kind(b'extends = "hubspot"\n[columns]\nvalue = "Annual contract value"\n', says="a dialect"),
    "mixnum.xlsx": Kind(
        _numbers(1234.5, "\u20ac 2.900,00", 1234),
        0,
        [f"z{n} closed_won {_ZOHO_DAY} {v}" for n, v in ((1, "1234.5"), (2, "2900.00"), (3, "1234"))],
    ),
    "mixnum2.xlsx": Kind(
        _numbers(1.234, "\u20ac 2.900,00"), 0, [f"z{n} closed_won {_ZOHO_DAY} {v}" for n, v in ((1, "1.234"), (2, "2900.00"))]
    ),
    "comma_num.xlsx": Kind(
        _numbers(1234.5, 1.234, "2.900"), 0, [f"z{n} closed_won {_ZOHO_DAY} {v}" for n, v in ((1, "1234.5"), (2, "1.234"), (3, "2900"))]
    ),
    "zcomma.toml": Kind(b'extends = "zoho"\n[numbers]\nstyle = "comma"\n', says="a dialect"),
    "hubspot-eu-thousands.csv": Kind(
        _csv(_HUBSPOT, _deal(1, amount="25.000", close="31/03/2025 10:00"), separator=";"), 0, _won(1, value="25000")
    ),
    "hubspot-eu-decimal-comma.csv": Kind(
        _csv(_HUBSPOT, _deal(1, amount="25.000,00"), _deal(2, amount="468,50"), separator=";"),
        0,
        [*_won(1, value="25000.00"), *_won(2, value="468.50")],
    ),
    "mixed-date-shapes.csv": Kind(
        _csv(_API, _api(1, close="3/31/2025", created="1/20/2025"), _api(2, close="3/31/2025", created="1-2-25")),
        3,
        says="line 3, column 'CreatedDate' (9-9-99) may be day-first or month-first",
    ),
    "status-all-assumed.csv": Kind(
        _csv(_HUBSPOT, _deal(1, stage="Unterschrieben"), _deal(2, stage="Abgesagt")), 3, says="closed_won = [], closed_lost = [], open = "
    ),
    "deals-on-second-sheet.xlsx": Kind(_book(_HUBSPOT, _deal(1), before="How to read this"), 0, _won(1)),
    "closed-same-day.csv": Kind(_csv(_API, _api(1, created="2025-03-31T17:00:00.000Z")), 0, _won("A1", closed=_ZOHO_DAY)),
    "crms-two-missing.csv": Kind(
        _csv(
            ("Created On", "Topic", "Status", "Est. revenue", "Est. close date", "Actual Revenue", "Actual Close Date", "Status Reason"),
            ["1/20/2025 7:42", "A", "Lost", "70", "3/31/2025", "0", "3/31/2025", "Canceled"],
        ),
        3,
        says="no column for id, lastUpdateDatetime",
    ),
    "header-line-from-data.csv": Kind(
        _csv(("Trato - ID", "Trato - Título", "Trato - Valor", "Trato - Estado"), ["7", "uno", "70", "Open"], ["8", "Title", "80", "Open"]),
        3,
        says="line 1: the header has no column for",
    ),
    "one-bad-byte.csv": Kind(
        _names(("Café",), "utf-8") + b",".join(cell.encode("cp1252") for cell in _deal(2, name="Café")) + b"\n",
        3,
        says="line 3: not valid UTF-8",
    ),
    "default-number.toml": Kind(b'extends = "hubspot"\n[columns]\nvalue = ["amount", { default = 0 }]\n', says="a dialect"),
}
KINDS = {f"reports/{name}": kind for name, kind in _REPORTS.items()} | {f"exports/{name}": kind for name, kind in _EXPORTS.items()}
"""Every kind, by the path of its export."""
