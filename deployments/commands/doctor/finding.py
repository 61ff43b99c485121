"""What a doctor's examination of one part ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding on one part; ``code`` is the exit code of the error that a sync would end with."""

    check: str
    status: Status
    message: str
    remedy: str = ""
    code: int = 0
