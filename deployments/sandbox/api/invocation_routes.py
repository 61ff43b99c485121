"""``/api/invocation``: ask for a forecast, follow it, fetch its primary result in three formats (D)."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from openpyxl import Workbook

from deployments.sandbox.api.bodies import InvocationBody, NewInvocation, Prediction
from deployments.sandbox.api.service import Organisation, ThePlatform, links, refusals
from deployments.sandbox.platform.request_store import Invocation

router = APIRouter(prefix="/api/invocation", tags=["Forecasts"])
_OPERATIONS = ("invocation_status", "result_json", "result_csv", "result_xlsx")
_LINKS = links(**{operation: {"invocation_id": "id"} for operation in _OPERATIONS})
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def own_invocation(invocation_id: str, platform: ThePlatform, organisation: Organisation) -> Invocation:
    """Return the invocation of the path, if it is the organisation's."""
    invocation = platform.store.invocation(invocation_id)
    if invocation is None or platform.store.collection(organisation, invocation.collection) is None:
        raise HTTPException(404, f"There is no invocation {invocation_id!r}.")
    return invocation


OwnInvocation = Annotated[Invocation, Depends(own_invocation)]


def predictions(invocation: OwnInvocation) -> list[dict[str, Any]]:
    """Return the primary result, once it is there."""
    if invocation.forecast is None:
        raise HTTPException(409, f"Invocation {invocation.id!r} has no result: its status is {invocation.status!r}.")
    return invocation.forecast


Predictions = Annotated[list[dict[str, Any]], Depends(predictions)]


@router.post("", status_code=202, responses=refusals(404, 413, 415, 422) | {202: {"links": _LINKS}})
def invoke(new: NewInvocation, request: Request, platform: ThePlatform, organisation: Organisation) -> InvocationBody:
    """Ask for a forecast. It fails if the collection holds no deals when it is asked for (S)."""
    collection = platform.store.collection(organisation, new.collection_id)
    if collection is None:
        raise HTTPException(404, f"There is no collection {new.collection_id!r}.")
    args = new.args.model_dump(exclude_none=True)
    fate = request.scope["state"].get("fate")
    invocation = platform.store.add_invocation(collection.id, args, had_deals=platform.deals.any(collection.id), fate=fate)
    platform.worker.wake_invocation(invocation.id)
    return InvocationBody.of(invocation)


@router.get("/{invocation_id}", responses=refusals(404))
def invocation_status(invocation: OwnInvocation) -> InvocationBody:
    """Say how far a forecast has come (D)."""
    return InvocationBody.of(invocation)


@router.get("/{invocation_id}/json", responses=refusals(404, 409))
def result_json(predictions: Predictions) -> list[Prediction]:
    """Return the forecast as JSON."""
    return [Prediction(**prediction) for prediction in predictions]


@router.get(
    "/{invocation_id}/csv",
    response_class=Response,
    responses=refusals(404, 409) | {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def result_csv(predictions: Predictions) -> Response:
    """Return the forecast as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(_table(predictions))
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8")


@router.get(
    "/{invocation_id}/xlsx",
    response_class=Response,
    responses=refusals(404, 409) | {200: {"content": {XLSX: {"schema": {"type": "string", "format": "binary"}}}}},
)
def result_xlsx(predictions: Predictions) -> Response:
    """Return the forecast as a workbook."""
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("forecast")
    for row in _table(predictions):
        sheet.append(row)
    content = io.BytesIO()
    workbook.save(content)
    return Response(content.getvalue(), media_type=XLSX)


def _table(predictions: list[dict[str, Any]]) -> list[list[Any]]:
    return [["month", "revenue"], *([prediction["month"], prediction["revenue"]] for prediction in predictions)]
