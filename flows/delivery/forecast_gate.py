"""The gate before the forecast: nothing but a :class:`CompletedAppend` leads to an invocation, and only a poll makes one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flows.delivery.lifecycle import AcceptedAppend
from flows.errors import UnexpectedAnswer
from flows.nostradamus import UploadRequest


@dataclass(frozen=True, slots=True)
class CompletedAppend:
    """An upload that the platform reports as ``completed``: the only leave to invoke a forecast.

    It takes the platform's own answer and refuses any other status, so that none can be made without one.
    """

    accepted: AcceptedAppend
    answer: UploadRequest
    completed_at: datetime

    def __post_init__(self) -> None:
        """Hold the gate.

        Raises:
            UnexpectedAnswer: the answer's status is not ``completed``.
        """
        if self.answer.status != "completed":
            raise UnexpectedAnswer(
                f"append request {self.accepted.request_id} is {self.answer.status}, not completed: no forecast is invoked."
            )
