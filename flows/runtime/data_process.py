"""One process beside the flow's own that reads and checks exports: a parser's crash ends it alone, and it imports while the flow begins.

It imports this module, and nothing of Prefect: that takes a second and 30 MB.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from pkgutil import resolve_name
from typing import ParamSpec, TypeVar

from flows.errors import DealcastError, Defect

P = ParamSpec("P")
R = TypeVar("R")

_TURN = threading.RLock()
_STARTED: list[tuple[ProcessPoolExecutor, BaseProcess]] = []


def start_data_process(first: str = "flows.deals.check_staged:import_libraries") -> None:
    """Start the process, unless it is alive; it calls the function ``first`` (``module:function``) before anything else."""
    with _TURN:
        if _STARTED and _STARTED[-1][1].is_alive():
            return
        with _environment_of_a_child():  # of the process, and of the one in which multiprocessing tracks what they share
            pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (first,))
            pool.submit(os.getpid)
        [process] = pool._processes.values()  # noqa: SLF001 - kill_workers() comes with Python 3.14
        _STARTED[:] = [(pool, process)]


@contextmanager
def _environment_of_a_child() -> Iterator[None]:
    """The environment that a process started meanwhile has: it imports nothing from the working directory, and knows no token."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("DEALCAST_") and name.endswith("TOKEN")]:
        del os.environ[name]
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        os.environ.pop("PYTHONSAFEPATH")
        os.environ.update(before)


def end_data_process() -> None:
    """End the process, whose memory is free for others then; one that is at work does that to its end."""
    with _TURN:
        while _STARTED:
            pool, _ = _STARTED.pop()
            pool.shutdown()  # not killed: it removes the semaphores that its libraries made


def in_data_process(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do ``work`` in the data process, one piece at a time, or here where none was started; arguments and result are pickled.

    Raises:
        DealcastError: that process ended in the middle of it.
        Interrupted: the run is being interrupted.
        DealcastError, OSError: what ``work`` raises.
        Defect: it raised something else.
    """
    from flows.runtime.thread_interruption import raise_if_interrupted  # noqa: PLC0415 - prefect, which the data process does without

    with _TURN:
        raise_if_interrupted("this was begun; nothing was sent")
        if not _STARTED:
            return _foreseen(partial(work, *args, **kwargs))
        start_data_process()
        pool, process = _STARTED[-1]
        future = None
        try:
            future = pool.submit(work, *args, **kwargs)
            return _foreseen(future.result)
        except BrokenProcessPool as error:
            pool.shutdown()  # waits for the exit code
            code = process.exitcode or 0
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            raise DealcastError(
                f"The process that reads and checks exports {how} at work on one, and nothing of it was sent. Where it "
                "says nothing above, the system has ended it, most likely for want of memory. Run the same command again."
            ) from error
        finally:
            if future is None or not future.done():  # SIGTERM, Ctrl-C, a cancellation: it would go on
                process.kill()
                pool.shutdown()


def _foreseen(result: Callable[[], R]) -> R:
    """The result; an error that nothing foresaw without its words, which would go to Prefect."""
    try:
        return result()
    except (DealcastError, OSError, BrokenProcessPool):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its words may quote a cell
        raise Defect.of(error) from None


def _begin(first: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the flow's process, which then ends this one
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a command's stdout has one object on it, or the outcome
    threading.Thread(target=_end_with_starter, daemon=True).start()
    gc.set_threshold(100_000)  # as in the command line: imports make objects that stay
    resolve_name(first)()
    gc.freeze()


def _end_with_starter() -> None:
    if starter := multiprocessing.parent_process():
        starter.join()
    os._exit(1)
