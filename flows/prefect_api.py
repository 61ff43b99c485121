"""One call of ours to Prefect's API at a time from this process, where collections go side by side.

Where two of them write at once, a Prefect server on SQLite can stand still for a minute: one connection waits for the other's lock,
and the server's event loop, which has to end the other's transaction, waits for the first connection (measured with Prefect 3.8).
Prefect's own writes, of states and logs, come in batches.
"""

from __future__ import annotations

from threading import Lock

ONE_CALL = Lock()
"""Held for the length of a call; a plain lock, since a signal could leave one that a generator holds behind."""
