"""Several collections in one run: each a task of its own on Prefect's threads, and one state for all of them in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.errors import CollectionBusy, DealcastError, StoppedByGuard
from flows.runtime.step_log import say
from flows.runtime.thread_interruption import interrupt_run
from flows.ui.artifacts import show_progress
from flows.ui.run_name import name_run

AT_ONCE = 64
"""Collections synced at the same time: waiting costs a thread each, and little else."""

THREADS = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=AT_ONCE))  # prefect's future is invariant

_SAYS_LITTLE: dict[type[DealcastError], int] = {StoppedByGuard: 1, CollectionBusy: 2}
"""Errors that people are told less of, or nothing, the higher the less: they stand for all only where there is no other."""


def states_of(
    names: Iterable[str],
    submit: Callable[[str], PrefectFuture[Any]],
    subject: str,
    done: str = "synced",
    percent: tuple[float, float] = (10, 99),
) -> dict[str, State[Any]]:
    """The states in which the tasks end; one that fails stops no other, and what ends the run from outside ends their waiting.

    The run's progress tells of them: ``subject`` is what they are called, ``done`` what each that succeeds then is, and ``percent``
    what part of the whole run this is.
    """
    good = 0
    try:
        futures = {name: submit(name) for name in names}
        for ended, future in enumerate(as_completed(list(futures.values())), start=1):
            future.wait()
            good += future.state.is_completed()
            show_ended(subject, good, ended - good, len(futures), done=done, percent=percent)
    except BaseException:  # SIGTERM, Ctrl-C, a cancellation, none of which reaches the threads
        interrupt_run()
        say("cancelled", "The run was interrupted. Start it again the same way: each collection resumes from the last recorded step.")
        raise
    return {name: future.state for name, future in futures.items()}


def show_ended(subject: str, good: int, failed: int, count: int, *, done: str = "synced", percent: tuple[float, float]) -> None:
    """Number of those of ``count`` that have ended, as the run's progress and name; ``done`` and ``percent`` as for :func:`states_of`."""
    first, last = percent
    words = f"{good:,} of {count:,} {done}" + (f", {failed:,} failed" if failed else "")
    if show_progress(subject, first + (last - first) * (good + failed) / count, f"{subject}: {words}"):
        name_run(subject, words)


def ended_as_one(states: Mapping[str, State[Any]], what: str) -> State[Any]:
    """The state of the whole run, its data the outcomes: red where any of them is, with each one's reason, of the type that says most."""
    errors = {name: state.result(raise_on_failure=False) for name, state in states.items() if not state.is_completed()}
    if not errors:
        return Completed(message=f"{len(states)} {what} synced.", data=[state.result() for state in states.values()])
    reasons = "; ".join(f"{name}: {error}" for name, error in errors.items())
    kinds = [type(error) if isinstance(error, DealcastError) else DealcastError for error in errors.values()]
    others = ", the others are synced" if len(errors) < len(states) else ""
    failed = min(kinds, key=lambda kind: _SAYS_LITTLE.get(kind, 0))(f"{len(errors)} of {len(states)} {what} failed{others}. {reasons}")
    failed.invoked = len(errors) < len(states) or any(getattr(error, "invoked", False) for error in errors.values())
    return Failed(message=str(failed), data=failed)
