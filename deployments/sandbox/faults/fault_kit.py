"""The fault kit: what can go wrong between a client and the platform, on demand.

A fault waits for requests whose method and path it matches, and happens to ``count`` of them after ``skip`` were let pass:

* ``drop``: the connection is closed without an answer; nothing was done
* ``drop_unread``: the same, as soon as the headers are in: the client is still sending the body
* ``drop_after_commit``: the request is done, then the connection is closed without an answer
* ``delay``: answered after ``seconds``
* ``slow``: answered bit by bit over ``seconds``
* ``status``: nothing is done, the answer is ``status``, with ``retry_after`` as its Retry-After if given
  (404 on ``*/append/*`` is a request not found right after its 202)
* ``status_after_commit``: the request is done, but the answer is ``status``
* ``flap``: every second matching request gets ``status``, the first included
* ``garbage``: done; the answer's body is ``body``, as text/html, or what ``base64`` encodes
* ``altered``: done; the answer's JSON has ``fields`` in place of its own
* ``half``: done; half of the answer, then the connection is closed
* ``no_id``: done; the answer lacks its ``id``
* ``unknown_status``: done; the answer's ``status`` is ``word``
* ``redirect``: nothing is done, 307 to ``location``
* ``stuck``: accepted, and `in_progress` until the faults are cleared
* ``fail``: accepted, and ends in `error`
* ``spoil``: an upload is accepted, but its statuses are damaged before it is validated, so that it ends in `error` with a report
* ``fail_result``: an invocation is accepted and completed, its primary result is in `error`
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal[
    "drop",
    "drop_unread",
    "drop_after_commit",
    "delay",
    "slow",
    "status",
    "status_after_commit",
    "flap",
    "garbage",
    "half",
    "altered",
    "no_id",
    "unknown_status",
    "redirect",
    "stuck",
    "fail",
    "spoil",
    "fail_result",
]

FATES = ("stuck", "fail", "spoil", "fail_result")
"""Faults of the work behind an answer, rather than of the answer."""


class Fault(BaseModel):
    """A fault to come. ``path`` is a shell pattern, ``count`` null means until cleared."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    method: str | None = None
    path: str = "*"
    count: Annotated[int, Field(ge=1)] | None = 1
    skip: Annotated[int, Field(ge=0)] = 0
    seconds: Annotated[float, Field(ge=0)] = 1.0
    status: Annotated[int, Field(ge=300, le=599)] = 503
    retry_after: str | int | None = None
    location: str | None = None
    body: str = "<html>This is not the answer that you are looking for.</html>"
    base64: str | None = None
    fields: dict[str, Any] = {}
    word: str = "paused"

    @model_validator(mode="after")
    def _redirects_somewhere(self) -> Fault:
        if self.kind == "redirect" and self.location is None:
            raise ValueError("redirect needs a location")
        return self


@dataclass(slots=True)
class _Waiting:
    fault: Fault
    matched: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Count a request if it matches, and say whether the fault happens to it."""
        fault = self.fault
        spent = fault.count is not None and self.matched >= fault.skip + fault.count
        if spent or fault.method not in {None, method} or not fnmatchcase(path, fault.path):
            return False
        self.matched += 1
        nth = self.matched - fault.skip
        return nth > 0 and not (fault.kind == "flap" and nth % 2 == 0)


class Faults:
    """The faults to come, in the order in which they were set."""

    def __init__(self) -> None:
        self._faults: list[_Waiting] = []

    def add(self, fault: Fault) -> None:
        """Wait for requests."""
        self._faults.append(_Waiting(fault))

    def clear(self) -> None:
        """Wait no more."""
        self._faults.clear()

    def waiting(self) -> list[dict[str, object]]:
        """Return the faults, each with how many requests it has matched so far."""
        return [waiting.fault.model_dump() | {"matched": waiting.matched} for waiting in self._faults]

    def take(self, method: str, path: str) -> Fault | None:
        """Return what is to happen to a request."""
        for waiting in self._faults:
            if waiting.strikes(method, path):
                return waiting.fault
        return None
