"""Checksums in the ledger's files: what was damaged on the disk, or by hand, is found when it is read, and never taken for true.

JSON has it as its first key, a line of text before it, Parquet between its last page and its footer, where readers do not look.
Files of earlier versions have none.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from xxhash import xxh3_64, xxh3_64_hexdigest

from flows.errors import LedgerDamaged

_LINE = "xxh3:"
_SEAL = b"xxh3"
_SEALED = len(_SEAL) + 16
_PIECE = 1 << 20
_KEY = re.compile(rb'\A\{\s*"checksum": "([0-9a-f]{16})",')


def sealed_json(data: bytes) -> bytes:
    """``data``, a JSON object that is not empty, with its checksum."""
    return b'{\n "checksum": "%s",' % xxh3_64_hexdigest(data).encode() + data[1:]


def unsealed_json(data: bytes, where: str) -> bytes:
    """The JSON object, as text, whose checksum is right, or that has none.

    Raises:
        LedgerDamaged: it is wrong; ``where`` is the file.
    """
    found = _KEY.match(data)
    bare = b"{" + data[found.end() :] if found else data
    if found and xxh3_64_hexdigest(bare).encode() != found[1]:
        raise LedgerDamaged(where)
    return bare


def json_of(data: bytes, where: str) -> dict[str, Any]:
    """The same as a dictionary. Raises LedgerDamaged too where it is no JSON object."""
    try:
        return dict(json.loads(unsealed_json(data, where)))
    except (ValueError, TypeError) as error:
        raise LedgerDamaged(where) from error


def sealed_line(text: str) -> bytes:
    """One line of text and its checksum."""
    return f"{_LINE}{xxh3_64_hexdigest(text.encode())} {text}".encode()


def line_of(data: bytes | None) -> str | None:
    """The line of text; None where there is none, or it is damaged: each such line can be asked for anew."""
    try:
        said = (data or b"").decode()
    except UnicodeDecodeError:
        return None
    if not said.startswith(_LINE):
        return said if not _LINE.startswith(said) else None
    checksum, _, text = said.removeprefix(_LINE).partition(" ")
    return text if checksum == xxh3_64_hexdigest(text.encode()) else None


def seal_parquet(file: IO[bytes]) -> None:
    """Put the checksum of a Parquet file, open for reading and writing, before its footer."""
    start, tail = _footer(file)
    digest = _digest(file, start, tail)
    file.seek(start)
    file.write(_SEAL + digest + tail)
    file.seek(0)


def require_sound_parquet(source: IO[bytes], where: str) -> None:
    """Read ``source`` through, and go back to its beginning. Raises LedgerDamaged, ``where``, if its checksum is wrong."""
    start, tail = _footer(source)
    begin = max(0, start - _SEALED)
    source.seek(begin)
    found = source.read(start - begin)
    if found.startswith(_SEAL) and _digest(source, begin, tail) != found.removeprefix(_SEAL):
        raise LedgerDamaged(where)
    source.seek(0)


def _footer(file: IO[bytes]) -> tuple[int, bytes]:
    """The place of the footer, and the file from there on, which ends with the footer's length and a mark of four bytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    length = int.from_bytes(file.read(8)[:4], "little") + 8
    start = file.seek(max(0, size - length))
    return start, file.read()


def _digest(file: IO[bytes], body: int, tail: bytes) -> bytes:
    """The checksum of the first bytes of ``file``, so many as ``body`` says, and the ``tail``."""
    digest = xxh3_64()
    file.seek(0)
    while body > 0 and (piece := file.read(min(body, _PIECE))):
        body -= len(piece)
        digest.update(piece)
    digest.update(tail)
    return digest.hexdigest().encode()


@contextmanager
def named_if_damaged(where: str) -> Iterator[None]:
    """Read a Parquet file, ``where``, in the block.

    Raises:
        LedgerDamaged: it cannot be read as one; that it is not there, or out of reach, is another matter.
    """
    try:
        yield
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:  # Arrow's own has no number
            raise
        raise LedgerDamaged(where) from error
    except (LookupError, ValueError, TypeError, NotImplementedError) as error:  # Arrow's, without its import, for which status has no time
        raise LedgerDamaged(where) from error
