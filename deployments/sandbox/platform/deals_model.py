r"""``DealsDataModel``: the platform's rules for a deals CSV, as Pandera checks over text columns.

Names of checks are the documented ones where the documentation shows them (D): ``not_nullable``, ``isin([...])``,
``str_matches(...)``, ``datetime_after_epoch``. The patterns are matched by RE2 on Arrow memory, where ``\d`` is ASCII and
``$`` is the very end of the text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc

NAME = "DealsDataModel"
TEXT = pd.ArrowDtype(pa.string())

DATETIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:$)"
DECIMAL = r"^-?\d+(?:\.\d+)?$"
INTEGER = r"^-?\d+$"

EXISTS = "datetime_exists"
AFTER_EPOCH = "datetime_after_epoch"
NOT_NEGATIVE = "greater_than_or_equal_to(0)"
ADDED_AFTER_CREATION = "addDatetime_not_before_creationDatetime"
CLOSED_UNLESS_OPEN = "closedDatetime_required_unless_open"

_Array: TypeAlias = "pa.ChunkedArray"


def _check(verdict: Callable[[_Array], _Array], name: str) -> pandera.Check:
    """Wrap an Arrow verdict (true, false, or null for "nothing to say") as a Pandera check that keeps rows' positions."""

    def check(cells: pd.Series[str]) -> pd.Series[bool]:
        return pd.Series(_passed(verdict(_arrow(cells))), index=cells.index)

    return pandera.Check(check, name=name.split("(", maxsplit=1)[0], error=name, ignore_na=False)


def _arrow(cells: pd.Series[str]) -> _Array:
    array = pa.array(cells)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _passed(verdict: _Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    passed: np.ndarray[tuple[int], np.dtype[np.bool_]] = pc.fill_null(verdict, True).to_numpy()
    return passed


def _str_matches(pattern: str) -> pandera.Check:
    return _check(lambda cells: pc.match_substring_regex(cells, pattern), f"str_matches('{pattern}')")


def _isin(words: list[str]) -> pandera.Check:
    wanted = pa.array(words, pa.string())
    return _check(lambda cells: pc.or_kleene(pc.is_null(cells), pc.is_in(cells, value_set=wanted)), f"isin({words})")


def _well_formed(cells: _Array) -> _Array:
    """Null where the text does not look like a datetime: another check says so."""
    return pc.if_else(pc.match_substring_regex(cells, DATETIME), cells, None)


def _exists(cells: _Array) -> _Array:
    """True where the calendar has the day and the clock the time.

    Arrow refuses a whole array for one value, without saying which; and it knows a year 0000, which the calendar does not.
    """
    well_formed = _well_formed(cells)
    try:
        well_formed.cast(pa.timestamp("s"))
    except pa.ArrowInvalid:
        return pa.chunked_array([pa.array([text is None or _is_real(text) for text in well_formed.to_pylist()], pa.bool_())])
    return pc.invert(pc.starts_with(well_formed, "0000"))


def _existing(cells: _Array) -> _Array:
    """Null where the text is no datetime that exists, which another check says and nothing can be compared with."""
    return pc.if_else(_exists(cells), _well_formed(cells), None)


def _is_real(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _after_epoch(cells: _Array) -> _Array:
    return pc.greater_equal(_well_formed(cells), "1970-01-01T00:00:00")


def _not_negative(pattern: str) -> pandera.Check:
    def verdict(cells: _Array) -> _Array:
        return pc.invert(pc.and_(pc.match_substring_regex(cells, pattern), pc.starts_with(cells, "-")))

    return _check(verdict, NOT_NEGATIVE)


def _added_after_creation(deals: pd.DataFrame) -> pd.Series[bool]:
    created, added = (_existing(_arrow(deals[name])) for name in ("creationDatetime", "addDatetime"))
    return pd.Series(_passed(pc.greater_equal(added, created)), index=deals.index)


def _closed_unless_open(deals: pd.DataFrame) -> pd.Series[bool]:
    closed, status = _arrow(deals["closedDatetime"]), _arrow(deals["status"])
    is_open = pc.fill_null(pc.equal(status, "open"), False)
    return pd.Series(_passed(pc.or_(pc.is_valid(closed), is_open)), index=deals.index)


def _text(*, null: bool = True) -> pandera.Column:
    return pandera.Column(TEXT, nullable=null)


def _word(words: list[str], *, null: bool = True) -> pandera.Column:
    return pandera.Column(TEXT, [_isin(words)], nullable=null)


def _moment(*, null: bool = True) -> pandera.Column:
    return pandera.Column(TEXT, [_str_matches(DATETIME), _check(_exists, EXISTS), _check(_after_epoch, AFTER_EPOCH)], nullable=null)


def _number(pattern: str, *, null: bool = True) -> pandera.Column:
    return pandera.Column(TEXT, [_str_matches(pattern), _not_negative(pattern)], nullable=null)


CELLS = pandera.DataFrameSchema(
    {
        "id": _text(null=False),
        "name": _text(),
        "description": _text(),
        "creationDatetime": _moment(null=False),
        "addDatetime": _moment(null=False),
        "closedDatetime": _moment(),
        "expectedClosureDatetime": _moment(),
        "status": _word(["closed_won", "closed_lost", "open"], null=False),
        "stage": _text(null=False),
        "currentStageStartDatetime": _moment(null=False),
        "value": _number(DECIMAL, null=False),
        "numberOfSentEmails": _number(INTEGER),
        "numberOfEmailOpens": _number(INTEGER),
        "numberOfReceivedEmails": _number(INTEGER),
        "numberOfMeetings": _number(INTEGER),
        "lastInteractionDatetime": _moment(),
        "accountId": _text(),
        "accountAverageResponseTime": _number(DECIMAL),
        "companyId": _text(),
        "companyNumberOfEmployees": _number(INTEGER),
        "companyRevenue": _number(DECIMAL),
        "companyIndustry": _text(),
        "companyType": _text(),
        "companyDescription": _text(),
        "companyTechnologies": _text(),
        "companyCity": _text(),
        "companyCountry": _text(),
        "companyIsCustomer": _word(["true", "false"]),
        "contactId": _text(),
        "contactNumberOfConversions": _number(INTEGER),
        "contactEmailDomainType": _text(),
        "contactEmailOptedOut": _word(["true", "false"]),
        "contactAverageResponseTime": _number(DECIMAL),
        "lastUpdateDatetime": _moment(null=False),
        "lastSyncedAt": _moment(),
    },
    name=NAME,
)
"""The rules for each cell."""

COLUMNS = tuple(CELLS.columns)
"""All 35, in the order of the specification's example (S)."""

ACROSS = {
    ("creationDatetime", "addDatetime"): pandera.Check(_added_after_creation, name=ADDED_AFTER_CREATION, error=ADDED_AFTER_CREATION),
    ("status", "closedDatetime"): pandera.Check(_closed_unless_open, name=CLOSED_UNLESS_OPEN, error=CLOSED_UNLESS_OPEN, ignore_na=False),
}
"""The rules between two cells of a row."""

UNIQUE = pandera.DataFrameSchema({"id": pandera.Column(TEXT, unique=True, nullable=True)}, name=NAME)
"""The rule for the ids of a whole file; a null id is the cell's own failure, said once."""
