"""What the foreign platform has of the contract: the columns, which file it refuses, what it predicts, and how its answers are spoilt."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from email import message_from_bytes
from fnmatch import fnmatchcase
from typing import Any

_HEADER = (
    "id,name,description,creationDatetime,addDatetime,closedDatetime,expectedClosureDatetime,status,stage,"
    "currentStageStartDatetime,value,numberOfSentEmails,numberOfEmailOpens,numberOfReceivedEmails,numberOfMeetings,"
    "lastInteractionDatetime,accountId,accountAverageResponseTime,companyId,companyNumberOfEmployees,companyRevenue,"
    "companyIndustry,companyType,companyDescription,companyTechnologies,companyCity,companyCountry,companyIsCustomer,"
    "contactId,contactNumberOfConversions,contactEmailDomainType,contactEmailOptedOut,contactAverageResponseTime,"
    "lastUpdateDatetime,lastSyncedAt"
)
COLUMNS = _HEADER.split(",")
REQUIRED = ("id", "creationDatetime", "addDatetime", "status", "stage", "currentStageStartDatetime", "value", "lastUpdateDatetime")
AMOUNT = re.compile(r"\d+(\.\d+)?")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")

Deals = dict[str, dict[str, str]]
"""Deals by id."""


@dataclass(slots=True)
class Fault:
    """Something that goes wrong with the next ``count`` requests (None: all) of a method and a path, a shell pattern.

    ``drop``: no answer, nothing done · ``drop_after_commit``: done, no answer · ``delay``: done at once, answered after ``seconds`` ·
    ``status``, ``status_after_commit``: answered so, not done or done · ``flap``: every second one answered so ·
    ``altered``: the answer has ``fields`` over its own · ``no_id`` · ``request_id``: the id is called ``requestId`` ·
    ``unknown_status`` · ``half``: half of the answer · ``fail``: accepted, and ends in ``error``
    """

    kind: str
    method: str | None = None
    path: str = "*"
    count: int | None = 1
    skip: int = 0
    seconds: float = 1.0
    status: int = 503
    fields: dict[str, Any] = field(default_factory=dict)
    matched: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Count a request that matches, and say whether it is struck."""
        if self.method not in (None, method) or not fnmatchcase(path, self.path):
            return False
        self.matched += 1
        turn = self.matched - self.skip
        return turn > 0 and (self.count is None or turn <= self.count) and (self.kind != "flap" or turn % 2 == 1)


def broken(rows: list[dict[str, str]], header: list[str]) -> bool:
    """Say whether the file is to be rejected whole."""
    if any(name not in header for name in COLUMNS) or len({row["id"] for row in rows}) != len(rows):
        return True
    return any(
        not all(row[name] for name in REQUIRED)
        or row["status"] not in ("open", "closed_won", "closed_lost")
        or (row["status"] != "open" and not row["closedDatetime"])
        or not MOMENT.fullmatch(row["addDatetime"])
        or row["addDatetime"] < row["creationDatetime"]
        or not AMOUNT.fullmatch(row["value"])
        for row in rows
    )


def form(content_type: str, body: bytes) -> dict[str, str]:
    """The parts of a form by name."""
    form = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    parts = [part for part in form.walk() if not part.is_multipart()]
    return {str(part.get_param("name", header="content-disposition")): _text(part.get_payload(decode=True)) for part in parts}


def _text(payload: Any) -> str:
    return bytes(payload).decode("utf-8")


def predict(deals: Deals, horizon: int, first_month_to_predict: str | None = None) -> list[dict[str, Any]]:
    """All that was ever won, for each month of the horizon: enough to tell one state of the data from another."""
    won = [deal for deal in deals.values() if deal["status"] == "closed_won"]
    newest = max((deal["closedDatetime"][:7] for deal in won), default="2020-01")
    year, month = map(int, (first_month_to_predict or newest).split("-"))
    first = year * 12 + month - 1 + (first_month_to_predict is None)
    total = sum(float(deal["value"]) for deal in won)
    return [{"period": f"{each // 12:04d}-{each % 12 + 1:02d}-01", "expectedWon": total} for each in range(first, first + horizon)]


def spoilt(answer: bytes, fault: Fault | None) -> bytes:
    """The answer as the fault has it."""
    if fault is None or fault.kind not in ("altered", "no_id", "request_id", "unknown_status"):
        return answer
    body = json.loads(answer)
    changes: dict[str, Any] = {"altered": fault.fields, "unknown_status": {"status": "paused"}}.get(fault.kind, {})
    if fault.kind in ("no_id", "request_id"):
        identifier = body.pop("id", None)
        changes = {"requestId": identifier} if fault.kind == "request_id" else {}
    return json.dumps(body | changes).encode()
