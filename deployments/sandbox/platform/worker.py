"""The platform's background work: queued -> in_progress -> completed | error, over time.

The uploads of a collection are taken one at a time in the order of acceptance; collections and invocations do not wait
for each other. Nothing stays in progress for ever: what a stopped process left is queued again when the next one starts,
and an unforeseen failure ends the job in `error`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from deployments.sandbox.platform.baseline import COLUMNS, NoForecast, forecast
from deployments.sandbox.platform.deals_store import Deals
from deployments.sandbox.platform.request_store import Invocation, Store, Upload
from deployments.sandbox.platform.validation import validate

log = logging.getLogger(__name__)

Job = TypeVar("Job", Upload, Invocation)

_THREADS = 2
_NO_DEALS = "The collection holds no deals: append deals and wait until the request is completed before invoking a forecast."


@dataclass(slots=True)
class Speed:
    """Least time that a job is `queued` and `in_progress`, in seconds."""

    queued_seconds: float
    processing_seconds: float


class Worker:
    """Works off what the store holds. ``start`` and ``stop`` belong to the event loop; ``wake_*`` to any thread."""

    def __init__(self, store: Store, deals: Deals, uploads: Path, speed: Speed) -> None:
        self._store = store
        self._deals = deals
        self._uploads = uploads
        self.speed = speed
        self.strict_datetimes = False
        self._lanes: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Take up what was left, then what comes."""
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(_THREADS, "sandbox-worker")
        self._changed = asyncio.Event()
        self._store.requeue()
        collections, invocations = self._store.pending()
        for collection in collections:
            self._open_lane(collection, self._run_uploads)
        for invocation in invocations:
            self._open_lane(invocation, self._run_invocation)

    async def stop(self) -> None:
        """Finish the step in hand, and leave the rest as a restart will find and continue it."""
        for lane in self._lanes.values():
            lane.cancel()
        await asyncio.gather(*self._lanes.values(), return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown)
        self._lanes.clear()

    def change(self) -> None:
        """Look again at the speed and at what is stuck."""
        self._loop.call_soon_threadsafe(self._announce)

    def wake_uploads(self, collection: str) -> None:
        """Say that the collection has a new upload."""
        self._loop.call_soon_threadsafe(self._open_lane, collection, self._run_uploads)

    def wake_invocation(self, identifier: str) -> None:
        """Say that there is a new invocation."""
        self._loop.call_soon_threadsafe(self._open_lane, identifier, self._run_invocation)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _open_lane(self, key: str, run: Callable[[str], Coroutine[None, None, None]]) -> None:
        if key not in self._lanes:
            self._lanes[key] = asyncio.create_task(self._lane(key, run))

    async def _lane(self, key: str, run: Callable[[str], Coroutine[None, None, None]]) -> None:
        try:
            await run(key)
        finally:
            del self._lanes[key]

    async def _run_uploads(self, collection: str) -> None:
        while (upload := self._store.next_upload(collection)) is not None:
            await self._take(upload, self._process_upload, self._store.end_upload)

    async def _run_invocation(self, identifier: str) -> None:
        if (invocation := self._store.invocation(identifier)) is not None:
            await self._take(invocation, self._process_invocation, self._store.end_invocation)

    async def _take(self, job: Job, process: Callable[[Job], None], end: Callable[[Job, str, None], None]) -> None:
        await self._wait(job.accepted.timestamp(), lambda: self.speed.queued_seconds)
        self._store.advance(job)
        await self._wait(time.time(), lambda: self.speed.processing_seconds)
        while self._store.is_stuck(job):
            await self._changed.wait()
        await self._loop.run_in_executor(self._pool, _guarded, job, process, end)

    async def _wait(self, since: float, seconds: Callable[[], float]) -> None:
        while (left := since + seconds() - time.time()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    def _process_upload(self, upload: Upload) -> None:
        path = self._uploads / upload.id
        if upload.operation == "delete":
            self._deals.delete(upload.collection, json.loads(path.read_bytes()))
            self._store.end_upload(upload, None, None)
            path.unlink()
            return
        if upload.fate == "spoil":
            path.write_bytes(re.sub(rb"closed_won|closed_lost|open", b"spoilt", path.read_bytes()))
        verdict = validate(path, upload.separator, strict_datetimes=self.strict_datetimes)
        if verdict.passed:
            self._deals.merge(upload.collection, path, upload.separator, replace_all=upload.operation == "override")
        self._store.end_upload(upload, verdict.message, verdict.errors)
        path.unlink()

    def _process_invocation(self, invocation: Invocation) -> None:
        predictions = None
        message = None if invocation.had_deals else _NO_DEALS
        if message is None and invocation.fate != "fail_result":
            try:
                predictions = forecast(self._deals.tables(invocation.collection, COLUMNS), **invocation.args)
            except NoForecast as error:
                message = str(error)
        self._store.end_invocation(invocation, message, predictions)


def _guarded(job: Job, process: Callable[[Job], None], end: Callable[[Job, str, None], None]) -> None:
    """Process a job; whatever happens, it ends."""
    try:
        if job.fate == "fail":
            end(job, "Failed on purpose: the fault `fail` was set.", None)
        else:
            process(job)
    except Exception as error:
        log.exception("%s %s failed", type(job).__name__, job.id)
        end(job, f"Internal error: {type(error).__name__}.", None)
