"""Every file ends: what would take all time or memory is read within bounds, or refused in a sentence that names the bound."""

from __future__ import annotations

import gzip
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from flows.crm.files.header_row import _distinct
from flows.crm.values.cells import is_found
from flows.crm.values.numbers import parse_number
from flows.crm.values.stage_names import outcome_named
from flows.errors import ExportError, ExportUnreadable
from tests.flows.crm.bombs import workbook
from tests.flows.crm.conftest import Export, extract


def test_ten_thousand_equal_headers_are_told_apart() -> None:
    names = _distinct(["Amount"] * 10_000 + ["Amount (3)"] + [""] * 2)
    assert len(set(names)) == len(names)
    assert names[:3] == ("Amount", "Amount (2)", "Amount (3)")


@pytest.mark.parametrize("pack", ["gzip", "zip"])
def test_an_archive_that_unpacks_to_much_more_than_a_table_is_refused(pack: str, tmp_path: Path, export: Export) -> None:
    path, text = tmp_path / f"deals.{pack}", export.text().encode() + b"\n" * (260 << 20)
    if pack == "gzip":
        path.write_bytes(gzip.compress(text, 1))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("deals.csv", text)
    with pytest.raises(ExportUnreadable, match="unpacks to more than 200 times its size: DEALCAST_UNPACKED_LIMIT"):
        extract(str(path))


@pytest.mark.parametrize("behind", [b"", gzip.compress(b"7,x\n")], ids=["at the end", "between members"])
def test_a_gzip_with_many_zeros_is_refused(behind: bytes, tmp_path: Path, export: Export) -> None:
    """Python's reader takes a second for each megabyte of them; a few are padding, as tapes have."""
    path, packed = tmp_path / "deals.csv.gz", gzip.compress(export.text().encode())
    path.write_bytes(packed + bytes((64 << 10) + 1) + behind)
    with pytest.raises(ExportUnreadable, match="more than 64 KB of zeros"):
        extract(str(path))
    path.write_bytes(packed + bytes(64 << 10))
    assert len(extract(str(path))[0]) == 3


def test_a_gzip_of_a_million_members_is_refused(tmp_path: Path, export: Export) -> None:
    """Python's reader takes half a minute over them; ten thousand, as parallel packers write, are read."""
    path, empty = tmp_path / "deals.csv.gz", gzip.compress(b"")
    header, *rows = (gzip.compress(line.encode()) for line in export.text().splitlines(keepends=True))
    path.write_bytes(header + (empty + bytes(60)) * 10_000 + b"".join(rows))
    assert len(extract(str(path))[0]) == 3
    path.write_bytes(header + (empty + bytes(60)) * 1_000_000 + b"".join(rows))
    with pytest.raises(ExportUnreadable, match="a gzip of more than 100,000 members"):
        extract(str(path))


def test_a_workbook_of_many_sheets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may all be one sheet, under ten thousand names."""
    monkeypatch.setenv("DEALCAST_HOME", str(tmp_path / "home"))
    with pytest.raises(ExportUnreadable, match="a workbook of 10,000 sheets with cells, and 200 at most"):
        extract(str(workbook(tmp_path / "deals.xlsx", sheets=10_000)))


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "loop"])
def test_what_is_no_regular_file_is_not_opened(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have no end, or no beginning."""
    monkeypatch.chdir(tmp_path)  # a socket's path is a short one
    path = tmp_path / "deals.csv"
    make: dict[str, Callable[[socket.socket], None]] = {
        "pipe": lambda _: os.mkfifo(path),
        "socket": lambda listening: listening.bind(path.name),
        "device": lambda _: path.symlink_to("/dev/zero"),
        "folder": lambda _: path.mkdir(),
        "loop": lambda _: path.symlink_to(path),
    }
    with socket.socket(socket.AF_UNIX) as listening:
        make[kind](listening)
        with pytest.raises(ExportError, match=r"is no regular file|is a folder|No file"):
            extract(str(path))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_a_zip_that_is_damaged_or_packed_by_an_unknown_method_is_refused(method: int, tmp_path: Path, export: Export) -> None:
    """Windows packs large files by one of its own, number 9."""
    path = tmp_path / "deals.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("deals.csv", export.text())
    whole = path.read_bytes()
    assert len(extract(str(path))[0]) == 3
    path.write_bytes(whole[:60] + bytes(20) + whole[80:])
    with pytest.raises(ExportUnreadable, match=r"is a damaged archive|cannot be read"):
        extract(str(path))
    directory = bytearray(whole)
    directory[whole.index(b"PK\x01\x02") + 10] = 9
    path.write_bytes(bytes(directory))
    with pytest.raises(ExportUnreadable, match="packed by a method that is not read"):
        extract(str(path))


def test_a_damaged_gzip_is_refused(tmp_path: Path, export: Export) -> None:
    path, packed = tmp_path / "deals.csv.gz", gzip.compress(export.text().encode())
    wrong = bytearray(packed)
    wrong[-5] ^= 1
    for damaged in (packed[:-3], packed[: len(packed) // 2], packed + b"Giovanna", bytes(wrong)):
        path.write_bytes(damaged)
        with pytest.raises(ExportUnreadable, match="is a damaged archive"):
            extract(str(path))


def test_an_archive_of_more_files_than_an_export_has_parts_is_refused(tmp_path: Path, export: Export) -> None:
    """And its directory is read once, not once for each of them."""
    path, text = tmp_path / "deals.zip", export.text()
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1000):
            archive.writestr(f"deals-{number}.csv", text)
    with patch("flows.crm.files.contents.zipfile.ZipFile", side_effect=zipfile.ZipFile) as opened:
        assert len(extract(str(path))[0]) == 3000
    assert opened.call_count < 10
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("deals-1000.csv", text)
    with pytest.raises(ExportUnreadable, match="holds 1,001 files"):
        extract(str(path))


@pytest.mark.parametrize("pack", ["gzip", "zip"])
def test_an_archive_above_the_setting_is_refused(pack: str, tmp_path: Path, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.crm.files.contents._NO_BOMB", 1 << 20)
    monkeypatch.setattr("flows.crm.files.contents._LARGEST_RATIO", 10**9)
    monkeypatch.setenv("DEALCAST_UNPACKED_LIMIT", "2")
    path, text = tmp_path / f"deals.{pack}", export.text().encode() + b"\n" * (3 << 20)
    if pack == "gzip":
        path.write_bytes(gzip.compress(text))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("deals.csv", text)
    with pytest.raises(ExportUnreadable, match="unpacks to more than 2 MB"):
        extract(str(path))
    monkeypatch.setenv("DEALCAST_UNPACKED_LIMIT", "4")
    assert len(extract(str(path))[0]) == 3


def test_a_pattern_that_python_backtracks_over_ends_by_re2() -> None:
    """Python's own matcher would not end."""
    assert not is_found(r"^(a+)+$", "a" * 224_000 + "!")
    assert is_found(r"(?i)WON", "closed won")


@pytest.mark.parametrize("text", ["1" * 224_000, "1," * 112_000, "-" * 224_000, "lost " * 45_000, " (" * 112_000 + "pipeline)"])
def test_a_cell_of_224_kilobytes_is_no_date_number_or_stage(text: str, tmp_path: Path, export: Export) -> None:
    assert parse_number(text, lambda: "point") is None
    assert outcome_named(text) is None
    frame, counts = extract(export.with_deal(1, {"Amount": text, "Close Date": text, "Deal Stage": text}).write(tmp_path / "deals.csv"))
    assert counts.deals == 3
    assert frame["stage"][1].strip() == text.strip()
