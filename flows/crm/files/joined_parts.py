"""Parts of one export, which repeat its header, as one text. Lines count through all of them."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

_HEADER = 1 << 16
_NUMBERED = re.compile(r"(?P<stem>.*?)(?P<before>[-_. ]|part)(?P<number>[1-9][0-9]{0,2})")
_A_DAY = re.compile(r"(?:19|20)\d{2}[-_.]?\d{1,2}$")
"""Before the last number of a name: that number is the day of a date, and not a part's."""

_ONE_EXPORT = 3600
"""Seconds that lie between the parts of one export at most."""

Opener = Callable[[], BinaryIO]


def same_header(parts: Sequence[Opener]) -> bool:
    """True if all parts begin with the same line, which has several cells."""
    headers = {_first_line(part) for part in parts}
    return len(headers) == 1 and any(separator in next(iter(headers)) for separator in (b",", b";", b"\t", b"|"))


def joined(parts: Sequence[Opener], cuts: set[int]) -> BinaryIO:
    """The parts, one after the other; ``cuts`` takes the lines that are a part's last and have no line end."""
    return io.BufferedReader(_Joined(parts, cuts), 1 << 20)


def parts_of(newest: Path) -> list[Path]:
    """The files that the export in ``newest`` is parted into: the same name, numbers from 1 on in the order of writing, one header.

    Only ``newest`` itself where there are no others of the same hour. A number that stands for a day is no part's.
    """
    found = _NUMBERED.fullmatch(newest.stem) if newest.suffix.lower() in {".csv", ".tsv", ".txt"} else None
    if found is None or _A_DAY.search(found["stem"]):
        return [newest]
    parts = []
    for number in range(1, 1000):
        part = newest.with_name(f"{found['stem']}{found['before']}{number}{newest.suffix}")
        if not part.is_file() or abs(part.stat().st_mtime - newest.stat().st_mtime) > _ONE_EXPORT:
            break
        parts.append(part)
    written = [part.stat().st_mtime for part in parts]
    one = len(parts) > 1 and parts[-1] == newest and written == sorted(written) and same_header([part_opener(part) for part in parts])
    return parts if one else [newest]


def part_opener(path: Path) -> Opener:
    """Open the file at ``path``, when asked."""
    return lambda: path.open("rb")


def _first_line(part: Opener) -> bytes:
    with part() as stream:
        head = stream.read(_HEADER)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return b""  # such texts are not joined: what parts them is not one byte
    return re.split(rb"[\r\n]", head.removeprefix(codecs.BOM_UTF8), maxsplit=1)[0]


class _Joined(io.RawIOBase):
    """Streams one after the other, with a line break between where a part ends without one."""

    def __init__(self, parts: Sequence[Opener], cuts: set[int]) -> None:
        self._parts, self._cuts, self._line = iter(parts), cuts, 1
        self._stream: BinaryIO | None = None
        self._last = b"\n"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the one buffer type that BufferedReader passes
        while True:
            if self._stream is None:
                opener = next(self._parts, None)
                if opener is None:
                    return 0
                self._stream = opener()
                if self._last not in b"\r\n":
                    buffer[0] = ord("\n")
                    self._last = b"\n"
                    self._cuts.add(self._line)
                    self._line += 1
                    return 1
            if read := self._stream.read(len(buffer)):
                buffer[: len(read)] = read
                self._last = read[-1:]
                self._line += read.count(b"\n")
                return len(read)
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        super().close()
