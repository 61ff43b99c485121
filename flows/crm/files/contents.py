"""The content of the file: unpacked, its encoding settled, handed on as UTF-8 bytes or as a sheet's rows."""

from __future__ import annotations

import codecs
import fnmatch
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from expectations.disclosure import title_or_shape
from flows.crm.files.encodings import BOMS, CHUNK, encoding_of, refuse_twice, said_encoding, unmarked_utf16
from flows.crm.files.joined_parts import joined, same_header
from flows.crm.files.workbooks import SheetRow, Traits, open_sheets
from flows.crm.values.cells import NUMERIC_CELL
from flows.errors import ExportUnreadable
from flows.settings import load_settings

_NO_TABLE = {
    b"%PDF": "a PDF",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "a database",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"BZh91AY": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"ARROW1": "an Arrow file",
    b"Obj\x01": "an Avro file",
    b"PK\x03\x04": "an archive or a workbook within an archive",
    b"\x1f\x8b": "an archive within an archive",
}
_MADE_BY_MACOS = re.compile(r"__MACOSX|(?:.*/)?\._")
_HEAD_ROWS = 200
_BOOKS = (b"\xd0\xcf\x11\xe0", b"PK\x03\x04")

_NO_BOMB, _LARGEST_RATIO = 256 << 20, 200
"""Bytes that any archive may unpack to, and how many times its size a larger one may."""

_MOST_PARTS, _MOST_PADDING, _MOST_MEMBERS = 1000, 64 << 10, 100_000

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)

_GZIP, _PACKED = 31, 64 << 10
"""zlib's word for gzip's header and checksum; bytes that are read of a packed file at a time."""

DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, zipfile.LargeZipFile)
"""The errors that reading a damaged archive raises, if only at its end."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A table's text. Either ``open`` gives UTF-8 bytes without BOM, any number of times, or ``rows`` a sheet's rows.

    ``member`` is the file of an archive or the sheet of a workbook that is read, ``unread`` the filled sheets that are not.
    ``sheets`` has all filled sheets of a workbook, this one too; ``traits`` what the sheet's rows do not show; ``cuts`` has, once
    the text was read, the lines in which a part of it ends without a line end; ``guess`` the letters beyond ASCII where the encoding
    is a guess.
    """

    encoding: str
    open: Callable[[], BinaryIO] | None
    rows: Callable[[], Iterator[SheetRow]] | None = None
    member: str | None = None
    unread: tuple[str, ...] = ()
    guess: str | None = None
    sheets: tuple[Contents, ...] = ()
    traits: Traits = field(default_factory=dict)
    cuts: AbstractSet[int] = frozenset()


def form_of(encoding: str, separator: str | None, member: str | None, unread: Sequence[str], guess: str | None = None) -> str:
    """The form of a table, in words: its encoding and separator, the file or sheet that is read, the sheets that are not."""
    parts = [f"{encoding} (a guess, by the letters {guess}; --encoding names another)" if guess else encoding]
    if separator is not None:
        parts.append(f"separator {separator!r}")
    if member is not None:
        parts.append(f"{'file' if separator else 'sheet'} {member!r}")
    if unread:
        parts.append(f"not read: {', '.join(map(repr, unread))}")
    return ", ".join(parts)


def read_contents(path: Path, location: str, members: tuple[str, ...] = (), encoding: str | None = None) -> Contents:
    """Unpack ``path`` and settle its encoding, unless ``encoding`` says it.

    ``members`` are patterns of the one file to take from a zip that holds several. Raises ExportUnreadable for what is
    empty, not a table, damaged, or in an encoding that cannot be settled.
    """
    try:
        return _contents(path, location, members, encoding)
    except DAMAGED as error:
        raise damaged(location, error) from error
    except OSError as error:
        raise ExportUnreadable(f"{location} cannot be read: {error}.") from error


def damaged(location: str, error: Exception) -> ExportUnreadable:
    """The error to raise where reading raises one of :data:`DAMAGED`."""
    why = type(error).__name__ if "'" in str(error) else error  # what it quotes is of the archive
    return ExportUnreadable(f"{location} is a damaged archive ({why}). Download it again.")


def _contents(path: Path, location: str, members: tuple[str, ...], said: str | None) -> Contents:
    with path.open("rb") as stream:
        head = stream.read(8)
    if not head:
        raise ExportUnreadable(f"{location} is empty (0 bytes). Export again.")
    if head.startswith(b"\x1f\x8b"):
        return _text(lambda: _unpacked(path, location), location, said)
    if head.startswith(_BOOKS[0]) or (head.startswith(_BOOKS[1]) and _is_workbook(path)):
        if head.startswith(_BOOKS[1]):
            _refuse_packed_book(path, location)
        sheets = tuple(
            Contents(
                "workbook", None, sheet.rows, title_or_shape(sheet.name), tuple(map(title_or_shape, sheet.others)), traits=sheet.traits
            )
            for sheet in open_sheets(path, location)
        )
        for sheet in sheets if said is None else ():
            refuse_twice(_first_rows(sheet), f"{location} (sheet {sheet.member!r})")
        return replace(sheets[0], sheets=sheets)
    if head.startswith(_BOOKS[1]):
        return _member(path, location, members, said)
    return _text(lambda: path.open("rb"), location, said)


def _first_rows(sheet: Contents) -> Iterator[tuple[int, bytes]]:
    rows = sheet.rows() if sheet.rows else iter(())
    return ((number, "\n".join(cells).replace(NUMERIC_CELL, "").encode("utf-8", "replace")) for number, cells in islice(rows, _HEAD_ROWS))


def _is_workbook(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.startswith(("xl/", "content.xml")) for name in archive.namelist())


def _refuse_packed_book(path: Path, location: str) -> None:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    _refuse_bomb(sum(info.file_size for info in infos), sum(info.compress_size for info in infos), location)


def _member(path: Path, location: str, members: tuple[str, ...], said: str | None) -> Contents:
    archive = zipfile.ZipFile(path)  # read once: a directory of many files takes a while; closed with the last that opens from it
    infos = [info for info in archive.infolist() if not info.is_dir() and not _MADE_BY_MACOS.match(info.filename) and info.file_size]
    tables = [info for info in infos if Path(info.filename).suffix.lower() in {".csv", ".tsv", ".txt"}] or infos
    wanted = [info for info in tables if any(fnmatch.fnmatch(Path(info.filename).name, pattern) for pattern in members)]
    chosen = wanted or tables
    names = ", ".join(title_or_shape(info.filename) for info in chosen[:8])
    if not chosen:
        raise ExportUnreadable(f"{location} is a zip without a table in it. Export again.")
    if len(chosen) > _MOST_PARTS:
        raise ExportUnreadable(
            f"{location} holds {len(chosen):,} files, and an export has {_MOST_PARTS:,} parts at most. Unpack it and give the one with the"
            " deals."
        )
    if any(info.flag_bits & 1 for info in chosen):
        raise ExportUnreadable(f"{location} is encrypted. Unpack it with its password first.")
    if any(info.compress_type not in _METHODS for info in chosen):
        raise ExportUnreadable(f"{location} is a zip packed by a method that is not read here. Unpack it and give the file with the deals.")
    _refuse_bomb(sum(info.file_size for info in chosen), sum(info.compress_size for info in chosen), location)
    parts = [partial(_opened_member, archive, info) for info in chosen]
    if len(chosen) > 1 and not same_header(parts):
        raise ExportUnreadable(
            f"{location} holds {len(chosen)} files ({names}), and their first lines differ, so they are no parts of one export."
            " Unpack it and give the one with the deals."
        )
    name = ", followed by ".join(title_or_shape(info.filename) for info in chosen)
    if Path(chosen[-1].filename).suffix.lower() in {".xlsx", ".xls", ".xlsm", ".ods"}:
        raise ExportUnreadable(f"{location} holds the workbook {name}. Unpack it and give the workbook itself.")
    cuts = set[int]()
    raw = parts[0] if len(parts) == 1 else partial(joined, parts, cuts)
    contents = _text(raw, f"{location} ({name})", said)
    return replace(contents, member=name, cuts=cuts)


def _opened_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    return cast("BinaryIO", archive.open(member))


def _text(raw: Callable[[], BinaryIO], location: str, said: str | None) -> Contents:
    with raw() as stream:
        head = stream.read(1 << 16)
    if not head.strip():
        raise ExportUnreadable(f"{location} holds nothing but blanks. Export again.")
    _refuse_no_table(head, location)
    encoding, guess = (found := said_encoding(said, head) if said else encoding_of(raw, head, location)).name, found.guess
    text = head.decode(encoding, errors="ignore")
    carriage_returns = _ends_in_carriage_returns(text)
    return Contents(encoding.removesuffix("-sig"), lambda: _opened(raw(), encoding, carriage_returns=carriage_returns), guess=guess)


def _ends_in_carriage_returns(text: str) -> bool:
    """True if lines end in carriage returns alone (old Mac): outside of quotes there are more of them than of newlines."""
    bare = re.sub(r'"[^"]*"', "", text)
    return len(re.findall(r"\r(?!\n)", bare)) > bare.count("\n")


def _refuse_no_table(head: bytes, location: str) -> None:
    found = next((what for magic, what in _NO_TABLE.items() if head.startswith(magic)), None)
    text = head[:2000].replace(b"\0", b"").decode("utf-8", errors="ignore").strip("\ufeff \r\n\t").casefold()
    if text.startswith(("<!doctype html", "<html")):
        found = "an HTML page (a login page saved in place of the export?)"
    elif text.startswith(("<?xml", "{", "[{")):
        found = "XML" if text.startswith("<") else "JSON"
    elif b"\0" in head.partition(b"\n")[0] and not head.startswith(tuple(bom for bom, _ in BOMS)) and not unmarked_utf16(head[:4096]):
        found = found or "a binary file"
    if found:
        raise ExportUnreadable(f"{location} is {found}, not a CSV or workbook. Export the deals as CSV or XLSX.")


def _opened(stream: BinaryIO, encoding: str, *, carriage_returns: bool) -> BinaryIO:
    if encoding == "utf-8-sig":
        stream.read(len(codecs.BOM_UTF8))
    if encoding in {"utf-8", "utf-8-sig"} and not carriage_returns:
        return stream
    return io.BufferedReader(_Recoded(stream, encoding, carriage_returns=carriage_returns), CHUNK)


def _refuse_bomb(unpacked: int, packed: int, location: str) -> None:
    """Raise ExportUnreadable for more than `DEALCAST_UNPACKED_LIMIT`, and for a ratio that no table has."""
    limit = load_settings().unpacked_limit
    if unpacked > min(limit << 20, max(_NO_BOMB, packed * _LARGEST_RATIO)):
        what = f"more than {limit:,} MB" if unpacked > limit << 20 else f"more than {_LARGEST_RATIO} times its size"
        raise ExportUnreadable(
            f"{location} unpacks to {what}: DEALCAST_UNPACKED_LIMIT (MB) bounds the first, and no table is packed so tightly as the second."
            " Unpack it yourself and give the file, if it is one that you trust."
        )


def _unpacked(path: Path, location: str) -> BinaryIO:
    return io.BufferedReader(_Unpacked(path, location), CHUNK)


class _Unpacked(io.RawIOBase):
    """A gzip file's text, up to the bounds. Python's own reader takes seconds for a member of no text, and for a megabyte of zeros."""

    def __init__(self, path: Path, location: str) -> None:
        self._packed = path.open("rb")
        self._size, self._location = path.stat().st_size, location
        self._pending, self._member = b"", zlib.decompressobj(_GZIP)
        self._read = self._padding = 0
        self._members = 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the one buffer type that BufferedReader passes
        while self._fill():
            text = self._member.decompress(self._pending, len(buffer))
            self._pending = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if text:
                buffer[: len(text)] = text
                self._count(len(text))
                return len(text)
        return 0

    def _fill(self) -> bool:
        """Have something to unpack, behind the end of a member the next one; False at the end. Raises EOFError within a member."""
        while True:
            self._pending = self._pending or self._packed.read(_PACKED)
            if not self._member.eof:
                if not self._pending:
                    raise EOFError("it ends in the middle")
                return True
            if not self._pending:
                return False
            left = self._pending.lstrip(b"\0")  # as tapes and disks pad
            self._pad(len(self._pending) - len(left))
            self._pending = left
            if left:
                self._next_member()
                return True

    def _pad(self, zeros: int) -> None:
        self._padding += zeros
        if self._padding > _MOST_PADDING:
            raise ExportUnreadable(f"{self._location} has more than {_MOST_PADDING >> 10} KB of zeros behind its text. Download it again.")

    def _next_member(self) -> None:
        self._padding, self._members, self._member = 0, self._members + 1, zlib.decompressobj(_GZIP)
        if self._members > _MOST_MEMBERS:
            raise ExportUnreadable(
                f"{self._location} is a gzip of more than {_MOST_MEMBERS:,} members, which no setting raises. Unpack it yourself and give"
                " the file, if it is one that you trust."
            )

    def _count(self, read: int) -> None:
        self._read += read
        if self._read > _NO_BOMB:
            _refuse_bomb(self._read, self._size, self._location)

    def close(self) -> None:
        self._packed.close()
        super().close()


class _Recoded(io.RawIOBase):
    """Another encoding as UTF-8, chunk by chunk; lone carriage returns (old Mac line ends) become newlines."""

    def __init__(self, stream: BinaryIO, encoding: str, *, carriage_returns: bool) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder(encoding)().decode
        self._carriage_returns = carriage_returns
        self._ready = b""
        self._returned = False
        self._first = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the one buffer type that BufferedReader passes
        while not self._ready:
            raw = self._stream.read(CHUNK)
            text = self._decode(raw, final=not raw)
            if self._first and text:
                text, self._first = text.removeprefix("\ufeff"), False
            self._ready = (self._newlines(text, last=not raw) if self._carriage_returns else text).encode("utf-8")
            if not raw:
                break
        taken, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def _newlines(self, text: str, *, last: bool) -> str:
        """The text with newlines for carriage returns, and for a return with its newline; one at the end waits for what follows."""
        text, self._returned = ("\r" if self._returned else "") + text, False
        if text.endswith("\r") and not last:
            text, self._returned = text[:-1], True
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def close(self) -> None:
        self._stream.close()
        super().close()
