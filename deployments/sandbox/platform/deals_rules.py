r"""``DealsDataModel``: the platform's rules for a deals CSV, as Pandera checks over text columns.

Names of checks are the documented ones where the documentation shows them (D): ``not_nullable``, ``isin([...])``,
``str_matches(...)``, ``datetime_after_epoch``. The patterns are matched by RE2 on Arrow memory, where ``\d`` is ASCII and
``$`` is the very end of the text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc

NAME = "DealsDataModel"

_SECONDS = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}"
DATETIME = _SECONDS + r"(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?$"
"""A fraction and an offset are probably taken (D*): the documented pattern goes on after the seconds, and is cut off there."""

STRICT_DATETIME = _SECONDS + "$"
_PLAIN_LENGTH = len("2024-05-01T08:00:00")
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
    array = pa.array(cells, pa.string(), from_pandas=True)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _passed(verdict: _Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    passed: np.ndarray[tuple[int], np.dtype[np.bool_]] = pc.fill_null(verdict, True).to_numpy()
    return passed


def _str_matches(pattern: str) -> pandera.Check:
    return _check(lambda cells: pc.match_substring_regex(cells, pattern), f"str_matches(re.compile('{pattern}'))")


def _isin(words: list[str]) -> pandera.Check:
    wanted = pa.array(words, pa.string())
    return _check(lambda cells: pc.or_kleene(pc.is_null(cells), pc.is_in(cells, value_set=wanted)), f"isin({words})")


def _well_formed(pattern: str, cells: _Array) -> _Array:
    """Null where the text does not look like a datetime: another check says so."""
    return pc.if_else(pc.match_substring_regex(cells, pattern), cells, None)


def _exists(pattern: str, cells: _Array) -> _Array:
    """True where the calendar has the day and the clock the time.

    Arrow refuses a whole array for one value, without saying which; and it knows a year 0000, which the calendar does not.
    """
    well_formed = _well_formed(pattern, cells)
    try:
        well_formed.cast(pa.timestamp("s"))
    except pa.ArrowInvalid:
        return pa.chunked_array([pa.array([text is None or _is_real(text) for text in well_formed.to_pylist()], pa.bool_())])
    return pc.invert(pc.starts_with(well_formed, "0000"))


def _existing(pattern: str, cells: _Array) -> _Array:
    """Null where the text is no datetime that exists, which another check says and nothing can be compared with."""
    return pc.if_else(_exists(pattern, cells), _well_formed(pattern, cells), None)


def _is_real(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _after_epoch(pattern: str, cells: _Array) -> _Array:
    return pc.greater_equal(_well_formed(pattern, cells), "1970-01-01T00:00:00")


def _not_negative(pattern: str) -> pandera.Check:
    def verdict(cells: _Array) -> _Array:
        return pc.invert(pc.and_(pc.match_substring_regex(cells, pattern), pc.starts_with(cells, "-")))

    return _check(verdict, NOT_NEGATIVE)


def _added_after_creation(pattern: str, deals: pd.DataFrame) -> pd.Series[bool]:
    created, added = (_existing(pattern, _arrow(deals[name])) for name in ("creationDatetime", "addDatetime"))
    if max(pc.max(pc.binary_length(cells)).as_py() or 0 for cells in (created, added)) <= _PLAIN_LENGTH:
        return pd.Series(_passed(pc.greater_equal(added, created)), index=deals.index)
    pairs = zip(added.to_pylist(), created.to_pylist(), strict=True)
    return pd.Series([_is_before(*pair) is not True for pair in pairs], index=deals.index)


def _is_before(one: str | None, other: str | None) -> bool | None:
    """None where nothing can be said: one is empty, or only one has an offset, while the collection's zone is not known here."""
    try:
        return datetime.fromisoformat(one or "") < datetime.fromisoformat(other or "")
    except (ValueError, TypeError):
        return None


def _closed_unless_open(deals: pd.DataFrame) -> pd.Series[bool]:
    closed, status = _arrow(deals["closedDatetime"]), _arrow(deals["status"])
    is_open = pc.fill_null(pc.equal(status, "open"), False)
    return pd.Series(_passed(pc.or_(pc.is_valid(closed), is_open)), index=deals.index)


def _text(*, null: bool = True) -> pandera.Column:
    return pandera.Column(nullable=null)


def _word(words: list[str], *, null: bool = True) -> pandera.Column:
    return pandera.Column(None, [_isin(words)], nullable=null)


def _moment(pattern: str, *, null: bool = True) -> pandera.Column:
    exists, after_epoch = _check(partial(_exists, pattern), EXISTS), _check(partial(_after_epoch, pattern), AFTER_EPOCH)
    return pandera.Column(None, [_str_matches(pattern), exists, after_epoch], nullable=null)


def _number(pattern: str, *, null: bool = True) -> pandera.Column:
    return pandera.Column(None, [_str_matches(pattern), _not_negative(pattern)], nullable=null)


class Model(NamedTuple):
    """The rules for each cell, and those between two cells of a row."""

    cells: pandera.DataFrameSchema
    across: dict[tuple[str, str], pandera.Check]


@cache
def deals_model(*, strict_datetimes: bool = False) -> Model:
    """The rules of a deals CSV; ``strict_datetimes`` refuses fractions and offsets."""
    datetimes = STRICT_DATETIME if strict_datetimes else DATETIME
    added, closed = partial(_added_after_creation, datetimes), _closed_unless_open
    across = {
        ("creationDatetime", "addDatetime"): pandera.Check(added, name=ADDED_AFTER_CREATION, error=ADDED_AFTER_CREATION),
        ("status", "closedDatetime"): pandera.Check(closed, name=CLOSED_UNLESS_OPEN, error=CLOSED_UNLESS_OPEN, ignore_na=False),
    }
    return Model(pandera.DataFrameSchema(_columns(datetimes), name=NAME), across)


def _columns(datetimes: str) -> dict[str, pandera.Column]:
    return {
        "id": _text(null=False),
        "name": _text(),
        "description": _text(),
        "creationDatetime": _moment(datetimes, null=False),
        "addDatetime": _moment(datetimes, null=False),
        "closedDatetime": _moment(datetimes),
        "expectedClosureDatetime": _moment(datetimes),
        "status": _word(["closed_won", "closed_lost", "open"], null=False),
        "stage": _text(null=False),
        "currentStageStartDatetime": _moment(datetimes, null=False),
        "value": _number(DECIMAL, null=False),
        "numberOfSentEmails": _number(INTEGER),
        "numberOfEmailOpens": _number(INTEGER),
        "numberOfReceivedEmails": _number(INTEGER),
        "numberOfMeetings": _number(INTEGER),
        "lastInteractionDatetime": _moment(datetimes),
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
        "lastUpdateDatetime": _moment(datetimes, null=False),
        "lastSyncedAt": _moment(datetimes),
    }


COLUMNS = tuple(deals_model().cells.columns)
"""All 35, in the order of the specification's example (S)."""

UNIQUE = pandera.DataFrameSchema({"id": pandera.Column(unique=True, nullable=True)}, name=NAME)
"""The rule for the ids of a whole file; a null id is the cell's own failure, said once."""
