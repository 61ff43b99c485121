"""Extraction needs no server: what its tests share is files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pytest

from flows.crm import RowCounts, open_export

FIXTURES = Path(__file__).parent / "fixtures"
NOW = datetime(2026, 11, 23, tzinfo=UTC)

DEAL = {
    "Record ID": "14316276246",
    "Deal Name": "Fjord Optics - annual supply",
    "Deal Stage": "Contract Sent",
    "Pipeline": "Sales Pipeline",
    "Amount": "9800",
    "Create Date": "2026-09-01 08:00",
    "Close Date": "2026-12-18 17:00",
    "Last Modified Date": "2026-10-30 12:00",
    "Is Deal Closed?": "false",
    "Is Closed Won": "false",
}


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> None:
    """No test here starts a flow."""


@dataclass(frozen=True)
class Export:
    """An export under construction: HubSpot's columns, and as many deals as asked for, each with its own id."""

    deals: Sequence[dict[str, str]] = field(default_factory=lambda: [DEAL | {"Record ID": str(14316276246 + n)} for n in range(3)])
    above: Sequence[Sequence[str]] = ()
    below: Sequence[Sequence[str]] = ()
    separator: str = ","
    line_end: str = "\n"
    quoting: Any = csv.QUOTE_ALL

    def each(self, **cells: str) -> Self:
        """Every deal with these cells; ``_`` in a name stands for a blank."""
        return replace(self, deals=[deal | {name.replace("_", " "): cell for name, cell in cells.items()} for deal in self.deals])

    def with_deal(self, place: int, cells: dict[str, str]) -> Self:
        """One deal with these cells."""
        return replace(self, deals=[deal | (cells if number == place else {}) for number, deal in enumerate(self.deals)])

    def without(self, *names: str) -> Self:
        """Without these columns."""
        return replace(self, deals=[{name: cell for name, cell in deal.items() if name not in names} for deal in self.deals])

    def renamed(self, **names: str) -> Self:
        """With other headers; ``_`` in the old name stands for a blank."""
        old = {key.replace("_", " "): name for key, name in names.items()}
        return replace(self, deals=[{old.get(name, name): cell for name, cell in deal.items()} for deal in self.deals])

    def text(self) -> str:
        """The file's text."""
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, delimiter=self.separator, quoting=self.quoting, lineterminator=self.line_end)
        headers = list(self.deals[0])
        writer.writerows([*self.above, headers, *([deal.get(name, "") for name in headers] for deal in self.deals), *self.below])
        return stream.getvalue()

    def write(self, path: Path, encoding: str = "utf-8") -> str:
        """Write the file and return its path."""
        path.write_bytes(self.text().encode(encoding))
        return str(path)


def extract(location: str, crm: str = "hubspot", **options: Any) -> tuple[pd.DataFrame, RowCounts]:
    """All deals in one frame, and the counts; the parts of the counts must add up."""
    extraction = open_export(location, crm=crm, now=NOW, **options)
    frames = list(extraction)
    counts = extraction.counts
    assert counts.rows == counts.deals + sum(counts.non_rows.values())
    assert counts.deals == sum(len(frame) for frame in frames)
    return (pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()), counts


@pytest.fixture
def export() -> Export:
    """Three open deals in HubSpot's shape."""
    return Export()
