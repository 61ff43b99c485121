"""The end of a run in Prefect's run list: a name that says what happened, a state whose message says why, a report on failure too."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from contextlib import suppress
from textwrap import shorten
from typing import Any, ParamSpec

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.errors import AppendRejected, CollectionBusy, DealcastError, FileTrouble, LockLost, OutcomeUnknown, StoppedByGate, StoppedByGuard
from flows.ledger.store import Ledger
from flows.ledger.unfinished import options_of
from flows.options import SyncOptions
from flows.runtime.atomic_files import write_whole
from flows.runtime.step_log import log_intended_plainly
from flows.settings import load_settings
from flows.ui.artifacts import links, show_progress, show_report
from flows.ui.events import tell_cancelled, tell_change
from flows.ui.inert_text import inert, markdown_table
from flows.ui.origin import known_as, origin_line
from flows.ui.remedies import remedies
from flows.ui.report import REPORT, Outcome
from flows.ui.run_name import by_id, name_run

P = ParamSpec("P")
FlowEnd = State[Any] | Outcome

_EXCERPT = 160

WATCHED: dict[str, Any] = {
    "on_completion": [tell_change],
    "on_failure": [tell_change],
    "on_crashed": [tell_change],
    "on_cancellation": [tell_cancelled],
}
"""The hooks of a flow whose deployments people are told about."""


def concluded(subject: Callable[P, str]) -> Callable[[Callable[P, FlowEnd]], Callable[P, State[Any]]]:
    """Make a flow's or task's body end in a state that says what happened; inside a flow, its run is named after it too.

    An error that dealcast raises on purpose ends in a failed state, under its own or the standard name, since automations on
    failed runs listen to `Failed`; the message begins with :func:`title`. ``subject`` finds the collection in the arguments.
    """

    def decorate(body: Callable[P, FlowEnd]) -> Callable[P, State[Any]]:
        @functools.wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
            log_intended_plainly()
            about = by_id(subject(*args, **kwargs))
            name_run(about, "at work")
            try:
                ended = body(*args, **kwargs)
            except OutcomeUnknown as error:
                ended = Failed(name="OutcomeUnknown", message=str(error), data=error)
            except DealcastError as error:
                ended = Failed(message=str(error), data=error)
            except OSError as error:
                trouble = FileTrouble.of(error)
                ended = Failed(message=str(trouble), data=trouble)
            about = by_id(subject(*args, **kwargs))
            options = next((each for each in (*args, *kwargs.values()) if isinstance(each, SyncOptions)), None)
            state = _state_of(about, ended, options)
            name_run(about, _short(state), state)
            return state

        run.__signature__ = inspect.signature(body, eval_str=True)  # type: ignore[attr-defined] # prefect reads it; text annotations would be looked up in this module
        return run

    return decorate


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


def _state_of(about: str, ended: FlowEnd, options: SyncOptions | None) -> State[Any]:
    if isinstance(ended, Outcome):
        ended = Completed(message=_sentence(ended.headline), data=ended)
    error = ended.data
    if isinstance(error, DealcastError):
        _show_failure(about, error, options)
        return Failed(name=ended.name or "Failed", message=f"{title(error)}. {ended.message}", data=error)
    show_progress(about, 100, "done")
    return ended


def _show_failure(collection: str, error: DealcastError, options: SyncOptions | None) -> None:
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


def _short(ended: State[Any]) -> str:
    """The end in a few words, for the run list."""
    if isinstance(ended.data, BaseException):
        words = title(ended.data)
        return f"{words[0].lower()}{words[1:]}"
    if isinstance(ended.data, Outcome):
        return ended.data.short
    return (ended.message or ended.name or str(ended.type)).rstrip(".")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
