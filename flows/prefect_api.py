"""Calls of ours to Prefect's API, one at a time from this process.

Where two of them write at once, a Prefect server on SQLite can stand still for a minute: one connection waits for the other's lock,
and the server's event loop, which has to end the other's transaction, waits for the first connection (measured with Prefect 3.8).
Prefect's own calls, for states and logs, come in batches from one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from prefect.client.orchestration import SyncPrefectClient, get_client

_CALLING = Lock()


@contextmanager
def one_call() -> Iterator[None]:
    """The block's calls to Prefect's API, with no other of ours beside them."""
    with _CALLING:
        yield


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """A client of Prefect's API that no other of ours is at work beside."""
    with one_call(), get_client(sync_client=True) as client:
        yield client
