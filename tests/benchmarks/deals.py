"""Deals by the million for the benchmarks: realistic in size and spread, seeded, as the staged Arrow file of text columns."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.deals_schema import COLUMN_NAMES, COLUMNS, SOURCE_LINE, Kind, Null
from expectations.rules import OVERDUE_DAYS, YEARS_AHEAD

BATCH = 100_000
YEAR = 31_536_000
NOW = 1_750_000_000
CLOCK = datetime(2025, 6, 15)  # noqa: DTZ001  # the gate's clock is naive
OVERDUE = CLOCK - timedelta(days=OVERDUE_DAYS)
FAR_AHEAD = f"{CLOCK.year + YEARS_AHEAD}-12-31T23:59:59"
STAGES = ("Appointment scheduled", "Qualified to buy", "Presentation scheduled", "Contract sent", "Closed won", "Closed lost")
WORDS = ("supply", "renewal", "pilot", "annual", "support", "licence", "Zürich", "Oslo", "upgrade", "maintenance", "rollout", "extension")
SCHEMA = pa.schema([*((name, pa.string()) for name in COLUMN_NAMES), (SOURCE_LINE, pa.int64())])

BAD = {
    Kind.DATETIME: "2023-02-29T00:00:00",
    Kind.DECIMAL: "1,5",
    Kind.INTEGER: "-1",
    Kind.BOOLEAN: "True",
}
FAULTY = tuple(column.name for column in COLUMNS if column.kind in BAD)

Mask = npt.NDArray[np.bool_]


def write_deals(path: Path, rows: int, *, bad: float = 0.0, nulls: float = 0.0) -> Path:
    """Write ``rows`` deals, a share ``bad`` of them with one fault each, a share ``nulls`` of the nullable cells empty."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        for start in range(0, rows, BATCH):
            writer.write_table(make_deals(start, min(BATCH, rows - start), bad=bad, nulls=nulls))
    return path


def make_deals(start: int, rows: int, *, bad: float = 0.0, nulls: float = 0.0, now: int = NOW) -> pa.Table:
    """One batch of deals whose ids count from ``start``, as they would be at ``now``."""
    rng = np.random.default_rng(start)
    stage = rng.integers(0, len(STAGES), rows)
    created = rng.integers(now - 3 * YEAR, now - YEAR, rows)
    entered = created + rng.integers(0, YEAR // 4, rows)
    closed = entered + rng.integers(0, YEAR // 2, rows)
    columns = {
        "id": _texts(9_000_000_000 + start + np.arange(rows)),
        "creationDatetime": _times(created),
        "addDatetime": _times(created + rng.integers(0, 86_400, rows)),
        "closedDatetime": pc.if_else(pa.array(stage >= 4), _times(closed), None),
        "expectedClosureDatetime": pc.if_else(pa.array(stage >= 4), _times(closed), _times(now + closed - entered)),
        "status": pa.array(["open"] * 4 + ["closed_won", "closed_lost"]).take(pa.array(stage)),
        "stage": pa.array(STAGES).take(pa.array(stage)),
        "currentStageStartDatetime": _times(entered),
        "value": _texts(np.round(rng.lognormal(9, 0.7, rows), 2)),
        "companyTechnologies": pa.array(["AI;Machine Learning;Web"] * rows),
        "contactEmailDomainType": pa.array(["company", "free_provider"]).take(pa.array(rng.integers(0, 2, rows))),
    }
    for column in COLUMNS:
        if column.name not in columns:
            columns[column.name] = _ordinary(column.kind, rng, rows)
        if nulls and column.null is Null.ALLOWED:
            columns[column.name] = pc.if_else(pa.array(rng.random(rows) < nulls), None, columns[column.name])
    _spoil(columns, rng, rng.random(rows) < bad)
    table: pa.Table = pa.table({name: columns[name] for name in COLUMN_NAMES})
    return table.append_column(SOURCE_LINE, pa.array(np.arange(start + 2, start + rows + 2)))


def _texts(values: npt.NDArray[np.generic]) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _times(seconds: npt.NDArray[np.int64]) -> pa.Array:
    return pc.strftime(pa.array(seconds).cast(pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%S")


def _ordinary(kind: Kind, rng: np.random.Generator, rows: int) -> pa.Array:
    match kind:
        case Kind.DATETIME:
            return _times(rng.integers(NOW - YEAR, NOW, rows))
        case Kind.DECIMAL:
            return _texts(np.round(rng.lognormal(5, 1, rows), 2))
        case Kind.INTEGER:
            return _texts(rng.integers(0, 100, rows))
        case Kind.BOOLEAN:
            return pa.array(["true", "false"]).take(pa.array(rng.integers(0, 2, rows)))
        case _:
            words = [pa.array(WORDS).take(pa.array(rng.integers(0, len(WORDS), rows))) for _ in range(2)]
            return pc.binary_join_element_wise(*words, " ")


def _spoil(columns: dict[str, pa.Array], rng: np.random.Generator, wrong: Mask) -> None:
    """One fault in each wrong row, dealt over the columns."""
    chosen = rng.integers(0, len(FAULTY), len(wrong))
    kinds = {column.name: column.kind for column in COLUMNS}
    for number, name in enumerate(FAULTY):
        columns[name] = pc.if_else(pa.array(wrong & (chosen == number)), BAD[kinds[name]], columns[name])
