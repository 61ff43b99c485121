"""How Prefect's API is used where collections go side by side, so that its server on SQLite keeps up.

Where two writes meet, such a server can stand still for a minute: one connection waits for the other's lock, and the server's event
loop, which has to end the other's transaction, waits for the first connection (measured with Prefect 3.8). So there are few of them:
our own calls come one at a time, and a server that dealcast starts writes what Prefect's engine tells it in batches.
"""

from __future__ import annotations

from threading import Lock

ONE_CALL = Lock()
"""Held for the length of a call; a plain lock, since a signal could leave one that a generator holds behind."""

SERVER_SETTINGS = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "1000",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}
"""Environment of a Prefect server: by default it writes each state of a task in a transaction of its own, and forgets at a restart
which locks are held and until when. `pyproject.toml` says the same to one that is started in the repository."""
