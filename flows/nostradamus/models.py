"""The platform's answers, as small frozen types. Unknown keys are ignored, so that an addition breaks nothing."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel

from flows.errors import printable

Status = Literal["queued", "in_progress", "completed", "error"]
"""The documented words: of an upload request (S), of an invocation (A: the same four)."""

ResultFormat = Literal["json", "csv", "xlsx"]
RESULT_FORMATS: tuple[ResultFormat, ...] = ("json", "csv", "xlsx")
"""The formats of a primary result (D)."""

UploadMode = Literal["append", "override"]
"""``append`` merges by id (S), ``override`` replaces all data of the type (D)."""

RequestMode = Literal["append", "override", "delete"]
"""The kind of an accepted request: an upload, or a delete of deals by id (D*)."""

FORECAST_MONTH = ("month",)
FORECAST_REVENUE = ("revenue", "estimatedrevenue")
"""The names of the two fields of a prediction, in lower case and letters only: asked for where their values leave it open (A)."""


_LONGEST_ID = 2000
"""Characters of an id: a longer one fits no address."""

_MOST_RESULTS = 10_000
"""Of an invocation, which has a few: each takes a hundred times the memory of its text."""

LONGEST_MESSAGE = 300
"""Characters of the platform's own words that are shown."""


def one_line(text: str) -> str:
    """``text`` in one line, without control characters, and no longer than is shown."""
    line = " ".join(printable(text).split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]} ..."


Message = Annotated[str | None, BeforeValidator(lambda said: said if said is None or isinstance(said, str) else json.dumps(said))]
"""The words of an answer, of any length; where it is an object, its JSON."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, coerce_numbers_to_str=True)


class _Request(_Answer):
    """An answer that names a request: as ``id`` (S), or as ``requestId``, which a sibling's override uses (D*)."""

    id: str = Field(min_length=1, max_length=_LONGEST_ID)

    @model_validator(mode="before")
    @classmethod
    def _either_word(cls, body: Any) -> Any:
        if isinstance(body, dict) and not body.get("id") and body.get("requestId"):
            return {**body, "id": body["requestId"]}
        return body


class Accepted(_Request):
    """The id that a request was accepted under. No other field of its answer is read: an odd one must not make the id lost."""


class UploadRequest(_Request):
    """An append, override or delete request (S, D, D*)."""

    collection_id: str | None = None
    status: str
    message: Message = None
    validation_errors: Any = None


class Collection(_Answer):
    """A place for the deals of one pipeline (D).

    Which fields a listed collection has is not documented: ``timezone``, an IANA name, is None where the answer names none as a text (A).
    """

    id: str = Field(min_length=1, max_length=_LONGEST_ID)
    name: str = ""
    timezone: str | None = None

    @field_validator("name", "timezone", mode="before")
    @classmethod
    def _text_or_nothing(cls, value: Any, info: ValidationInfo) -> Any:
        return one_line(value) if isinstance(value, str) and value else cls.model_fields[str(info.field_name)].default


_NOT_THERE = ("false", "0", "no")


class InvocationResult(_Answer):
    """One entry of ``invocationResults`` (D)."""

    primary_result: Any = None
    status: Any = None
    json_available: Any = None
    csv_available: Any = None
    xlsx_available: Any = None

    @property
    def is_primary(self) -> bool:
        """True if it is the one that is downloaded."""
        return str(self.primary_result).lower() == "true"

    @property
    def offered(self) -> tuple[ResultFormat, ...]:
        """The formats whose flag does not say that they are not there (D*)."""
        flags: dict[ResultFormat, Any] = {"json": self.json_available, "csv": self.csv_available, "xlsx": self.xlsx_available}
        return tuple(form for form, flag in flags.items() if str(flag).lower() not in _NOT_THERE)


class Invocation(_Answer):
    """A forecast asked for (D)."""

    id: str = Field(min_length=1, max_length=_LONGEST_ID)
    status: str
    message: Message = None
    invocation_results: dict[str, InvocationResult] | None = None

    @field_validator("invocation_results", mode="before")
    @classmethod
    def _results(cls, value: Any) -> Any:
        """Of any shape, the entries that are objects."""
        if isinstance(value, dict | list) and len(value) > _MOST_RESULTS:
            raise ValueError("it has more results than any invocation")
        entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return {str(name): entry for name, entry in entries if isinstance(entry, dict)}

    @property
    def failed(self) -> bool:
        """True if it, or its primary result, ended in ``error``; where none is marked as primary, any."""
        return self.status == "error" or any(result.status == "error" for result in self._primary)

    @property
    def offered(self) -> tuple[ResultFormat, ...]:
        """The formats of the primary result that there may be: all, where nothing is said of them."""
        return self._primary[0].offered if self._primary else RESULT_FORMATS

    @property
    def _primary(self) -> list[InvocationResult]:
        results = list((self.invocation_results or {}).values())
        return [result for result in results if result.is_primary] or results
