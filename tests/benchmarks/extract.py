"""How long extraction takes beside the least that the same work can cost: a bare Arrow read of the export and a bare write of the result.

``python -m tests.benchmarks extract`` (``N=`` deals, 1 000 000 by default). The export has the shape of HubSpot's: 146 columns,
every cell quoted, texts of several lines.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from flows.crm import open_export
from flows.deals.deals_csv import write_deals_csv
from tests.benchmarks.result import Row, ratio
from tests.make_demo_export import as_csv, demo_rows

ROUNDS = 3
AT_MOST = 2.0
"""Extraction may take so many times as long as a bare read and a bare write."""

_PATTERN = 20_000


def make_export(path: Path, deals: int) -> None:
    """Write ``deals`` HubSpot-shaped rows, each with its own id: a pattern of 20k, repeated."""
    header, *rows = _rows(min(_PATTERN, deals))
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(header)
        for start in range(0, deals, len(rows)):
            repeat = f'"{10 + start // len(rows)}'
            stream.writelines(repeat + row[1:] for row in rows[: deals - start])


def _rows(count: int) -> list[str]:
    """The header and ``count`` rows as HubSpot writes them."""
    header = as_csv(iter(()))
    return [header, *(as_csv(iter((row,)))[len(header) :] for row in demo_rows(count))]


def run() -> list[Row]:
    """Measure against a bare read and a bare write."""
    deals = int(os.environ.get("N", "1000000"))
    with tempfile.TemporaryDirectory(prefix="dealcast-bench-") as folder:
        export = Path(folder) / "export.csv"
        make_export(export, deals)
        table = pa.concat_tables(_tables(export))
        parts: dict[str, Callable[[], object]] = {
            "bare Arrow read of the export": lambda: _read(export),
            "bare Arrow write of the 35 columns": lambda: write_deals_csv([table], Path(folder) / "bare.csv"),
            "extract": lambda: _extract(export),
            "extract and write the 35 columns": lambda: write_deals_csv(_tables(export), Path(folder) / "deals.csv"),
        }
        times: dict[str, list[float]] = {name: [] for name in parts}
        for _ in range(ROUNDS):
            for name, part in parts.items():
                started = time.perf_counter()
                part()
                times[name].append(time.perf_counter() - started)
        medians = {name: statistics.median(seconds) for name, seconds in times.items()}
        size = export.stat().st_size / 1e6
    read, write, extract, whole = medians.values()
    return [
        *(Row(f"{deals:,} deals in HubSpot's shape, {size:.0f} MB: {name}", f"{seconds:.2f} s") for name, seconds in medians.items()),
        ratio("extract / bare read + write", extract / (read + write), at_most=AT_MOST),
        ratio("extract and write / bare read + write", whole / (read + write)),
    ]


def _read(export: Path) -> pa.Table:
    with export.open("rb") as stream:
        names = next(iter(pacsv.open_csv(stream, parse_options=pacsv.ParseOptions(newlines_in_values=True)))).schema.names
    options = pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""])
    return pacsv.read_csv(export, parse_options=pacsv.ParseOptions(newlines_in_values=True), convert_options=options)


def _extract(export: Path) -> int:
    return sum(len(frame) for frame in open_export(str(export), crm="hubspot", crm_timezone="America/New_York", timezone="Europe/Rome"))


def _tables(export: Path) -> list[pa.Table]:
    frames = open_export(str(export), crm="hubspot", crm_timezone="America/New_York", timezone="Europe/Rome")
    return [pa.Table.from_pandas(frame, preserve_index=False) for frame in frames]
