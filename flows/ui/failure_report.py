"""The report of a run that failed: what happened, what to do, and that no forecast was invoked."""

from __future__ import annotations

import re
from contextlib import suppress
from textwrap import shorten

from flows.errors import AppendRejected, CollectionBusy, DealcastError, LockLost, StoppedByGate, StoppedByGuard
from flows.ledger.store import Ledger
from flows.ledger.unfinished_syncs import options_of
from flows.options import SyncOptions
from flows.runtime.atomic_files import write_whole
from flows.settings import load_settings
from flows.ui.artifacts import links, show_progress, show_report
from flows.ui.inert_text import code, inert, markdown_table
from flows.ui.provenance import known_as, origin_line
from flows.ui.report import REPORT
from flows.ui.run_name import by_id

_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)(?: ('[^']*'|[^\s`|]+))?")
_PLACEHOLDER = re.compile(r"[A-Z][A-Z|%=-]+")
_ENDS = ".,;:)`'\""

_EXCERPT = 160


def title(error: BaseException) -> str:
    """The event in a few words: `Blocked by guard`, `Refused: 2 columns`, else the error's name as words."""
    words = _words(type(error))
    if isinstance(error, AppendRejected) and error.columns:
        count = len(error.columns)
        return f"{words}: {count} column{'' if count == 1 else 's'}"
    return words


def _words(kind: type[BaseException]) -> str:
    if kind is StoppedByGuard:
        return "Blocked by guard"
    if kind is AppendRejected:
        return "Refused"
    return re.sub(r"(?<=[a-z])[A-Z]", lambda found: f" {found[0].lower()}", kind.__name__)


def show_failure(collection: str, error: DealcastError, options: SyncOptions | None) -> None:
    """The report of a run that failed: what happened, and that no forecast was invoked if none was, readable without a log."""
    show_progress(collection, 100, title(error).lower())
    what = title(error)
    text = re.sub(r"\n(?! *- )", "\n\n", str(error))  # in Markdown a line after a list would be the list's
    forecast = "" if error.invoked else "**Forecast not invoked.** "
    parts = [f"# {inert(known_as(collection))}: {what}", f"{forecast}{inert(text)}"]
    if table := remedies(str(error)):
        parts += ["## What to do", table]
    if error.details:
        parts += ["## What failed", markdown_table(error.details)]
    if isinstance(error, StoppedByGate) and error.details:
        parts.append(f"The rows: {links(collection, ['rejected'])}")
    report = "\n\n".join([*parts, origin_line(collection), ""])
    show_report(collection, report, shorten(f"{what}. {error}", _EXCERPT, placeholder=" ..."))
    if not isinstance(error, CollectionBusy | LockLost):  # the folder's report is that of the sync that is, or was, at work meanwhile
        _keep_report(collection, options, report)


def _keep_report(collection: str, options: SyncOptions | None, report: str) -> None:
    """Put a failed run's report in the place of the last success's; a resumed sync's lies where its first run put it."""
    with suppress(DealcastError, OSError, ValueError):
        settings = load_settings()
        if options is None:
            options = next((options_of(entry) for entry in reversed(Ledger(settings.ledger_url).entries(collection))), None)
        if options is None or by_id(options.collection) != collection:  # a table of many has a report of its own
            return
        folder = settings.out_folder(options.model_copy(update={"collection": collection}))
        if folder.is_dir():
            write_whole(folder / REPORT, [report.encode()])


def remedies(message: str) -> str:
    """Make a Markdown table of the options in ``message`` that a form has too; empty where there is none.

    A switch is `true` in the form; a name in capitals stands for what the user chooses.
    """
    rows = dict(filter(None, map(_row, _OPTION.finditer(message))))
    if not rows:
        return ""
    lines = [f"| {_cell(said)} | {form} |" for said, form in rows.items()]
    return "\n".join(["| on the command line | in the form, or with `prefect deployment run -p` |", "|---|---|", *lines])


def _row(found: re.Match[str]) -> tuple[str, str] | None:
    name, said = found[1].replace("-", "_"), (found[2] or "").rstrip(_ENDS.replace("'", ""))
    value = said.strip(_ENDS)
    field = SyncOptions.model_fields.get(name)
    if field is None or name == "collection":  # of another command, such as `resume`
        return None
    if field.annotation is bool:
        return f"--{found[1]}", f"set `{name}` to `true`"
    if not value or _PLACEHOLDER.fullmatch(value):
        return f"--{found[1]} {value or 'VALUE'}", f"fill in `{name}`"
    many = getattr(field.annotation, "__origin__", None) is tuple
    return f"--{found[1]} {said}", f"add {_cell(value)} to `{name}`" if many else f"set `{name}` to {_cell(value)}"


def _cell(text: str) -> str:
    """``text`` as code in a cell, which ends at any bar."""
    return code(text).replace("|", r"\|")
