"""What the platform says, as small frozen types. Unknown keys are ignored, so that an addition breaks nothing."""

from __future__ import annotations

from datetime import datetime
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
    collection_id: str | None = None
    status: str
    message: str | None = None
    validation_errors: Any = None


class Collection(_Answer):
    """A place for the deals of one pipeline (D). ``timezone`` is an IANA name."""

    id: str = Field(min_length=1)
    name: str = ""
    product: str | None = None
    timezone: str | None = None


class InvocationResult(_Answer):
    """One entry of ``invocationResults`` (D)."""

    primary_result: bool | str | None = None
    status: str | None = None
    json_available: bool = False
    csv_available: bool = False
    xlsx_available: bool = False


class Invocation(_Answer):
    """A forecast asked for (D)."""

    id: str = Field(min_length=1)
    status: str
    message: str | None = None
    invocation_results: dict[str, InvocationResult] | None = None
    created: datetime | None = None
