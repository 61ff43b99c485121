"""The forecast downloaded: three formats that must agree, written whole beside the certificate."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from flows.errors import UnexpectedAnswer
from flows.nostradamus import FORECAST_MONTH, FORECAST_REVENUE, RESULT_FORMATS, Nostradamus, ResultFormat
from flows.runtime.atomic_files import write_whole

Months = tuple[tuple[str, float], ...]
"""Predictions as (month ``YYYY-MM-DD``, revenue), in order of month."""

_TOLERANCE = 0.005  # half a cent: a spreadsheet may hold a rounded revenue


def download(platform: Nostradamus, invocation_id: str, folder: Path) -> tuple[dict[str, Path], Months]:
    """Fetch json, csv and xlsx of a completed forecast, compare them, and only then write them to ``folder``.

    Raises:
        UnexpectedAnswer: a format cannot be read, or two of them disagree; nothing is written.
    """
    contents = {form: platform.result(invocation_id, form) for form in RESULT_FORMATS}
    readings = {form: read_months(contents[form], form, invocation_id) for form in RESULT_FORMATS}
    _agree(readings, invocation_id)
    folder.mkdir(parents=True, exist_ok=True)
    files = {form: folder / f"forecast.{form}" for form in RESULT_FORMATS}
    for form, path in files.items():
        write_whole(path, [contents[form]])
    return {str(form): path for form, path in files.items()}, readings["json"]


def read_months(content: bytes, form: ResultFormat, invocation_id: str) -> Months:
    """The predictions in one format (A: the field names).

    Raises:
        UnexpectedAnswer: the content has no predictions with the two known fields.
    """
    try:
        rows = _READERS[form](content)
        months = tuple(sorted((str(row[FORECAST_MONTH])[:10], float(row[FORECAST_REVENUE])) for row in rows))
    except (ValueError, KeyError, TypeError, StopIteration, OSError, OverflowError, RecursionError, csv.Error) as error:
        raise UnexpectedAnswer(
            f"The {form} of invocation {invocation_id} cannot be read as a forecast ({type(error).__name__}: {error}): expected rows of "
            f"{FORECAST_MONTH!r} and {FORECAST_REVENUE!r}."
        ) from error
    if not months or not all(math.isfinite(revenue) for _, revenue in months):
        raise UnexpectedAnswer(f"The {form} of invocation {invocation_id} holds no predictions, or one that is no number.")
    return months


def _from_json(content: bytes) -> list[dict[str, Any]]:
    body = json.loads(content)
    if isinstance(body, dict):
        body = next(value for value in body.values() if isinstance(value, list))
    return list(body)


def _from_csv(content: bytes) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def _from_xlsx(content: bytes) -> list[dict[str, Any]]:
    from python_calamine import CalamineError, load_workbook  # noqa: PLC0415 - only a finished forecast needs it

    try:
        header, *rows = load_workbook(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    except CalamineError as error:
        raise ValueError(str(error)) from error
    return [dict(zip(map(str, header), row, strict=False)) for row in rows]


_READERS = {"json": _from_json, "csv": _from_csv, "xlsx": _from_xlsx}


def _agree(readings: dict[ResultFormat, Months], invocation_id: str) -> None:
    first = readings["json"]
    for form, months in readings.items():
        pairs = zip(first, months, strict=False)
        same = len(first) == len(months) and all(a[0] == b[0] and math.isclose(a[1], b[1], abs_tol=_TOLERANCE) for a, b in pairs)
        if not same:
            raise UnexpectedAnswer(
                f"Invocation {invocation_id}: its json and its {form} disagree, so neither is kept. Report it to the platform."
            )
