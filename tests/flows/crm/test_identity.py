"""Nothing of the deals is lost or changed on the way, however the same export is written."""

from __future__ import annotations

import csv
import io
import os
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expectations.deals_schema import COLUMN_NAMES, COLUMNS, SOURCE_LINE
from flows.crm import open_export
from flows.deals.deals_csv import write_deals_csv
from tests.flows.crm.conftest import FIXTURES, NOW, extract
from tests.make_demo_export import HEADERS, demo_rows

FULL = os.environ.get("DEALCAST_FUZZ") == "full"

# A cell is any text at all, or nothing
CELLS = st.one_of(
    st.none(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), st.text("\r\n\",; a\0'", min_size=1, max_size=5)
)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMN_NAMES, CELLS)), min_size=1, max_size=6)
SMALL = settings(max_examples=60 if FULL else 15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def _frame(location: str, crm: str = "canonical", **options: Any) -> pd.DataFrame:
    return extract(location, crm, **options)[0]


def _equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return bool(one.drop(columns=SOURCE_LINE).equals(other.drop(columns=SOURCE_LINE)))


@SMALL
@given(rows=ROWS)
def test_canonical_through_csv_is_the_identity(rows: list[dict[str, str | None]], tmp_path: Path) -> None:
    """Byte for byte, blanks, quotes, separators and line breaks in cells included; only a row without any cell filled is no deal."""
    rows = [row for row in rows if any((cell or "").strip() for cell in row.values())] or [dict.fromkeys(COLUMN_NAMES, "x")]
    table = pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in COLUMN_NAMES]))
    write_deals_csv([table], tmp_path / "once.csv")
    frame = _frame(str(tmp_path / "once.csv"))
    assert pa.Table.from_pandas(frame[list(COLUMN_NAMES)], preserve_index=False).to_pylist() == rows
    write_deals_csv([pa.Table.from_pandas(frame, preserve_index=False)], tmp_path / "twice.csv")
    assert (tmp_path / "once.csv").read_bytes() == (tmp_path / "twice.csv").read_bytes()


EXPORTS = [path for path in sorted(FIXTURES.glob("*.csv")) if ".golden." not in path.name and "report" not in path.name]


@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.name)
def test_an_export_made_canonical_is_read_as_itself(path: Path, tmp_path: Path) -> None:
    frame = _frame(str(path), path.name.partition("--")[0], timezone="Europe/Rome")
    write_deals_csv([pa.Table.from_pandas(frame, preserve_index=False)], tmp_path / "canonical.csv")
    assert _equal(_frame(str(tmp_path / "canonical.csv"), timezone="Asia/Tokyo"), frame)


def _shaped(headers: list[str], rows: list[dict[str, str]], separator: str, line_end: str, quoting: Any, encoding: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=line_end, quoting=quoting)
    writer.writerows([headers, *([row.get(name, "") for name in headers] for row in rows)])
    return text.getvalue().encode(encoding)


@SMALL
@given(
    seed=st.integers(0, 10_000),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    extra=st.lists(st.text("abcdefgh ", min_size=3, max_size=9).map(str.strip).filter(bool), max_size=3, unique=True),
)
def test_the_way_an_export_is_written_changes_nothing(
    seed: int, separator: str, line_end: str, quoting: Any, encoding: str, extra: list[str], tmp_path: Path
) -> None:
    """Row order, column order, extra columns, BOM, line ends, quoting and separator."""
    rows, chance = list(demo_rows(12, seed)), random.Random(seed)
    (tmp_path / "plain.csv").write_bytes(_shaped(HEADERS, rows, ",", "\n", csv.QUOTE_ALL, "utf-8"))
    headers, shuffled = [*HEADERS, *extra], [row | {name: f"{name}; 1,2" for name in extra} for row in rows]
    chance.shuffle(headers)
    chance.shuffle(shuffled)
    (tmp_path / "other.csv").write_bytes(_shaped(headers, shuffled, separator, line_end, quoting, encoding))
    plain, other = (
        _frame(str(tmp_path / name), "hubspot", timezone="Europe/Rome").sort_values("id", ignore_index=True)
        for name in ("plain.csv", "other.csv")
    )
    assert _equal(plain, other)


def test_batches_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deals and their lines are the whole file's, wherever the batches part it."""
    rows = list(demo_rows(300))
    (tmp_path / "deals.csv").write_bytes(_shaped(HEADERS, rows, ",", "\n", csv.QUOTE_ALL, "utf-8"))
    whole = list(open_export(str(tmp_path / "deals.csv"), crm="hubspot", now=NOW))
    monkeypatch.setattr("flows.crm.files.blocks._FIRST_BLOCK", 2000)
    monkeypatch.setattr("flows.crm.files.blocks._LARGEST_BLOCK", 5000)
    parts = list(open_export(str(tmp_path / "deals.csv"), crm="hubspot", now=NOW))
    assert len(parts) > 5
    assert pd.concat(parts, ignore_index=True).equals(pd.concat(whole, ignore_index=True))


def test_a_frame_has_the_declared_types(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_bytes(_shaped(HEADERS, list(demo_rows(3)), ",", "\n", csv.QUOTE_ALL, "utf-8"))
    frame = _frame(str(tmp_path / "deals.csv"), "hubspot")
    assert list(frame.columns) == [*(column.name for column in COLUMNS), SOURCE_LINE]
    assert {str(frame[name].dtype) for name in COLUMN_NAMES} == {"string[pyarrow]"} or all(
        frame[name].dtype == pd.ArrowDtype(pa.string()) for name in COLUMN_NAMES
    )
    assert frame[SOURCE_LINE].dtype == pd.ArrowDtype(pa.int64())
