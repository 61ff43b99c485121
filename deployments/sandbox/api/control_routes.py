"""``/_sandbox``: speed, faults, reset and the log of requests. No part of the product; each asks for a token of the sandbox's.

* ``GET /_sandbox/``                this text
* ``GET | PUT /_sandbox/speed``     ``{"queued_seconds", "processing_seconds"}``: how long jobs take at least
* ``GET | PUT /_sandbox/rules``     ``{"strict_datetimes"}``: true refuses fractions and offsets in datetimes, which are taken at first
* ``GET | POST | DELETE /_sandbox/faults``  list, set one, clear all (which also lets go on what is stuck)
* ``GET | DELETE /_sandbox/requests``       the product requests so far; ``?method=POST&path=*/append`` picks some
* ``GET /_sandbox/uploads``         the upload requests of ``?organisation=sandbox`` in the order of acceptance
* ``POST /_sandbox/reset``          forget all data, jobs, faults and requests; back to the initial speed and rules
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from deployments.sandbox.api.bodies import UploadRequest
from deployments.sandbox.api.service import ThePlatform
from deployments.sandbox.faults import fault_kit as faults
from deployments.sandbox.faults.fault_kit import Fault
from deployments.sandbox.faults.request_log import RequestLog
from deployments.sandbox.platform.worker import Speed

router = APIRouter(prefix="/_sandbox", include_in_schema=False)

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class SpeedBody(BaseModel):
    """Least duration of jobs, in seconds."""

    queued_seconds: Seconds
    processing_seconds: Seconds


@router.get("/", response_class=PlainTextResponse)
async def manual() -> str:
    """Explain the control routes."""
    return f"{__doc__}\n\nFAULTS\n\n{faults.__doc__}"


@router.get("/speed")
async def speed(platform: ThePlatform) -> SpeedBody:
    """Return the speed."""
    now = platform.worker.speed
    return SpeedBody(queued_seconds=now.queued_seconds, processing_seconds=now.processing_seconds)


@router.put("/speed")
async def set_speed(body: SpeedBody, platform: ThePlatform) -> SpeedBody:
    """Change the speed, for jobs under way too."""
    platform.worker.speed = Speed(body.queued_seconds, body.processing_seconds)
    platform.worker.change()
    return body


class Rules(BaseModel):
    """Rules of the validation that the documentation leaves open."""

    strict_datetimes: bool


@router.get("/rules")
async def rules(platform: ThePlatform) -> Rules:
    """Return the rules."""
    return Rules(strict_datetimes=platform.worker.strict_datetimes)


@router.put("/rules")
async def set_rules(body: Rules, platform: ThePlatform) -> Rules:
    """Change the rules, for uploads that are not judged yet."""
    platform.worker.strict_datetimes = body.strict_datetimes
    return body


@router.get("/faults")
async def list_faults(platform: ThePlatform) -> list[dict[str, object]]:
    """Return the faults, each with how many requests it has matched."""
    return platform.faults.waiting()


@router.post("/faults", status_code=201)
async def set_fault(fault: Fault, platform: ThePlatform) -> Fault:
    """Let something go wrong."""
    platform.faults.add(fault)
    return fault


@router.delete("/faults", status_code=204)
async def clear_faults(platform: ThePlatform) -> None:
    """Let nothing go wrong any more."""
    platform.faults.clear()
    platform.store.unstick()
    platform.worker.change()


@router.get("/requests")
async def requests(request: Request, method: str | None = None, path: str = "*") -> list[dict[str, Any]]:
    """Return the product requests so far."""
    return _log(request).entries(method, path)


@router.delete("/requests", status_code=204)
async def forget_requests(request: Request) -> None:
    """Begin the log anew."""
    _log(request).clear()


@router.get("/uploads")
async def uploads(platform: ThePlatform, organisation: str = "sandbox") -> list[UploadRequest]:
    """Return an organisation's upload requests in the order of acceptance."""
    return [UploadRequest.of(upload) for upload in platform.store.uploads(organisation)]


@router.post("/reset", status_code=204)
async def reset(request: Request, platform: ThePlatform) -> None:
    """Forget everything but tokens."""
    await platform.reset()
    _log(request).clear()


def _log(request: Request) -> RequestLog:
    log: RequestLog = request.app.state.request_log
    return log
