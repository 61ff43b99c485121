"""A process beside the flow's own that reads and checks exports: it imports what that takes while the flow's own begins.

A sync of one collection starts it before anything else; where none is started, as on a worker or for many collections, which have
their threads, the same work is done where it is asked for.
This file is also that process's program, so it imports nothing of dealcast's before it knows where that lies.
"""

from __future__ import annotations

import atexit
import gc
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pkgutil import resolve_name
from typing import IO, Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_STARTED: list[DataProcess] = []


class DataProcess:
    """Does one piece of work at a time, and ends with the process that started it, however that ends.

    Args:
        pieces: how many pieces of work it is for; it is ended after so many, and what it held is free for others. Default: any number.
        first: what it does before it is asked for anything, as ``module:function``.
    """

    def __init__(self, pieces: int | None = None, first: str = "flows.deals.selection:import_libraries") -> None:
        self._pieces, self._first, self._lock = pieces, first, threading.Lock()
        self._start()

    def _start(self) -> None:
        self._done = 0
        self._place = tempfile.TemporaryDirectory(prefix="dealcast-")  # of what is fetched or spooled: it may be killed in the middle
        (theirs, ours), (answers, theirs_too) = os.pipe(), os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, "-P", __file__, str(theirs), str(theirs_too)],
                stdout=subprocess.DEVNULL,  # that of the command has one object on it, or the outcome
                pass_fds=[theirs, theirs_too],
                process_group=0,  # a Ctrl-C is for the flow's process, which then ends this one
                env={**os.environ, "TMPDIR": self._place.name},
            )
        finally:
            os.close(theirs)
            os.close(theirs_too)
        self._requests, self._answers = os.fdopen(ours, "wb"), os.fdopen(answers, "rb")
        with suppress(BrokenPipeError):  # it has died already: the first piece of work finds out
            self._send((sys.path, self._first))

    def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do ``work`` there, in a new process where the one before has ended.

        Raises:
            DealcastError: the process was killed in the middle of this.
            Exception: what ``work`` raises, with where that was as a note.
        """
        with self._lock:
            if self._process.poll() is not None:
                self.stop()
                self._start()
            try:
                self._send((work, args, kwargs))
                good, answer = pickle.load(self._answers)  # noqa: S301 - our own process's word
            except (EOFError, OSError, pickle.UnpicklingError) as error:
                raise self._ended() from error
            except BaseException:  # SIGTERM, Ctrl-C, a cancellation: it would go on
                self.stop()
                raise
            self._done += 1
            if self._done == self._pieces:
                self.stop()
        if not good:
            raise answer
        return answer  # type: ignore[no-any-return] # what `work` returns there

    def stop(self) -> None:
        """End it at once: what it is doing is for a run that has ended."""
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._requests.close()
        self._answers.close()
        self._place.cleanup()

    def _send(self, message: Any) -> None:
        pickle.dump(message, self._requests)
        self._requests.flush()

    def _ended(self) -> Exception:
        from flows.errors import DealcastError  # noqa: PLC0415 - the process's program does not find it

        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self.stop()
        code = self._process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return DealcastError(
            f"The process that reads and checks exports {how} at work on one, and nothing of it was sent. Where it says nothing above, "
            "the system has ended it, most likely for want of memory. Run the same command again."
        )


def start_data_process(pieces: int | None = None) -> None:
    """Start one, for all that :func:`beside` is asked from now on; ``pieces`` as for :class:`DataProcess`."""
    process = DataProcess(pieces)
    atexit.register(process.stop)
    _STARTED.append(process)


def is_beside() -> bool:
    """Whether one is started in this process."""
    return bool(_STARTED)


def beside(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do ``work`` in the process beside this one, where a command has started it, else here; arguments and result are pickled.

    Raises:
        DealcastError: that process was killed in the middle of it.
        Exception: what ``work`` raises.
    """
    return _STARTED[-1].run(work, *args, **kwargs) if _STARTED else work(*args, **kwargs)


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until there are no more, whatever is being done then.

    The main thread does the work: only there does Arrow's allocator take back what threads that have ended had.
    """
    sys.path[:], first = pickle.load(requests)  # noqa: S301 - our own process's word
    gc.set_threshold(100_000)  # as in the command line: imports make objects that stay
    resolve_name(first)()
    gc.freeze()
    waiting: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), daemon=True).start()
    while True:
        _answer(answers, *waiting.get())


def _read(requests: IO[bytes], waiting: queue.SimpleQueue[tuple[Any, ...]]) -> None:
    """Hand on requests until there are no more."""
    while True:
        try:
            waiting.put(pickle.load(requests))  # noqa: S301 - our own process's word
        except EOFError:
            os._exit(0)


def _answer(answers: IO[bytes], work: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        try:
            said = pickle.dumps((True, work(*args, **kwargs)))
        except BaseException as error:  # noqa: BLE001 - raised where it was asked for
            said = pickle.dumps((False, _portable(error)))
        answers.write(said)
        answers.flush()
    except BaseException:  # noqa: BLE001 - told on stderr
        traceback.print_exc()
        os._exit(1)  # else an answer would be waited for for ever


def _portable(error: BaseException) -> BaseException:
    """``error`` as another process can have it, with where it came from as a note."""
    copy: BaseException | None = None
    with suppress(Exception):  # an exception with arguments of its own: any error of theirs
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    if type(copy) is not type(error) or str(copy) != str(error):
        copy = RuntimeError(f"{type(error).__name__}: {error}")
    copy.add_note("".join(traceback.format_exception(error)))
    return copy


if __name__ == "__main__":
    _serve(os.fdopen(int(sys.argv[1]), "rb"), os.fdopen(int(sys.argv[2]), "wb"))
