"""The forecast downloaded: the formats that the platform offers, kept whatever they hold, and read where they can be."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from flows.delivery.lifecycle import Forecast
from flows.delivery.result_table import Months, Reading, read_months
from flows.errors import NotAuthorized, PlatformRefused
from flows.nostradamus import RESULT_FORMATS, Nostradamus, ResultFormat
from flows.runtime.atomic_files import private_folder, write_whole

_TOLERANCE = 0.005  # half a cent: a spreadsheet may hold a rounded revenue


def download(platform: Nostradamus, invocation_id: str, folder: Path, require_turn: Callable[[], None]) -> Forecast:
    """Fetch the offered formats of a completed forecast into ``folder``, and read and compare them.

    ``require_turn`` is called before the first file is written: it raises where another run's files are to stay.

    Nothing in them ends a sync in an error: what cannot be read for sure is kept, and ``unread`` says why it was not read.
    A format that is not offered is not asked for, and an older file of it goes, since it is of another forecast.

    Raises:
        PlatformRefused: every format that the platform offers is refused.
    """
    contents = _contents(platform, invocation_id)
    require_turn()
    private_folder(folder)
    files: dict[str, Path] = {}
    for form in RESULT_FORMATS:
        path = folder / f"forecast.{form}"
        if form in contents:
            write_whole(path, [contents[form]])
            files[form] = path
        else:
            path.unlink(missing_ok=True)
    readings = {form: read_months(content, form) for form, content in contents.items()}
    months = next((reading.months for reading in readings.values() if reading.months), ())
    why_not = _why_not(readings, months)
    return Forecast(invocation_id, folder, files, () if why_not else months, why_not)


def _contents(platform: Nostradamus, invocation_id: str) -> dict[ResultFormat, bytes]:
    """The formats that are there: of those that the platform offers, some may be refused or answered oddly, not all."""
    contents, refused = {}, None
    for form in platform.invocation(invocation_id).offered:
        try:
            contents[form] = platform.result(invocation_id, form)
        except NotAuthorized:
            raise
        except PlatformRefused as error:
            refused = error
    if refused is not None and not contents:
        raise refused
    return contents


def _why_not(readings: dict[ResultFormat, Reading], months: Months) -> str:
    """The reason why the predictions are not known for sure; empty where they are."""
    if not readings:
        return "forecast made, none kept: the platform offers no file of it"
    if not months:
        return "forecast kept, not read: " + "; ".join(dict.fromkeys(reading.why_not for reading in readings.values()))
    others = [form for form, reading in readings.items() if reading.months and not _same(reading.months, months)]
    first = next(form for form, reading in readings.items() if reading.months)
    return f"forecast kept, not read: its {first} and {others[0]} disagree" if others else ""


def _same(some: Months, others: Months) -> bool:
    pairs = zip(some, others, strict=False)
    return len(some) == len(others) and all(a[0] == b[0] and math.isclose(a[1], b[1], abs_tol=_TOLERANCE) for a, b in pairs)
