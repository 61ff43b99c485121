"""``/api/collection/{collection_id}/data/deals``: append (S), override and dump (D), delete (D*)."""

from __future__ import annotations

import io
import json
import shutil
import uuid
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, HTTPException, Request
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from deployments.sandbox.api.bodies import Deletion, UploadRequest
from deployments.sandbox.api.service import OwnCollection, Platform, ThePlatform, links, refusals
from deployments.sandbox.platform.deals_store import sync

router = APIRouter(prefix="/api/collection/{collection_id}/data/deals", tags=["Deals"])

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "separator"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "the CSV, with a file name; its part may have any type",
                        },
                        "separator": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 1,
                            "pattern": '^[^"\\r\\n\\x00]$',
                            "description": "any one character but a quote or a line break",
                        },
                    },
                },
            }
        },
    }
}
_OF_UPLOAD = {"collection_id": "collectionId", "request_id": "id"}
_REFUSED = refusals(404, 413, 415, 422)
RequestId = Annotated[str, PathParameter(description="the request's id")]


@router.post("/append", status_code=202, responses=_REFUSED | {202: {"links": links(append_status=_OF_UPLOAD)}}, openapi_extra=_FORM)
async def append(request: Request, platform: ThePlatform, collection: OwnCollection) -> UploadRequest:
    """Merge a file of deals into the collection; a known id replaces that deal (S, A)."""
    return await _accept(request, platform, collection.id, "append")


@router.post("/override", status_code=202, responses=_REFUSED | {202: {"links": links(override_status=_OF_UPLOAD)}}, openapi_extra=_FORM)
async def override(request: Request, platform: ThePlatform, collection: OwnCollection) -> UploadRequest:
    """Replace the collection's deals by a file; a rejected file leaves them as they were (D)."""
    return await _accept(request, platform, collection.id, "override")


@router.get("/append/{request_id}", responses=refusals(404))
def append_status(request_id: RequestId, platform: ThePlatform, collection: OwnCollection) -> UploadRequest:
    """Say how far an append has come (S)."""
    return _status(platform, collection.id, "append", request_id)


@router.get("/override/{request_id}", responses=refusals(404))
def override_status(request_id: RequestId, platform: ThePlatform, collection: OwnCollection) -> UploadRequest:
    """Say how far an override has come (A)."""
    return _status(platform, collection.id, "override", request_id)


@router.delete("/delete", status_code=202, responses=_REFUSED | {202: {"links": links(delete_status=_OF_UPLOAD)}})
def delete_deals(deletion: Deletion, request: Request, platform: ThePlatform, collection: OwnCollection) -> UploadRequest:
    """Delete the deals of these ids; **without ids, all of the collection's** (D*). Ids that it does not hold are let be (A)."""
    request.scope["state"]["ids"] = len(deletion.args.ids or ())
    identifier = uuid.uuid4().hex
    _store(io.BytesIO(json.dumps(deletion.args.ids or None).encode()), platform.uploads / identifier)
    return _accepted(request, platform, (identifier, collection.id, "delete", ""))


@router.get("/delete/{request_id}", responses=refusals(404))
def delete_status(request_id: RequestId, platform: ThePlatform, collection: OwnCollection) -> UploadRequest:
    """Say how far a delete has come (A)."""
    return _status(platform, collection.id, "delete", request_id)


@router.get(
    "/dump", responses=refusals(404) | {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}, response_class=StreamingResponse
)
def dump(platform: ThePlatform, collection: OwnCollection) -> StreamingResponse:
    """Return the deals held, as CSV (D)."""
    return StreamingResponse(platform.deals.dump(collection.id), media_type="text/csv; charset=utf-8")


async def _accept(request: Request, platform: Platform, collection: str, operation: str) -> UploadRequest:
    async with request.form(max_files=1, max_fields=20) as form:
        file, separator = form.get("file"), form.get("separator")
        if not isinstance(file, UploadFile) or not file.filename:
            raise HTTPException(422, "file: a file part with a file name is required.")
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n\0':
            raise HTTPException(422, "separator: one character is required, no quote or line break.")
        identifier = uuid.uuid4().hex
        await run_in_threadpool(_store, file.file, platform.uploads / identifier)
    return await run_in_threadpool(_accepted, request, platform, (identifier, collection, operation, separator))


def _accepted(request: Request, platform: Platform, asked: tuple[str, str, str, str]) -> UploadRequest:
    """Accept what lies on disk, given as id, collection, operation and separator, and have it worked off."""
    upload = platform.store.add_upload(*asked, request.scope["state"].get("fate"))
    platform.worker.wake_uploads(upload.collection)
    return UploadRequest.of(upload)


def _store(file: BinaryIO, path: Path) -> None:
    """Put the file on disk for good: only then may the request be accepted."""
    with path.open("wb") as target:
        shutil.copyfileobj(file, target, 1 << 20)
    sync(path)
    sync(path.parent)


def _status(platform: Platform, collection: str, operation: str, identifier: str) -> UploadRequest:
    upload = platform.store.upload(identifier)
    if upload is None or (upload.collection, upload.operation) != (collection, operation):
        raise HTTPException(404, f"There is no {operation} request {identifier!r} in this collection.")
    return UploadRequest.of(upload)
