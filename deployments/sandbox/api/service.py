"""The platform that the routes share: its parts, wired together, and who is asking."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyHeader

from deployments.sandbox.api.bodies import Error
from deployments.sandbox.faults.fault_kit import Faults
from deployments.sandbox.platform.deals_store import Deals
from deployments.sandbox.platform.request_store import Collection, Store
from deployments.sandbox.platform.worker import Speed, Worker


class Platform:
    """One sandbox: its folder, its tokens (token -> organisation), its parts."""

    def __init__(self, folder: Path, tokens: Mapping[str, str], speed: Speed) -> None:
        self.uploads = folder / "uploads"
        self.uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.tokens = tokens
        self.store = Store(folder)
        self.deals = Deals(folder / "deals")
        self.faults = Faults()
        self._initial_speed = speed
        self.worker = Worker(self.store, self.deals, self.uploads, speed)

    def remove_strays(self) -> None:
        """Remove files whose upload was never accepted, or has ended."""
        for path in self.uploads.iterdir():
            upload = self.store.upload(path.name)
            if upload is None or upload.status in {"completed", "error"}:
                path.unlink()

    async def reset(self) -> None:
        """Forget all data, jobs and faults, and go back to the initial speed; tokens stay."""
        await self.worker.stop()
        self.store.clear()
        self.deals.clear()
        self.remove_strays()
        self.faults.clear()
        self.worker.speed = self._initial_speed
        self.worker.strict_datetimes = False
        await self.worker.start()


def platform(request: Request) -> Platform:
    """Return the platform that serves the request."""
    served: Platform = request.app.state.platform
    return served


_token = APIKeyHeader(name="Authorization", scheme_name="Token", description="`Token <secret>`", auto_error=False)


def organisation(request: Request, _: Annotated[str | None, Security(_token)]) -> str:
    """Return whose token came with the request; the gatekeeper has refused all others by now."""
    name: str = request.state.organisation
    return name


ThePlatform = Annotated[Platform, Depends(platform)]
Organisation = Annotated[str, Depends(organisation)]


def own_collection(collection_id: str, platform: ThePlatform, organisation: Organisation) -> Collection:
    """Return the collection of the path; another organisation's is as unknown as none."""
    collection = platform.store.collection(organisation, collection_id)
    if collection is None:
        raise HTTPException(404, f"There is no collection {collection_id!r}.")
    return collection


OwnCollection = Annotated[Collection, Depends(own_collection)]


def links(**operations: Mapping[str, str]) -> dict[str, object]:
    """Declare which operations an answer leads to: operation -> parameter -> field of the answer's body."""
    return {
        name: {"operationId": name, "parameters": {parameter: f"$response.body#/{field}" for parameter, field in parameters.items()}}
        for name, parameters in operations.items()
    }


def refusals(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Declare the refusals of a route for the OpenAPI document."""
    return {status: {"model": Error, "description": _MEANING[status]} for status in (400, 401, *statuses)}


_MEANING = {
    400: "The request cannot be read",
    401: "The token is missing or wrong",
    404: "Unknown to this organisation",
    409: "Not there yet, or never",
    413: "The body is larger than the platform takes",
    415: "The body has the wrong media type",
    422: "A field is missing or outside its range",
}
