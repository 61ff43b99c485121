"""``/api/collection``: create and list collections (D)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from deployments.sandbox.api.bodies import CollectionBody, CollectionPage, NewCollection
from deployments.sandbox.api.service import Organisation, ThePlatform, links, refusals

router = APIRouter(tags=["Collections"])

_OPERATIONS = ("append", "override", "delete_deals", "dump")
_LINKS = links(**{operation: {"collection_id": "id"} for operation in _OPERATIONS})
_INVOKE = {"collectionId": "$response.body#/id", "invocationType": "sales-forecasting", "args": {"horizon": 3}}
_LINKS["invoke"] = {"operationId": "invoke", "requestBody": _INVOKE}


@router.post("/api/collection", status_code=201, responses=refusals(413, 415, 422) | {201: {"links": _LINKS}})
def create_collection(new: NewCollection, platform: ThePlatform, organisation: Organisation) -> CollectionBody:
    """Create a collection; it is empty (D)."""
    return CollectionBody.of(platform.store.add_collection(organisation, new.model_dump()))


@router.get("/api/collection", responses=refusals(422))
def list_collections(
    platform: ThePlatform,
    organisation: Organisation,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> CollectionPage:
    """List the organisation's collections, oldest first, page by page (D)."""
    count, found = platform.store.collections(organisation, limit, offset)

    def page(start: int) -> str:
        return f"/api/collection?limit={limit}&offset={start}"

    return CollectionPage(
        count=count,
        next=page(offset + limit) if offset + limit < count else None,
        previous=page(max(offset - limit, 0)) if offset else None,
        results=[CollectionBody.of(collection) for collection in found],
    )
