"""One sync of a collection at a time, across processes and machines; a dead holder's lock does not last.

Across machines it is a Prefect concurrency limit whose lease a dead holder loses within a minute. On one machine a locked
file says at once that a holder died: the lock goes with the process, and what it wrote into the file stays.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

from prefect._internal.concurrency.cancellation import CancelledError  # what a lease that cannot be renewed raises; not exported elsewhere
from prefect.client.orchestration import get_client
from prefect.concurrency._asyncio import ConcurrencySlotAcquisitionError  # what `concurrency` raises; not exported elsewhere
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.runtime import flow_run

from flows.errors import CollectionBusy, LockLost
from flows.ledger.dead_runs import close_dead_runs
from flows.ledger.store import HOLDER, Ledger
from flows.runtime.atomic_files import private_descriptor, private_folder

LEASE_SECONDS = 60
"""The shortest lease that Prefect grants."""

_NAMING_SECONDS = 1.0
"""Seconds to wait for a holder that has just locked to write its name."""

Holder = dict[str, str]
"""The holder of the lock: host, pid, since, the Prefect flow run, and a token that no other holder has; empty where nobody does."""


@contextmanager
def lock_collection(collection: str, ledger: Ledger, home: Path) -> Iterator[None]:
    """Hold ``collection`` for the length of the block, and close the Prefect runs of holders that died.

    While it is held the ledger takes entries, and POSTs go out, only as long as no other holder has written its name there: a process
    that was paused for longer than its lease finds that out before it does anything.

    Raises:
        CollectionBusy: another sync holds it; the message says who, where and since when.
        LockLost: it ended while the block was at work.
    """
    limit = f"dealcast-{collection}"
    with _machine_lock(home / "locks" / f"{collection}.lock", collection) as lock, ExitStack() as slot:
        died, recorded = _read(lock), _recorded(ledger, collection)
        mine = _name(lock)
        _ensure(limit, held_by_the_dead=bool(died) and recorded in ({}, died))
        if not _take(slot, limit):
            raise _busy(collection, lambda: _recorded(ledger, collection))
        try:
            with slot:
                ledger.hold(collection, json.dumps(mine).encode())
                close_dead_runs(collection, {holder.get("flow_run") for holder in (died, recorded)})
                yield
        except CancelledError as error:
            raise LockLost.of(collection) from error
        finally:
            ledger.let_go(collection)


@contextmanager
def lock_on_this_machine(collection: str, ledger: Ledger, home: Path) -> Iterator[None]:
    """Hold ``collection`` without Prefect, for what sends nothing. A sync that begins on this machine meanwhile ends as CollectionBusy.

    Raises:
        CollectionBusy: a sync holds it, here or elsewhere.
    """
    with _machine_lock(home / "locks" / f"{collection}.lock", collection) as lock:
        died, recorded = _read(lock), _recorded(ledger, collection)
        if recorded not in ({}, died):
            raise _busy(collection, lambda: recorded)
        yield


@contextmanager
def _machine_lock(path: Path, collection: str) -> Iterator[IO[str]]:
    """Lock the file; it is left empty, unless the process dies."""
    private_folder(path.parent)
    with open(path, "a+", opener=private_descriptor) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy(collection, lambda: _read(lock)) from error
        try:
            yield lock
        finally:
            lock.truncate(0)


def _ensure(limit: str, *, held_by_the_dead: bool) -> None:
    """Make the limit exist; one that is ``held_by_the_dead`` is made anew, which frees its slot before the lease ends."""
    with get_client(sync_client=True) as client:
        if held_by_the_dead:
            with suppress(ObjectNotFound):
                client.delete_global_concurrency_limit_by_name(limit)
        with suppress(ObjectAlreadyExists):  # made by another in this moment
            client.upsert_global_concurrency_limit_by_name(limit, 1)


def _take(slot: ExitStack, limit: str) -> bool:
    """True if ``slot`` now holds the limit's only slot."""
    with suppress(ConcurrencySlotAcquisitionError):
        slot.enter_context(concurrency(limit, occupy=1, strict=True, max_retries=0, lease_duration=LEASE_SECONDS))
        return True
    return False


def _name(lock: IO[str]) -> Holder:
    """Write into the lock who holds it."""
    since = datetime.now(UTC).isoformat(timespec="milliseconds")
    holder = {"host": socket.gethostname(), "pid": str(os.getpid()), "since": since}
    holder |= {"flow_run": str(flow_run.id), "token": uuid4().hex}
    lock.truncate(0)
    lock.write(json.dumps(holder))
    lock.flush()
    return holder


def _read(lock: IO[str]) -> Holder:
    lock.seek(0)
    return _holder(lock.read())


def _recorded(ledger: Ledger, collection: str) -> Holder:
    return _holder(ledger.get(collection, HOLDER) or b"{}")


def _holder(text: str | bytes) -> Holder:
    try:
        return dict(json.loads(text))
    except ValueError:
        return {}


def _named(read: Callable[[], Holder], seconds: float) -> Holder:
    """The holder of the lock, as soon as it says so; empty where it does not within ``seconds``."""
    end = time.monotonic() + seconds
    while not (holder := read()) and time.monotonic() < end:
        time.sleep(0.02)
    return holder


def _busy(collection: str, read: Callable[[], Holder]) -> CollectionBusy:
    holder = _named(read, _NAMING_SECONDS)
    who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}" if holder else "another process"
    return CollectionBusy(
        f"Another sync of collection {collection} is at work: {who}. Nothing was sent. Run again when it is done; "
        f"if it died, its lock ends within {LEASE_SECONDS} s; where Prefect's server does not keep leases in files, "
        f"`prefect gcl delete dealcast-{collection}` ends it."
    )
