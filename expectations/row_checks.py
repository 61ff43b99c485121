"""The rows that break each rule: the whole rule book over the Arrow columns of one frame, on two threads.

Each column is read once by one exact pattern; only rows that miss it are asked why. Arrow's kernels free the GIL, so
the columns are dealt to two threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import rules
from expectations.deals_schema import COLUMN_NAMES, COLUMNS, SOURCE_LINE, Column, Kind, Null
from expectations.file_profile import FileProfile
from expectations.formats import ALMOST, LIKELY, amounts, are_null_words, holds, matches, one_chunk, sound, text

if TYPE_CHECKING:
    import pandas as pd

Positions = npt.NDArray[np.int64]
Findings = dict[tuple[str, str], Positions]
Masks = dict[str, pa.ChunkedArray]

THREADS = 2


_SLOWEST_FIRST = sorted(
    COLUMNS, key=lambda column: [Kind.DATETIME, Kind.DECIMAL, Kind.INTEGER, Kind.BOOLEAN, Kind.STRING].index(column.kind)
)
"""So that no thread is left waiting for a slow column at the end."""


def deals_table(frame: pd.DataFrame) -> pa.Table:
    """The frame's 35 text columns and its line numbers as Arrow columns, without a copy where they are Arrow already.

    Raises:
        ValueError: a column is missing, repeated or not text.
    """
    wanted = [*COLUMN_NAMES, SOURCE_LINE]
    given = list(frame.columns)
    if missing := [name for name in wanted if given.count(name) != 1]:
        raise ValueError(f"Not a deals frame: {', '.join(missing)} missing or repeated.")
    return pa.table({**{name: _column(frame, name) for name in COLUMN_NAMES}, SOURCE_LINE: _lines(frame)})


def deals_frame(table: pa.Table) -> pd.DataFrame:
    """The table as a frame on its own memory."""
    import pandas as pd  # noqa: PLC0415 - half a second of import, which those who keep to tables are spared

    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _column(frame: pd.DataFrame, name: str) -> pa.ChunkedArray:
    try:
        return text(pa.chunked_array(pa.array(frame[name], from_pandas=True)))
    except (TypeError, pa.ArrowException) as error:
        raise ValueError(f"Not a deals frame: {name} must be text, and is {frame[name].dtype}.") from error


def _lines(frame: pd.DataFrame) -> pa.ChunkedArray:
    lines = pa.array(frame[SOURCE_LINE], from_pandas=True)
    if not pa.types.is_integer(lines.type) and len(lines):
        raise ValueError(f"Not a deals frame: {SOURCE_LINE} must be line numbers, and is {frame[SOURCE_LINE].dtype}.")
    return lines.cast(pa.int64())


def _where(mask: pa.ChunkedArray) -> Positions:
    """Positions of the true entries."""
    positions: Positions = pc.indices_nonzero(mask).to_numpy().astype(np.int64)
    return positions


def _nowhere() -> Positions:
    return np.empty(0, dtype=np.int64)


def _both(*masks: pa.ChunkedArray) -> pa.ChunkedArray:
    result = masks[0]
    for mask in masks[1:]:
        result = pc.and_(result, mask)
    return result


@dataclass(frozen=True)
class RowChecks:
    """One frame's rows against all rules.

    ``now`` is naive, in the collection's timezone; without it nothing is overdue or in the future.
    """

    table: pa.Table
    profile: FileProfile
    now: datetime | None = None
    _sound: Masks = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, frame: pd.DataFrame, profile: FileProfile | None = None, now: datetime | None = None) -> RowChecks:
        """Examine ``frame``; without a profile the frame is taken for the whole file."""
        table = deals_table(frame)
        return cls(table, profile or FileProfile.of([table]), now)

    def __deepcopy__(self, memo: object) -> RowChecks:
        """Itself: pandas copies the attributes of a frame, and the row_checks rides on one."""
        return self

    @cached_property
    def findings(self) -> Findings:
        """The positions of the rows that break each rule, ascending; every rule is a key."""
        with ThreadPoolExecutor(THREADS) as pool:
            own = [finding for found in pool.map(self._own, _SLOWEST_FIRST) for finding in found]
            across = [(key, pool.submit(find)) for key, find in self._across()]
            return dict(own) | {key: found.result() for key, found in across}

    def _own(self, column: Column) -> list[tuple[tuple[str, str], Positions]]:
        """Findings on a column's cells by themselves."""
        return [((column.name, name), positions) for name, positions in self._cells(column)]

    def _cells(self, column: Column) -> Iterator[tuple[str, Positions]]:
        values = self.table[column.name]
        if column.null is Null.FORBIDDEN:
            yield rules.REQUIRED, _where(pc.is_null(values))
            if column.kind is Kind.STRING and not column.choices:  # the others' own rules refuse these words
                yield rules.NO_NULL_WORD, _where(are_null_words(values))
        if column.unique:
            yield rules.UNIQUE, self.profile.duplicated(values)
        if column.choices:
            yield rules.ONE_OF, _where(pc.invert(_is_in(values, column.choices)))
        match column.kind:
            case Kind.STRING if not column.choices:
                yield rules.NO_NUL, _where(pc.match_substring(values, "\0")) if holds(values, b"\0") else _nowhere()
            case Kind.BOOLEAN:
                yield column.kind.value, _where(pc.invert(_is_in(values, ("true", "false"))))
            case Kind.DATETIME | Kind.DECIMAL | Kind.INTEGER:
                yield from self._patterned(column, values)

    def _patterned(self, column: Column, values: pa.ChunkedArray) -> Iterator[tuple[str, Positions]]:
        self._sound[column.name] = sound(values, column.kind)
        wrong = _where(pc.invert(self._sound[column.name]))
        almost = matches(one_chunk(values).take(pa.array(wrong)), ALMOST[column.kind]).to_numpy(zero_copy_only=False).astype(bool)
        wholly = wrong[~almost]
        likely = matches(one_chunk(values).take(pa.array(wholly)), LIKELY[column.kind]).to_numpy(zero_copy_only=False).astype(bool)
        yield column.kind.value, wholly[~likely]
        yield rules.PLAIN, wholly[likely]
        if column.kind is Kind.DATETIME:
            yield rules.SINCE_1970, wrong[almost]
            yield rules.NOT_FAR_AHEAD, self._far_ahead(column.name)
        else:
            yield rules.NOT_NEGATIVE, wrong[almost]

    def _far_ahead(self, column: str) -> Positions:
        if self.now is None:
            return _nowhere()
        later = pc.greater(self.table[column], f"{self.now.year + rules.YEARS_AHEAD}-12-31T23:59:59")
        if not pc.any(later).as_py():
            return _nowhere()
        far = _both(later, self._sound[column])
        self._sound[column] = pc.and_(self._sound[column], pc.invert(far))
        return _where(far)

    def _across(self) -> Iterator[tuple[tuple[str, str], Callable[[], Positions]]]:
        """Findings on two cells together, or on a cell and the clock or the file."""
        for column in COLUMNS:
            if column.not_before:
                first, then = column.not_before, column.name
                yield (then, rules.not_before(first)), partial(self._before, then, first)
            if column.null is Null.WHILE_OPEN:
                yield (column.name, rules.CLOSED_NEEDS_DATE), partial(self._needs_date, column.name)
        yield ("closedDatetime", rules.CLOSED_BEFORE_CREATED), partial(self._days_before, "closedDatetime", "creationDatetime")
        yield ("closedDatetime", rules.CLOSED_IN_FUTURE), self._closed_in_future
        yield ("expectedClosureDatetime", rules.LONG_OVERDUE), self._long_overdue
        yield (
            ("currentStageStartDatetime", rules.STAGE_BEFORE_CREATED),
            partial(self._days_before, "currentStageStartDatetime", "creationDatetime"),
        )
        yield ("value", rules.WON_WITHOUT_VALUE), self._won_without_value
        yield ("value", rules.OUTLIER), self._outliers

    def _before(self, column: str, other: str) -> Positions:
        """ISO datetimes sort as text; cells that are wrong by themselves are not compared."""
        return _where(_both(pc.less(self.table[column], self.table[other]), self._sound[column], self._sound[other]))

    def _days_before(self, column: str, other: str) -> Positions:
        """As `_before`; where one of the two is a day, which is written as its midnight, days are compared."""
        positions = self._before(column, other)
        cells = [one_chunk(self.table[name]).take(pa.array(positions)) for name in (column, other)]
        day = pc.or_(*[pc.ends_with(texts, "T00:00:00") for texts in cells])
        same = pc.equal(*[pc.utf8_slice_codeunits(texts, 0, 10) for texts in cells])
        earlier: Positions = positions[~pc.and_(day, same).to_numpy(zero_copy_only=False).astype(bool)]
        return earlier

    def _needs_date(self, column: str) -> Positions:
        """Whatever is not `open` needs its closing: a missing or wrong status as well."""
        return _where(pc.and_(pc.is_null(self.table[column]), pc.invert(self._has_status("open"))))

    def _closed_in_future(self) -> Positions:
        if self.now is None:
            return _nowhere()
        later = pc.greater(self.table["closedDatetime"], f"{self.now:%Y-%m-%dT%H:%M:%S}")
        return _where(_both(later, self._sound["closedDatetime"], pc.or_(self._has_status("closed_won"), self._has_status("closed_lost"))))

    def _long_overdue(self) -> Positions:
        if self.now is None:
            return _nowhere()
        past = f"{self.now - timedelta(days=rules.OVERDUE_DAYS):%Y-%m-%dT%H:%M:%S}"
        overdue = pc.less(self.table["expectedClosureDatetime"], past)
        return _where(_both(overdue, self._sound["expectedClosureDatetime"], self._has_status("open")))

    def _has_status(self, status: str) -> pa.ChunkedArray:
        return pc.fill_null(pc.equal(self.table["status"], status), fill_value=False)

    @cached_property
    def _amounts(self) -> pa.ChunkedArray:
        return amounts(self.table["value"], self._sound["value"])

    def _won_without_value(self) -> Positions:
        return _where(pc.and_(self._has_status("closed_won"), pc.equal(self._amounts, 0)))

    def _outliers(self) -> Positions:
        stage = pc.index_in(self.table["stage"], value_set=self.profile.stages)
        low, high = self.profile.low.take(stage), self.profile.high.take(stage)
        small = pc.and_(pc.less(self._amounts, low), pc.greater(self._amounts, 0))
        return _where(pc.or_(small, pc.greater(self._amounts, high)))


def _is_in(values: pa.ChunkedArray, words: tuple[str, ...]) -> pa.ChunkedArray:
    """True if each text is one of ``words`` or null."""
    return pc.is_in(values, value_set=pa.array([*words, None]))
