"""What the platform says, as small frozen types. Unknown keys are ignored, so that an addition breaks nothing."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel

Status = Literal["queued", "in_progress", "completed", "error"]
"""The documented words: of an upload request (S), of an invocation (A: the same four)."""

ResultFormat = Literal["json", "csv", "xlsx"]
RESULT_FORMATS: tuple[ResultFormat, ...] = ("json", "csv", "xlsx")
"""The formats of a primary result (D)."""

UploadMode = Literal["append", "override"]
"""``append`` merges by id (S), ``override`` replaces all data of the type (D)."""

RequestMode = Literal["append", "override", "delete"]
"""What an accepted request was: an upload, or a delete of deals by id (D*)."""

FORECAST_MONTH = "month"
FORECAST_REVENUE = "revenue"
"""The two fields of a prediction; their names are not documented (A): correct them here."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, coerce_numbers_to_str=True)


class _Request(_Answer):
    """An answer that names a request: as ``id`` (S), or as ``requestId``, which a sibling's override uses (D*)."""

    id: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _either_word(cls, body: Any) -> Any:
        if isinstance(body, dict) and not body.get("id") and body.get("requestId"):
            return {**body, "id": body["requestId"]}
        return body


class Accepted(_Request):
    """What a request was accepted as. No other field of its answer is read: an odd one must not make the id lost."""


class UploadRequest(_Request):
    """An append, override or delete request (S, D, D*)."""

    collection_id: str | None = None
    status: str
    message: str | None = None
    validation_errors: Any = None


class Collection(_Answer):
    """A place for the deals of one pipeline (D).

    Which fields a listed collection has is not documented: ``timezone``, an IANA name, is None where the answer names none as a text (A).
    """

    id: str = Field(min_length=1)
    name: str = ""
    timezone: str | None = None

    @field_validator("name", "timezone", mode="before")
    @classmethod
    def _text_or_nothing(cls, value: Any, info: ValidationInfo) -> Any:
        return value if isinstance(value, str) and value else cls.model_fields[str(info.field_name)].default


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
