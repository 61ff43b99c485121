"""The axes beside kill points and faults, as data: a name, the steps that it takes, and what is to come of them.

Each is lived with both doubles, and judged by every invariant of :mod:`tests.faults.world`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from tests.faults.cell import BEFORE, LATER, NOW
from tests.faults.world import Step

_APPEND, _STATUS, _INVOKE, _INVOCATION = "/api/collection/*/append", "/api/collection/*/append/*", "/api/invocation", "/api/invocation/*"

PAUSES = (
    "after write intended",
    "after write accepted",
    "before poll append",
    "before write completed",
    "before write indexed",
    "after write forecast intended",
    "after write forecast accepted",
    "before poll invocation",
    "before download json",
    "before write certified",
)
"""Where SIGSTOP strikes. A POST comes right behind each ``intended``: what is paused there is paused immediately before it."""

STALE = "before replace index"
"""The same with an index in hand that another machine's is newer than by then; what the export goes back to must be sent all the same."""

OUTAGES = ("before POST append", "before poll append", "before report")
"""When Prefect's server is killed: few points, since a run without it takes minutes to give up."""

FULL = (
    "before write intended",
    "before POST append",
    "after POST append",
    "before write completed",
    "before write indexed",
    "after write forecast intended",
    "after POST invocation",
    "before write forecast completed",
    "before write certified",
)
"""From where on the ledger's disk is full."""


LOST = {
    "never answered": Step(NOW, faults=({"kind": "drop", "method": "POST", "path": _APPEND, "count": 2},)),
    "answered 502": Step(NOW, faults=({"kind": "status", "method": "POST", "path": _APPEND, "status": 502, "count": 2},)),
    "killed as it sends": Step(NOW, at="before POST append"),
    "sent again in its run": Step(NOW, faults=({"kind": "drop", "method": "POST", "path": _APPEND},)),
}
"""How an upload is lost that the platform takes in when newer deals are in; the next run is one after the deadline."""


def _altered(method: str, path: str, count: int = 1, **fields: Any) -> dict[str, Any]:
    return {"kind": "altered", "method": method, "path": path, "count": count, "fields": fields}


FOREIGN: dict[str, dict[str, Any]] = {
    "completed, of another request": _altered("GET", _STATUS, 2, id="another", status="completed"),
    "completed, of another collection": _altered("GET", _STATUS, 2, collectionId="another", status="completed"),
    "a forecast of another invocation": _altered("GET", _INVOCATION, id="another", status="completed"),
    "an acceptance with further keys": _altered("POST", _APPEND, progress={"percent": 3}, collectionId=None, status=7),
    "a status with an object as message": _altered("GET", _STATUS, 2, message={"of": ["any", "type"]}, validationErrors="none"),
    "a status word that is not documented": {"kind": "unknown_status", "method": "GET", "path": _STATUS},
}
"""Answers that are about something else, or say more than the contract."""

SLOW: dict[str, dict[str, Any]] = {
    "an upload": {"kind": "delay", "method": "POST", "path": _APPEND, "seconds": 3.0},
    "an upload's status": {"kind": "delay", "method": "GET", "path": _STATUS, "seconds": 3.0},
    "an invocation": {"kind": "delay", "method": "POST", "path": _INVOKE, "seconds": 3.0},
}
"""Answers after three seconds; an upload's is waited for one."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A case of an axis: ``where`` it strikes, and the steps that it takes."""

    axis: str
    where: str
    steps: tuple[Step, ...]


def axes() -> Iterator[Axis]:
    """All cases, in the order of the table."""
    for point in PAUSES:
        yield Axis("pause", point, (Step(NOW, at=point, act="pause", meanwhile=LATER),))
    yield Axis("pause", STALE, (Step(NOW, at=STALE, act="pause", meanwhile=LATER), Step({**LATER, "3": NOW["3"]})))
    for first, second in product((-10.0, 0.0, 10.0), repeat=2):
        if (first, second) != (0.0, 0.0):
            steps = (Step(NOW, days=first), Step(LATER, days=second), Step(_LAST, days=first))
            yield Axis("clock", f"{first:+.0f}, {second:+.0f}, {first:+.0f} days", steps)
    for days in (-10.0, 10.0):
        killed = Step(NOW, days=days, at="after write accepted")
        yield Axis("clock", f"{days:+.0f} days, killed after 202", (killed, replace(killed, at=None, days=0.0)))
    for name, fault in FOREIGN.items():
        yield Axis("foreign answer", name, (Step(NOW), Step(LATER, faults=(fault,))))
    for name, fault in SLOW.items():
        yield Axis("slow answer", name, (Step(NOW), Step(LATER, faults=(fault,), settings=_IMPATIENT)))
    for point in FULL:
        yield Axis("ledger full", point, (Step(NOW), Step(LATER, at=point, act="full")))
    for name, lost in LOST.items():
        after = (Step(_LAST), Step(_LAST, late=_SENT, days=0.1))
        yield Axis("late upload", name, tuple(replace(step, settings=_AN_HOUR) for step in (Step(BEFORE), lost, *after)))
    for point in OUTAGES:
        yield Axis("Prefect killed", point, (Step(NOW), Step(LATER, at=point, act="pause", outage=True)))


_LAST = {**LATER, "2": "100.00"}
"""A third export, in which a deal has a value again that it had before."""

_SENT = {identifier: value for identifier, value in NOW.items() if BEFORE.get(identifier) != value}
"""What a sync sends once the export is ``NOW``."""

_AN_HOUR: Mapping[str, str] = {"DEADLINE": "3600"}

_IMPATIENT: Mapping[str, str] = {"UPLOAD_TIMEOUT": "1"}
