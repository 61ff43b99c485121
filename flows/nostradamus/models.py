"""What the platform says, as small frozen types. Unknown keys are ignored, so that an addition breaks nothing."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Status = Literal["queued", "in_progress", "completed", "error"]
"""The documented words: of an upload request (S), of an invocation (A: the same four)."""

ResultFormat = Literal["json", "csv", "xlsx"]
RESULT_FORMATS: tuple[ResultFormat, ...] = ("json", "csv", "xlsx")
"""The formats of a primary result (D)."""

UploadMode = Literal["append", "override"]
"""``append`` merges by id (S), ``override`` replaces all data of the type (D)."""

RequestMode = Literal["append", "override", "delete"]
"""An upload's mode, or ``delete``, which sends ids alone (D*)."""

FORECAST_MONTH = "month"
FORECAST_REVENUE = "revenue"
"""The two fields of a prediction; their names are not documented (A): correct them here."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, coerce_numbers_to_str=True)


class Accepted(_Answer):
    """What a POST was accepted as. No other field of its answer is read: an odd one must not make the id lost."""

    id: str = Field(min_length=1)


class UploadRequest(_Answer):
    """An append or override request (S)."""

    id: str = Field(min_length=1)
    status: str
    message: str | None = None
    validation_errors: Any = None


class Collection(_Answer):
    """A place for the deals of one pipeline (D). ``timezone`` is an IANA name."""

    id: str = Field(min_length=1)
    name: str = ""
    timezone: str | None = None


class InvocationResult(_Answer):
    """One entry of ``invocationResults`` (D)."""

    primary_result: bool | str | None = None
    status: str | None = None

    @property
    def is_primary(self) -> bool:
        """Whether it is the one that is downloaded."""
        return str(self.primary_result).lower() == "true"


class Invocation(_Answer):
    """A forecast asked for (D)."""

    id: str = Field(min_length=1)
    status: str
    message: str | None = None
    invocation_results: dict[str, InvocationResult] | None = None

    @property
    def failed(self) -> bool:
        """Whether it, or its primary result, ended in ``error``; where none is marked as primary, any."""
        results = list((self.invocation_results or {}).values())
        primary = [result for result in results if result.is_primary] or results
        return self.status == "error" or any(result.status == "error" for result in primary)
