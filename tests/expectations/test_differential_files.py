"""Whole files in every shape: what extraction and gate take, the platform takes as uploaded; what they refuse, it refuses."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from deployments.sandbox.platform.validation import validate
from expectations import FileProfile, Gate
from expectations.deals_schema import COLUMN_NAMES
from expectations.row_checks import deals_table
from flows.crm import open_export
from flows.deals.deals_csv import write_deals_csv
from flows.errors import ExportError

Overrides = dict[str, str | None]
MakeFrame = Callable[[Sequence[Overrides]], pd.DataFrame]

NAMES = list(COLUMN_NAMES)
SOUND: list[Overrides] = [{"name": 'a "quoted", text\nof two lines'}, {"status": "open", "closedDatetime": None}, {"companyCity": "Zürich"}]


def as_csv(frame: pd.DataFrame, header: Sequence[str], **dialect: object) -> str:
    """The frame's rows under ``header``; a name that is no column is an empty one, and a repeated name repeats its cells."""
    out = io.StringIO()
    writer = csv.writer(out, **{"lineterminator": "\n", **dialect})  # type: ignore[arg-type]  # the dialect is the test's
    writer.writerow(header)
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        writer.writerow([row.get(name, "anything") for name in header])
    return out.getvalue()


def ours(file: Path, uploaded: Path) -> bool | None:
    """Whether the gate passes the export; None where extraction refuses it. What would be uploaded is written to ``uploaded``."""
    try:
        frames = list(open_export(str(file), crm="canonical"))
    except ExportError:
        return None
    tables = [deals_table(frame) for frame in frames]
    gate = Gate(FileProfile.of(tables))
    for frame in frames:
        gate.check(frame)
    write_deals_csv(tables, uploaded)
    return gate.report().ok


HEADERS: dict[str, tuple[list[str], bool]] = {
    "as specified": (NAMES, True),
    "reversed": (NAMES[::-1], True),
    "sorted": (sorted(NAMES), True),
    "an extra column": ([*NAMES, "owner"], True),
    "an extra column first": (["owner", *NAMES], True),
    "an extra column twice": ([*NAMES, "owner", "owner"], True),
    "without an optional column": ([name for name in NAMES if name != "companyCity"], False),
    "without a required column": ([name for name in NAMES if name != "stage"], False),
    "without the id": (NAMES[1:], False),
    "a column twice": ([*NAMES, "value"], False),
    "the id twice": (["id", *NAMES], False),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name: str, make_frame: MakeFrame, tmp_path: Path) -> None:
    """All 35 columns once, in any order, beside any others (D)."""
    header, passes = HEADERS[name]
    export, uploaded = tmp_path / "export.csv", tmp_path / "uploaded.csv"
    export.write_text(as_csv(make_frame(SOUND), header), encoding="utf-8")
    assert validate(export).passed is passes
    verdict = ours(export, uploaded)
    assert bool(verdict) is passes
    assert verdict is None or validate(uploaded).passed is verdict


SHAPES: dict[str, Callable[[str], str]] = {
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "no newline at the end": lambda text: text.removesuffix("\n"),
    "newlines at the end": lambda text: text + "\n\n",
    "a byte order mark": lambda text: "\ufeff" + text,
    "an unclosed quote": lambda text: text + '"',
    "a row too short": lambda text: text + "4,x\n",
    "a row too long": lambda text: text + text.splitlines()[-1].replace("3,", "4,", 1) + ",more\n",
    "a NUL": lambda text: text.replace("Zürich", "Zü\0rich"),
    "a header only": lambda text: text.splitlines()[0] + "\n",
    "no header": lambda text: text.split("\n", 1)[1],
    "empty": lambda _: "",
    "a wrong header": lambda text: text.replace("stage,", "Stage,", 1),
    "a blank in the header": lambda text: text.replace("stage,", " stage,", 1),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str, make_frame: MakeFrame, tmp_path: Path) -> None:
    """Nothing is uploaded that the platform refuses; what it would take as it is, is not withheld."""
    export, uploaded = tmp_path / "export.csv", tmp_path / "uploaded.csv"
    export.write_text(SHAPES[name](as_csv(make_frame(SOUND), NAMES)), encoding="utf-8", newline="")
    verdict = ours(export, uploaded)
    if verdict is not None:
        assert validate(uploaded).passed is verdict
    if name != "an unclosed quote":  # extraction reads what a person would, and what it uploads is sound
        assert bool(verdict) is validate(export).passed


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_quoting_changes_nothing(quoting: int, make_frame: MakeFrame, tmp_path: Path) -> None:
    """An empty cell is null, quoted or not."""
    export, uploaded = tmp_path / "export.csv", tmp_path / "uploaded.csv"
    frame = make_frame([*SOUND, {"stage": None}])
    export.write_text(as_csv(frame, NAMES, quoting=quoting), encoding="utf-8", newline="")
    assert ours(export, uploaded) is False
    assert not validate(export).passed
    assert validate(uploaded).failures == validate(export).failures == ((3, "stage", "not_nullable"),)


def test_what_is_read_is_uploaded_byte_for_byte(make_frame: MakeFrame, tmp_path: Path) -> None:
    export, uploaded = tmp_path / "export.csv", tmp_path / "uploaded.csv"
    write_deals_csv([pa.Table.from_pandas(make_frame(SOUND), preserve_index=False)], export)
    assert ours(export, uploaded) is True
    assert uploaded.read_bytes() == export.read_bytes()
