"""Workbooks (.xlsx and its kin) as rows of text, each with its row number in the sheet; parsed by a process that is bounded."""

from __future__ import annotations

import json
import marshal
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from flows.crm.files import sheet_parser
from flows.crm.values.cells import NUMERIC_CELL
from flows.errors import ExportUnreadable
from flows.runtime.atomic_files import private_folder
from flows.settings import load_settings

SheetRow = tuple[int, list[str]]
Traits = dict[str, Any]
"""Facts of a sheet that its rows do not show, by name, as `flows.crm.files.sheet_parser` finds it."""

_TIMES_ITS_SIZE = 32
"""Memory that a workbook may take beyond the setting; those of deals take some ten times their size."""

_MB_A_SECOND = 50
_MOST_SHEETS = 200
_NEEDED = ("PATH", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet that is not empty, and the names of the ``others``. ``rows`` gives its rows anew, ``traits`` is what they do not show."""

    name: str
    others: tuple[str, ...]
    rows: Callable[[], Iterator[SheetRow]]
    traits: Traits = field(default_factory=dict)


def open_sheets(path: Path, location: str) -> list[Sheet]:
    """The sheets that are not empty, each from its first row with text.

    The rows wait in a file without a name, so that nothing is left of them however this process ends.

    Raises:
        ExportUnreadable: the workbook is damaged, or takes more memory or time than its size allows.
    """
    spool = tempfile.TemporaryFile(dir=private_folder(load_settings().home_folder / "staging"))  # noqa: SIM115 -- the sheets keep it
    filled = _parsed(path, location, spool)
    if not filled:
        raise ExportUnreadable(f"{location} is a workbook without any cell filled. Export again.")
    if len(filled) > _MOST_SHEETS:
        raise ExportUnreadable(
            f"{location} is a workbook of {len(filled):,} sheets with cells, and {_MOST_SHEETS} at most are looked through, which no"
            " setting raises. Save the sheet with the deals as CSV."
        )
    names = [name for name, _, _ in filled]
    return [
        Sheet(name, tuple(other for other in names if other != name), partial(_rows, spool, place), traits)
        for name, place, traits in filled
    ]


def _parsed(path: Path, location: str, spool: IO[bytes]) -> list[tuple[str, int, Traits]]:
    """The name of each filled sheet, where in ``spool`` its rows begin, and what these do not show."""
    megabytes = max(load_settings().workbook_limit, _TIMES_ITS_SIZE * path.stat().st_size >> 20)
    seconds = max(1, megabytes // _MB_A_SECOND)
    told = {
        "path": [place for place in sys.path if Path(place).is_absolute()],
        "memory": megabytes << 20,
        "seconds": seconds,
        "disk": megabytes << 21,
        "rows": spool.fileno(),
        "mark": NUMERIC_CELL,
    }
    with path.open("rb") as book:
        ended = subprocess.run(  # noqa: S603 -- our own interpreter and our own file
            [sys.executable, "-I", "-S", sheet_parser.__file__, json.dumps(told)],
            stdin=book,
            capture_output=True,
            check=False,
            pass_fds=[spool.fileno()],
            env={name: os.environ[name] for name in _NEEDED if name in os.environ},
        )
    if ended.returncode == 0:
        return [(name, place, traits) for name, place, traits in json.loads(ended.stdout)]
    if ended.returncode in {sheet_parser.TOO_LARGE, -signal.SIGABRT, -signal.SIGXCPU, -signal.SIGXFSZ, -signal.SIGKILL}:
        raise ExportUnreadable(
            f"{location} is a workbook that takes more than {megabytes:,} MB of memory or {seconds} s of the processor to open; "
            "DEALCAST_WORKBOOK_LIMIT (MB) bounds both. Save the sheet with the deals as CSV, or raise it, if it is a file that you trust."
        )
    why = json.loads(ended.stdout) if ended.returncode == sheet_parser.DAMAGED else "its parser failed"
    raise ExportUnreadable(
        f"{location} is a workbook that cannot be opened ({why}). If it has a password, save it without; else export again."
    )


def _rows(spool: IO[bytes], place: int) -> Iterator[SheetRow]:
    """A sheet's rows; the file may be read elsewhere between two of its batches."""
    number = 0
    while True:
        spool.seek(place)
        if not (rows := marshal.load(spool)):  # noqa: S302 -- written by the parser, which is ours
            return
        place = spool.tell()
        for cells in rows:
            number += 1
            yield number, cells
