"""Deals for the tests: one sound row, and frames of variations on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pytest

from expectations.deals_schema import COLUMN_NAMES, SOURCE_LINE

SOUND: dict[str, str | None] = {
    "id": "1",
    "name": "Annual supply",
    "creationDatetime": "2024-05-01T08:00:00",
    "addDatetime": "2024-05-01T08:00:00",
    "closedDatetime": "2024-06-10T09:15:30",
    "expectedClosureDatetime": "2024-06-10T09:15:30",
    "status": "closed_won",
    "stage": "Closed won",
    "currentStageStartDatetime": "2024-06-10T09:15:30",
    "value": "1000.00",
    "numberOfMeetings": "0",
    "companyIsCustomer": "true",
    "lastUpdateDatetime": "2024-06-18T12:30:45",
}

Overrides = dict[str, str | None]
MakeFrame = Callable[[Sequence[Overrides]], pd.DataFrame]


@pytest.fixture(scope="session")
def now() -> datetime:
    """When the tests' file is checked, in the collection's timezone."""
    return datetime(2024, 7, 1, 12)  # noqa: DTZ001  # the gate's clock is naive


@pytest.fixture(scope="session")
def make_frame() -> MakeFrame:
    """A deals frame of sound rows (ids 1, 2, ...; lines 2, 3, ...), each changed as told."""

    def make(rows: Sequence[Overrides]) -> pd.DataFrame:
        deals = [SOUND | {"id": str(number)} | dict(overrides) for number, overrides in enumerate(rows, start=1)]
        columns = {name: pa.array([deal.get(name) for deal in deals], pa.string()) for name in COLUMN_NAMES}
        table = pa.table({**columns, SOURCE_LINE: pa.array(range(2, len(deals) + 2), pa.int64())})
        frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    return make
