"""One sync of a collection at a time, across processes and machines; a dead holder's claim does not last.

Across machines it is a Prefect concurrency limit whose lease a dead holder loses within a minute. On one machine a locked
file says at once that a holder died, since the lock goes with the process.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.concurrency._asyncio import ConcurrencySlotAcquisitionError  # what `concurrency` raises; not exported elsewhere
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound

from flows.errors import CollectionBusy
from flows.ledger import Ledger

LEASE_SECONDS = 60
"""The shortest lease that Prefect grants."""

_HOLDER = "_holder.json"


@contextmanager
def claim(collection: str, ledger: Ledger, home: Path) -> Iterator[None]:
    """Hold ``collection`` for the length of the block.

    Raises:
        CollectionBusy: another sync holds it; the message says who, where and since when.
    """
    limit = f"dealcast-{collection}"
    with _machine_lock(home / "claims" / f"{collection}.lock", collection, ledger) as lock, ExitStack() as slot:
        _ensure(limit, fresh=_died_here(ledger, collection, lock))
        try:
            slot.enter_context(concurrency(limit, occupy=1, strict=True, max_retries=0, lease_duration=LEASE_SECONDS))
        except ConcurrencySlotAcquisitionError as error:
            raise _busy(collection, ledger) from error
        _write_holder(ledger, collection, lock)
        try:
            yield
        finally:
            ledger.delete(collection, _HOLDER)


@contextmanager
def _machine_lock(path: Path, collection: str, ledger: Ledger) -> Iterator[Path]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy(collection, ledger) from error
        yield path


def _ensure(limit: str, *, fresh: bool) -> None:
    """Make the limit exist; ``fresh`` makes it anew, which frees a slot whose holder is known to be dead."""
    with get_client(sync_client=True) as client:
        if fresh:
            with suppress(ObjectNotFound):
                client.delete_global_concurrency_limit_by_name(limit)
        client.upsert_global_concurrency_limit_by_name(limit, 1)


def _died_here(ledger: Ledger, collection: str, lock: Path) -> bool:
    """Whether the recorded holder claimed through the very lock that this process now holds: then it is dead."""
    holder = _holder(ledger, collection)
    return holder.get("host") == socket.gethostname() and holder.get("lock") == str(lock)


def _write_holder(ledger: Ledger, collection: str, lock: Path) -> None:
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "lock": str(lock), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    ledger.put(collection, _HOLDER, json.dumps(holder).encode())


def _holder(ledger: Ledger, collection: str) -> dict[str, str]:
    try:
        return dict(json.loads(ledger.get(collection, _HOLDER) or b"{}"))
    except ValueError:
        return {}


def _busy(collection: str, ledger: Ledger) -> CollectionBusy:
    holder = _holder(ledger, collection)
    who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}" if holder else "another process"
    return CollectionBusy(
        f"Another sync of collection {collection} is at work: {who}. Nothing was sent. Run again when it is done; "
        f"if it died, its claim ends within {LEASE_SECONDS} s."
    )
