"""Settings of the Prefect servers that dealcast starts."""

from __future__ import annotations

SERVER_SETTINGS = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}
"""Environment of a Prefect server: by default it forgets at a restart which locks are held and until when. `pyproject.toml` says the same
to one that is started in the repository."""
