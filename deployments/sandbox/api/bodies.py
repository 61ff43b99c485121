"""The bodies of the product's routes, as the contract documents them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from deployments.sandbox.platform.request_store import Collection, Invocation, Upload

Status = Literal["queued", "in_progress", "completed", "error"]
"""The four words (S; for invocations A)."""

RESULT = "baseline-forecast"
"""The id of an invocation's one result, which says what the sandbox's forecast is."""

ZONES = sorted(available_timezones())


def _whole(number: object) -> object:
    """JSON knows one kind of number: 3.0 is an integer."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _zone(name: str) -> str:
    if name not in ZONES:
        raise ValueError(f"{name!r} is not an IANA time zone name")
    return name


Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), return_type=str, when_used="json"),
]
Zone = Annotated[str, AfterValidator(_zone), Field(json_schema_extra={"enum": ZONES})]


class Body(BaseModel):
    """A JSON body that means what it says: no unknown fields, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Error(BaseModel):
    """The body of every refusal (the contract leaves its shape open)."""

    detail: str


class NewCollection(Body):
    """The body that creates a collection (D)."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    product: Literal["SalesForecasting"]
    timezone: Zone
    tag: dict[str, Any] = {}
    properties: dict[str, Any] = {}


class CollectionBody(NewCollection):
    """A collection."""

    id: str

    @classmethod
    def of(cls, collection: Collection) -> CollectionBody:
        """Show a stored collection."""
        return cls(id=collection.id, **collection.body)


class CollectionPage(BaseModel):
    """A page of collections, oldest first; ``next`` and ``previous`` are paths to the neighbouring pages (A)."""

    count: int
    next: str | None
    previous: str | None
    results: list[CollectionBody]


class Camel(BaseModel):
    """A body whose names the platform writes in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class UploadRequest(Camel):
    """An append, override or delete on its way (S, D, D*); a delete has no separator (A)."""

    id: str
    collection_id: str
    data_type: Literal["deals"] = "deals"
    separator: str | None
    dump_datetime: Moment
    status: Status
    message: str | None
    validation_errors: list[dict[str, Any]] | None

    @classmethod
    def of(cls, upload: Upload) -> UploadRequest:
        """Show a stored upload."""
        return cls(
            id=upload.id,
            collection_id=upload.collection,
            separator=upload.separator or None,
            dump_datetime=upload.accepted,
            status=upload.status,
            message=upload.message,
            validation_errors=upload.errors,
        )


class DeleteArgs(Body):
    """The deals to delete (D*): those of these ids, or without them all."""

    ids: list[str] | None = None


class Deletion(Body):
    """A request to delete deals (D*)."""

    args: DeleteArgs


class ForecastArgs(Body):
    """The forecast to make (D)."""

    horizon: Annotated[int, Field(ge=1, le=12, description="months to predict"), BeforeValidator(_whole)]
    first_month_to_predict: (
        Annotated[
            str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="YYYY-MM; by default the month after the last month in the data")
        ]
        | None
    ) = None


class NewInvocation(Body):
    """A request for a forecast (D)."""

    model_config = ConfigDict(alias_generator=to_camel)

    collection_id: str
    invocation_type: Literal["sales-forecasting"]
    args: ForecastArgs


class InvocationResult(Camel):
    """The formats that one result of an invocation offers (D)."""

    primary_result: bool
    status: Literal["completed", "error"]
    json_available: bool
    csv_available: bool
    xlsx_available: bool


class InvocationBody(Camel):
    """A forecast on its way (D); ``message`` says why it ended in error (A)."""

    id: str
    collection_id: str
    invocation_type: Literal["sales-forecasting"] = "sales-forecasting"
    args: dict[str, Any]
    status: Status
    message: str | None
    invocation_results: dict[str, InvocationResult]

    @classmethod
    def of(cls, invocation: Invocation) -> InvocationBody:
        """Show a stored invocation."""
        results = {}
        if invocation.status in {"completed", "error"}:
            there = invocation.forecast is not None and invocation.status == "completed"
            results[RESULT] = InvocationResult(
                primary_result=True,
                status="completed" if there else "error",
                json_available=there,
                csv_available=there,
                xlsx_available=there,
            )
        return cls(
            id=invocation.id,
            collection_id=invocation.collection,
            args=invocation.args,
            status=invocation.status,
            message=invocation.message,
            invocation_results=results,
        )


class Prediction(BaseModel):
    """One month of a forecast: its first day and the estimated revenue from won deals (D; the names are A)."""

    month: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-01$")]
    revenue: float
