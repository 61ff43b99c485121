"""A process beside the flow's own that reads and checks exports: it imports what that takes while the flow's own begins.

A command starts it before anything else; where none is started, as on a worker, the same work is done where it is asked for.
This file is also that process's program, so it imports nothing of dealcast's before it knows where that lies.
"""

from __future__ import annotations

import atexit
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from functools import cache
from pkgutil import resolve_name
from typing import IO, Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


class DataProcess:
    """Does one piece of work at a time, and ends with the process that started it, however that ends.

    Args:
        first: what it does before it is asked for anything, as ``module:function``.
    """

    def __init__(self, first: str = "flows.selection:import_libraries") -> None:
        self._first, self._lock = first, threading.Lock()
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # a Ctrl-C is for the flow's process, which then ends this one
        )
        self._requests, self._answers = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        self._send((sys.path, self._first))

    def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do ``work`` there, in a new process where the one before was killed.

        Raises:
            DealcastError: the process was killed in the middle of this.
            Exception: what ``work`` raises, with where that was as a note.
        """
        with self._lock:
            if self._process.poll() is not None:
                self._start()
            try:
                self._send((work, args, kwargs))
                good, answer = pickle.load(self._answers)  # noqa: S301 - our own process's word
            except (EOFError, OSError, ValueError) as error:
                raise self._ended() from error
            except BaseException:  # SIGTERM, Ctrl-C, a cancellation: it would go on
                self.stop()
                raise
        if not good:
            raise answer
        return answer  # type: ignore[no-any-return] # what `work` returns there

    def stop(self) -> None:
        """End it at once: what it is doing is for a run that has ended."""
        self._process.kill()
        self._process.wait()

    def _send(self, message: Any) -> None:
        pickle.dump(message, self._requests)
        self._requests.flush()

    def _ended(self) -> Exception:
        from flows.errors import DealcastError  # noqa: PLC0415 - the process's program does not find it

        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return DealcastError(
            f"The process that reads and checks exports {how} at work on one, and nothing of it was sent. Where it says nothing above, "
            "the system has ended it, most likely for want of memory. Run the same command again."
        )


@cache
def data_process() -> DataProcess:
    """Start it, for all that :func:`beside` is asked from now on."""
    process = DataProcess()
    atexit.register(process.stop)
    return process


def beside(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do ``work`` in the process beside this one, where a command has started it, else here; arguments and result are pickled.

    Raises:
        DealcastError: that process was killed in the middle of it.
        Exception: what ``work`` raises.
    """
    if data_process.cache_info().currsize:
        return data_process().run(work, *args, **kwargs)
    return work(*args, **kwargs)


def _serve() -> None:
    """Answer requests until the input ends, whatever is being done then."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints would be taken for an answer
    sys.path[:], first = pickle.load(requests)  # noqa: S301 - our own process's word
    gc.set_threshold(100_000)  # as in the command line: imports make objects that stay
    resolve_name(first)()
    gc.freeze()
    while True:
        try:
            request = pickle.load(requests)  # noqa: S301 - as above
        except EOFError:
            os._exit(0)
        threading.Thread(target=_answer, args=(answers, *request), daemon=True).start()


def _answer(answers: IO[bytes], work: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        answer: tuple[bool, Any] = True, work(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - raised where it was asked for
        answer = False, _portable(error)
    pickle.dump(answer, answers)
    answers.flush()


def _portable(error: BaseException) -> BaseException:
    """``error`` as another process can have it, with where it came from as a note."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - an exception with arguments of its own: any error of theirs
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    _serve()
