"""The application: the product's routes, the control routes, and what stands before them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.sandbox.api import collection_routes, control_routes, data_routes, invocation_routes
from deployments.sandbox.api.gatekeeper import Gatekeeper
from deployments.sandbox.api.service import Platform
from deployments.sandbox.faults.injector import FaultInjector
from deployments.sandbox.faults.request_log import RequestLog, RequestLogger
from deployments.sandbox.platform.worker import Speed

QUEUED_SECONDS = 0.2
PROCESSING_SECONDS = 0.3
MAX_UPLOAD_BYTES = 8 << 30

ROUTERS = (collection_routes.router, data_routes.router, invocation_routes.router, control_routes.router)

DESCRIPTION = """
The sales-forecasting platform in small: a rehearsal stage, not the product. Data are validated, merged and dumped as the
platform's contract says; **the forecast is a simple baseline** (run rate, seasonality and the weighted open pipeline),
not the platform's model: its result is named `baseline-forecast`. Back-tested on the export of `dealcast demo` (eight origins,
three months ahead) its absolute error is 54 % of the revenue that came; a flat mean of the last year has 55 %.

Faults, speed and reset live under `/_sandbox/`, which asks for the token too and explains itself.
"""


LOOPBACK_HOSTS = ("127.0.0.1", "localhost")


def create_app(
    data: Path | None = None,
    *,
    tokens: Mapping[str, str] | None = None,
    queued_seconds: float = QUEUED_SECONDS,
    processing_seconds: float = PROCESSING_SECONDS,
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
    hosts: Sequence[str] = LOOPBACK_HOSTS,
) -> FastAPI:
    """Build the sandbox.

    Args:
        data: folder that keeps everything across restarts; None keeps nothing.
        tokens: secret -> organisation; an organisation sees its own collections only. None lets nobody in.
        queued_seconds: how long a job is `queued` at least.
        processing_seconds: how long a job is `in_progress` at least.
        max_upload_bytes: size of the largest body taken; a larger one is refused with 413.
        hosts: the names under which it answers; others get 400, so that no page of a name that was pointed here reads it.
    """
    app = FastAPI(
        title="dealcast sandbox",
        version="1",
        description=DESCRIPTION,
        lifespan=_lifespan(data, tokens or {}, Speed(queued_seconds, processing_seconds)),
        generate_unique_id_function=lambda route: route.name,
        exception_handlers={HTTPException: _refused, RequestValidationError: _invalid},
    )
    for router in ROUTERS:
        app.include_router(router)
    app.state.request_log = RequestLog()
    app.add_middleware(Gatekeeper, max_bytes=max_upload_bytes)
    app.add_middleware(FaultInjector)
    app.add_middleware(RequestLogger)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_middleware(_Marker)
    return app


class _Marker:
    """ASGI middleware that says with every answer whose it is, as no platform does: an address tells nothing about what answers there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Dealcast-Sandbox"] = "1"
            await send(message)

        await self._app(scope, receive, marked if scope["type"] == "http" else send)


def _lifespan(data: Path | None, tokens: Mapping[str, str], speed: Speed) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as stack:
            folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dealcast-sandbox-")))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            app.state.platform = platform = Platform(folder, tokens, speed)
            stack.callback(platform.store.close)
            platform.remove_strays()
            await platform.worker.start()
            yield
            await platform.worker.stop()

    return lifespan


async def _refused(request: Request, error: HTTPException) -> JSONResponse:
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return JSONResponse({"detail": str(error.detail)}, error.status_code, headers)


def _allowed(request: Request) -> str:
    """All methods of a path: each route knows its own only."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, Route)]
    return ", ".join(sorted({method for route in routes if route.path_regex.match(request.url.path) for method in route.methods or ()}))


async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    problems = [f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()]
    return JSONResponse({"detail": "; ".join(problems)}, 422)
