"""Everything that can go wrong, as one tree.

::

    DealcastError                          exit 1
    ├── Defect                                  1   an error that nothing foresaw
    ├── FileTrouble                             1   a file or folder cannot be written, or a full disk
    ├── UsageError                              2   a wrong option or setting
    │   └── LedgerDamaged                           a file of the ledger is not as it was written
    ├── ExportError                             3   the export cannot be read or mapped
    │   ├── ExportNotFound
    │   ├── ExportUnreadable
    │   └── ExportUnmappable
    ├── StoppedByGate                           4   rows that the platform would refuse
    ├── PlatformRefused      (Terminal)         5   an answer that says no
    │   ├── NotAuthorized
    │   ├── NotFound
    │   ├── AppendRejected
    │   ├── ForecastFailed
    │   └── UnexpectedAnswer
    ├── PlatformUnavailable                     6   no answer, or not yet
    │   ├── PlatformUnreachable  (Transient)
    │   ├── PlatformBusy         (Transient)
    │   ├── StillProcessing      (Transient)
    │   ├── DeadlinePassed       (Terminal)
    │   ├── UploadPostponed      (Terminal)         the platform takes no uploads: a later run sends
    │   ├── Interrupted                (Terminal)
    │   ├── CollectionBusy                          another sync of the collection is at work
    │   ├── LockLost             (Terminal)         the run was paused, and its lock ended
    │   └── PrefectAway          (Terminal)         Prefect's server went away in the middle of the run
    ├── StoppedByGuard                          7   the export as a whole is not to be trusted
    └── OutcomeUnknown       (Terminal)         8   sent, and no answer came

``Transient`` and ``Terminal`` are types: the retry condition asks for nothing else. Every message says what happened,
where (file, line, column, request id), and what to do next.
"""

from __future__ import annotations

import errno
import json
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A disk, a quota or a limit that is used up; what raises it names no file."""


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Signs that move a terminal's cursor, or turn the direction of what stands beside them; tabs and newlines are text."""


def printable(text: str) -> str:
    """``text`` with a replacement character for each control character."""
    return _CONTROLS.sub("\ufffd", text)


def quoted(text: str) -> str:
    """``text`` as a string of TOML, and of JSON, on one line: signs that no terminal shows are written as their numbers."""
    return "".join(sign if sign.isprintable() else _numbered(sign) for sign in json.dumps(text, ensure_ascii=False))


def _numbered(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) < 1 << 16 else f"\\U{ord(sign):08x}"


class Transient:
    """Marks an error that a later attempt may not meet."""

    retry_after: float | None = None
    """Seconds the platform asked to wait, if it did."""


class Terminal:
    """Marks an error that no repetition fixes."""


class DealcastError(Exception):
    """The root: catch it to catch everything that dealcast raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        return printable(super().__str__())

    invoked: bool = False
    """True if a forecast was invoked before it happened; else a report says that none was."""

    details: Sequence[Sequence[str]] = ()
    """A table of what failed, its header first, for a report; no text of a deal."""


def error_named(name: str) -> type[DealcastError]:
    """The class of that name in the tree; the root where there is none."""
    kinds: list[type[DealcastError]] = [DealcastError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return next((kind for kind in kinds if kind.__name__ == name), DealcastError)


_PLACE = re.compile(r'File ".*?/((?:flows|expectations|deployments)/[^"]*)", line (\d+)')
_OF_DEALS = ("flows/crm/", "flows/deals/", "expectations/")


class Defect(DealcastError):
    """An error that nothing foresaw, told by its kind and place: the words of one about deals may quote a cell."""

    @classmethod
    def of(cls, error: Exception) -> Defect:
        """The error in our words; of one from another process, which comes with its traceback as text, the place there."""
        trace = "".join([*traceback.format_exception(error), str(error.__cause__ or "")])
        places = _PLACE.findall(trace)
        where = f" at {places[-1][0]}, line {places[-1][1]}" if places else ""
        said = "" if any(path.startswith(_OF_DEALS) for path, _ in places) or not str(error) else f" ({error})"
        return cls(
            f"{type(error).__name__}{where}{said}: nothing foresaw this error, so it is a defect of dealcast. Report it with this line."
        )


class FileTrouble(DealcastError):
    """A file or folder of this machine, not the export, cannot be read or written."""

    @classmethod
    def of(cls, error: OSError) -> FileTrouble:
        """The error in our words; one that names no file, and is not of a disk that is full, is raised again."""
        if error.filename is None and error.errno not in _FULL:
            raise error
        where = error.filename or "A file cannot be written"
        return cls(f"{where}: {error.strerror}. Fix that, or name another place, and run the same again.")


class UsageError(DealcastError):
    """An option, argument or setting is wrong."""

    exit_code = 2


class LedgerDamaged(UsageError):
    """A file of the ledger, ``where``, is not as it was written."""

    def __init__(self, where: str = "") -> None:
        super().__init__(
            f"The ledger's file {where} is damaged: it is not as dealcast wrote it, so what a sync sent, or may have sent, is not known. "
            "Put it back from a backup; or move it away, with those beside it of the same first name, and run the sync once with --full, "
            "which sends every deal again."
        )
        self.where = where

    def __reduce__(self) -> tuple[type[LedgerDamaged], tuple[str]]:
        """It comes from the data process too."""
        return type(self), (self.where,)


class ExportError(DealcastError):
    """The export cannot be turned into deals."""

    exit_code = 3


class ExportNotFound(ExportError):
    """No file lies at the given location."""


class ExportUnreadable(ExportError):
    """The file is empty, not a table, or in an encoding that cannot be settled."""


class ExportUnmappable(ExportError):
    """The table lacks what a deal needs, or can be read in more than one way."""


class StoppedByGate(DealcastError):
    """More rows fail than the quarantine may hold; nothing was sent."""

    exit_code = 4


class PlatformRefused(Terminal, DealcastError):
    """The platform answered no."""

    exit_code = 5


class NotAuthorized(PlatformRefused):
    """The token is missing, wrong, or lacks the right (401, 403)."""


class NotFound(PlatformRefused):
    """The collection, request or invocation is unknown to the platform (404)."""


class AppendRejected(PlatformRefused):
    """The request ended in `error`: the platform's validation refused the file whole, for the named ``columns``."""

    def __init__(self, message: str = "", columns: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.columns = tuple(columns)


class ForecastFailed(PlatformRefused):
    """The invocation ended in `error`, or its primary result did."""


class UnexpectedAnswer(PlatformRefused):
    """An answer outside the contract: a body that cannot be read, a status word that is not documented."""


class PlatformUnavailable(DealcastError):
    """The platform cannot be reached or is not done."""

    exit_code = 6


class PlatformUnreachable(Transient, PlatformUnavailable):
    """The request was not sent, or a repeatable one got no answer."""


class PlatformBusy(Transient, PlatformUnavailable):
    """The platform asked to come back later (429, 502, 503, 504)."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StillProcessing(Transient, PlatformUnavailable):
    """The request or invocation is queued or in progress; the text is the progress message."""

    def __init__(self, message: str, status: str = "") -> None:
        super().__init__(message)
        self.status = status
        """The platform's word."""


class DeadlinePassed(Terminal, PlatformUnavailable):
    """The deadline passed while the platform was, and may still be, at work."""


class UploadPostponed(Terminal, PlatformUnavailable):
    """Uploads went out and were not accepted: the next one is left to a later run."""


@dataclass(frozen=True, slots=True)
class Objection:
    """A reason of the guard's to stop, what else a user may do about it, and the option by which one who has looked accepts it."""

    why: str
    accept: str
    remedy: str = ""


class StoppedByGuard(DealcastError):
    """The export as a whole looks wrong beside the last completed sync; nothing was sent."""

    exit_code = 7

    @classmethod
    def at(cls, what: str, objections: Sequence[Objection]) -> StoppedByGuard:
        """``what`` was stopped, and all the ``objections`` at once: nobody is stopped by one that another one hid."""
        remedies = " ".join(dict.fromkeys(each.remedy for each in objections if each.remedy))
        accept = " and ".join(dict.fromkeys(each.accept for each in objections if each.accept))
        again = f"If the export is right, run it again with {accept}." if accept else ""
        return cls(" ".join(filter(None, (f"{what}: {'; '.join(each.why for each in objections)}.", remedies, again))))


class OutcomeUnknown(Terminal, DealcastError):
    """A request was sent and no answer came: it may or may not have been accepted."""

    exit_code = 8


class Interrupted(PlatformUnavailable, Terminal):
    """The run was interrupted while it waited for the platform."""


class CollectionBusy(PlatformUnavailable):
    """Another sync of the same collection holds its lock."""


class LockLost(PlatformUnavailable, Terminal):
    """The run no longer holds its collection's lock: it was paused, or cut off, for longer than its lease."""

    @classmethod
    def of(cls, collection: str) -> LockLost:
        """The error in words, which are the same wherever the run notices."""
        return cls(
            f"This run lost the lock of collection {collection}: it was paused, or cut off from Prefect's server, for longer than its "
            "lease, and another sync may be at work. Nothing more was sent or invoked. Run the same again: it resumes from the last "
            "recorded step."
        )


class PrefectAway(PlatformUnavailable, Terminal):
    """Prefect's server went away in the middle of a run."""

    @classmethod
    def of(cls, error: Exception) -> PrefectAway:
        """The error in words."""
        return cls(
            f"Prefect's server went away in the middle of the run ({type(error).__name__}), so that its end is not shown there. What was "
            "sent and invoked stands in the ledger: once the server answers run the same again, which resumes from the last recorded step."
        )
