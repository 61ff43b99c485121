"""The end of a run in Prefect's run list: a name that says what happened, a state whose message says why."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.errors import DealcastError, FileTrouble, OutcomeUnknown
from flows.options import SyncOptions
from flows.runtime.step_log import log_intended_plainly
from flows.ui.artifacts import show_progress
from flows.ui.failure_report import show_failure, title
from flows.ui.notices import tell_cancelled, tell_change
from flows.ui.report import Outcome
from flows.ui.run_name import by_id, name_run

P = ParamSpec("P")
FlowEnd = State[Any] | Outcome

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


def _state_of(about: str, ended: FlowEnd, options: SyncOptions | None) -> State[Any]:
    if isinstance(ended, Outcome):
        ended = Completed(message=_sentence(ended.headline), data=ended)
    error = ended.data
    if isinstance(error, DealcastError):
        show_failure(about, error, options)
        return Failed(name=ended.name or "Failed", message=f"{title(error)}. {ended.message}", data=error)
    show_progress(about, 100, "done")
    return ended


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
