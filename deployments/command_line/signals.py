"""SIGTERM, SIGHUP and Ctrl-C in a command: they unwind it within seconds, and leave nothing of an export behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import NoReturn

from deployments.command_line.exit_codes import of_signal

UNWINDING_SECONDS = 4.0
"""The time that a command has to unwind once a signal came."""

_NAMES: dict[int, str] = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
_WAY_ON = "Run the same again: a sync resumes from the last recorded step."


def end_on_signals(*, bounded: bool = True) -> None:
    """Let SIGTERM and SIGHUP unwind a command as Ctrl-C does, so that it removes what it has of an export.

    Unless it is not ``bounded``, any of the three ends it a few seconds later at the latest: what unwinds may wait for a Prefect server
    that is gone, be in the middle of imports, or catch what the signal raises.
    """

    def end(number: int, _: object) -> NoReturn:
        sys.exit(of_signal(number))

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # else it is ignored, as under nohup, or a caller's own
            signal.signal(number, end)
    if bounded and threading.current_thread() is threading.main_thread():
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)  # told of each signal, whoever handles it in Python by then
        threading.Thread(target=_end_late, args=(told,), daemon=True).start()


def _end_late(told: int) -> None:
    """End the process some seconds after a signal that ends it, should it still be there; what it has of an export goes first."""
    while (number := os.read(told, 1)[0]) not in _NAMES:
        pass
    _end_unwound(of_signal(number), f"dealcast: ended by {_NAMES[number]} in the middle of its work. {_WAY_ON}\n")


def end_soon(code: int) -> None:
    """End the process with ``code`` in a few seconds at the latest: as it exits Prefect's client waits minutes for a lost server."""
    threading.Thread(target=_end_unwound, args=(code,), daemon=True).start()


def _end_unwound(code: int, interrupted: str = "") -> None:
    """End the process; where the command itself has not yet, say that it was ``interrupted``."""
    time.sleep(UNWINDING_SECONDS)
    if staging := sys.modules.get("flows.runtime.staging_area"):  # an import of its own could wait for the one that was interrupted
        staging.remove_own()
    with suppress(OSError, ValueError):  # nobody may read it any more
        sys.stdout.flush()
        if threading.main_thread().is_alive():
            os.write(sys.stderr.fileno(), interrupted.encode())  # not by the stream, whose lock a write that waits may hold
    os._exit(code)
