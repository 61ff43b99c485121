"""``/_sandbox``: speed, faults, reset and the log of requests. No part of the product."""

from __future__ import annotations

from fastapi import APIRouter

from deployments.sandbox.service import ThePlatform

router = APIRouter(prefix="/_sandbox", include_in_schema=False)


@router.post("/reset", status_code=204)
async def reset(platform: ThePlatform) -> None:
    """Forget all data, jobs and faults."""
    await platform.reset()
