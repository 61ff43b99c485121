"""The exit codes of the command line, as `--help` lists them. An error's own is in its class, in `flows.errors`; the others are here."""

from __future__ import annotations

import signal

DIFFERS = 9
"""`collections verify` found differences."""


def of_signal(number: int) -> int:
    """The exit code of a command that a signal ended, as shells have it."""
    return 128 + number


EXIT_CODES = {
    0: "done",
    2: "usage",
    3: "export cannot be read or mapped",
    4: "stopped by the gate",
    5: "refused by the platform",
    6: "platform unreachable or deadline passed",
    7: "stopped by the guard",
    8: "outcome of a submit unknown",
    DIFFERS: "the collection differs from the export (collections verify)",
    of_signal(signal.SIGHUP): "ended by SIGHUP (its terminal is closed)",
    of_signal(signal.SIGINT): "ended by Ctrl-C",
    of_signal(signal.SIGTERM): "ended by SIGTERM",
    1: "anything else",
}
"""Exit code -> meaning, in the order in which people look for them."""
