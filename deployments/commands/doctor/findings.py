"""The finding of a doctor on one part: its status, what it is, and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failed"]

ANSWER_SECONDS = 10.0
"""Seconds in which a platform or a Prefect server must answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding on one part; ``code`` is the exit code of the error that a sync would end with."""

    check: str
    status: Status
    message: str
    remedy: str = ""
    code: int = 0
