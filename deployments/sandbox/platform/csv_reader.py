"""Reading an uploaded CSV strictly, in batches, every cell as text.

What cannot be read as one table raises :class:`UnreadableCsv`, whose text becomes the request's ``message``.
An empty cell, or a word that pandas reads as one (A), is null, quoted or not;
nothing is trimmed or converted; columns beyond the 35 are left out (D).
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv as pacsv

from deployments.sandbox.platform.deals_rules import COLUMNS

BLOCK_BYTES = 6 << 20
"""Bytes read at a time, up to 32 times ahead of the parser. A row must fit in a block."""

BATCH_ROWS = 60_000
"""Rows handed on at a time, at least."""

NULLS = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"]
NULLS += ["<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
"""The words that ``pandas.read_csv`` reads as nothing."""

_MARKS = "\x1a\x1c"
"""The cells of the row added at the end: the first of these that is not the separator."""


class UnreadableCsv(Exception):
    """The upload is not a table of deals; the text says why."""


class _Marked(io.RawIOBase):
    """The upload followed by one last row, which a quote left open would swallow."""

    def __init__(self, upload: io.BytesIO | io.BufferedReader, last_row: bytes) -> None:
        self._upload = upload
        self._last_row = io.BytesIO(last_row)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._upload.read(size)
        return block if len(block) == size else block + self._last_row.read(size - len(block))


def read_batches(upload: bytes | Path, separator: str) -> Iterator[pa.Table]:
    """Yield the deals of ``upload`` as tables of string columns, in file order.

    Raises:
        UnreadableCsv: empty, NUL characters, not UTF-8, ragged rows, a quote never closed, a repeated column,
            or none of the known columns (which is what a wrong separator looks like).
    """
    if not separator.isascii():
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as rewritten:
            _rewrite_with_commas(upload, separator, rewritten)
            yield from read_batches(Path(rewritten.name), ",")
        return
    _refuse_nul(upload)
    header = _header(upload, separator)
    known = [name for name in header if name in COLUMNS]
    mark = _MARKS[separator == _MARKS[0]]
    last_row = "\n" + separator.join([mark] * len(header)) + "\n"
    try:
        with _open(upload) as raw:
            reader = _reader(_Marked(raw, last_row.encode()), separator, known)
            yield from _without_mark(reader, mark)
    except pa.ArrowInvalid as error:
        raise UnreadableCsv(_explain(error)) from error


def _without_mark(reader: pacsv.CSVStreamingReader, mark: str) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in reader:
        if batch.num_rows and sum(earlier.num_rows for earlier in held) >= BATCH_ROWS:
            yield pa.Table.from_batches(held)
            held = []
        held.append(batch)
    table = pa.Table.from_batches(held, reader.schema)
    if any(column[-1].as_py() != mark for column in table.columns):
        raise UnreadableCsv("The file ends inside a quoted cell: a double quote was opened and never closed.")
    yield table.slice(0, table.num_rows - 1)


def _header(upload: bytes | Path, separator: str) -> list[str]:
    try:
        with _open(upload) as raw:
            names: list[str] = _reader(_Marked(raw, b"\n"), separator, None).schema.names
    except pa.ArrowInvalid as error:
        raise UnreadableCsv(_explain(error)) from error
    except UnicodeDecodeError as error:
        raise UnreadableCsv("The header is not UTF-8 text.") from error
    repeated = [name for name, times in Counter(names).items() if times > 1 and name in COLUMNS]
    if repeated:
        raise UnreadableCsv(f"The header names these columns more than once: {', '.join(repeated)}.")
    if not set(names) & set(COLUMNS):
        raise UnreadableCsv(f"The header has none of the expected columns. Is {separator!r} the file's separator?")
    return names


def _reader(raw: object, separator: str, columns: list[str] | None) -> pacsv.CSVStreamingReader:
    return pacsv.open_csv(
        raw,
        read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
        parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(columns or (), pa.string()),
            include_columns=columns,
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            null_values=NULLS,
        ),
    )


def _open(upload: bytes | Path) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(upload) if isinstance(upload, bytes) else upload.open("rb")


def _refuse_nul(upload: bytes | Path) -> None:
    with _open(upload) as raw:
        while block := raw.read(BLOCK_BYTES):
            if b"\0" in block:
                raise UnreadableCsv("The file holds NUL characters: it is not UTF-8 text (UTF-16, or a binary file).")


def _rewrite_with_commas(upload: bytes | Path, separator: str, target: IO[str]) -> None:
    """Rewrite a file whose separator lies outside ASCII, which the fast reader cannot split at."""
    csv.field_size_limit(BLOCK_BYTES)
    try:
        with _open(upload) as raw:
            rows = csv.reader(io.TextIOWrapper(raw, encoding="utf-8-sig", newline=""), delimiter=separator)
            csv.writer(target, lineterminator="\n").writerows(rows)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableCsv(f"The file cannot be read as UTF-8 CSV: {error}.") from error
    target.flush()


def _explain(error: pa.ArrowInvalid) -> str:
    text = str(error).splitlines()[0][:200]
    if "Empty CSV" in text:
        return "The file is empty: not even a header."
    if "UTF8" in text:
        return f"The file is not UTF-8 text: {text}."
    return f"The file cannot be read as CSV: {text}."
