"""Prefect's settings as the user and the environment have them, never as the working directory says."""

from __future__ import annotations

import os
import sys
from contextlib import chdir

SERVER_SETTINGS = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}
"""Environment of a Prefect server: by default it forgets at a restart which locks are held and until when. `pyproject.toml` says the same
to one that is started in the repository."""


def load_prefect() -> None:
    """Import Prefect from the root folder.

    Prefect reads ``.env``, ``prefect.toml`` and ``pyproject.toml`` of the working directory, which may be anybody's, as settings:
    such a file can name a server that sees every run, or code that is imported.
    """
    if "prefect.main" not in sys.modules:
        with chdir(os.sep):
            import prefect.main  # noqa: F401, PLC0415 - the point is when it is imported


def refresh_prefect() -> None:
    """Let Prefect read its environment again, from the root folder too."""
    load_prefect()
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415 - prefect takes a second to import

    with chdir(os.sep):
        refresh_global_settings_context()


def keep_loopback_direct() -> None:
    """Let no proxy of the environment take calls to this machine: a temporary server, or the user's own, is not behind it."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [*filter(None, named.split(",")), *(host for host in ("127.0.0.1", "localhost", "::1") if host not in named.split(","))]
    if named != "*":
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(hosts)


def unread_settings() -> list[str]:
    """The files of the working directory from which Prefect alone would take settings."""
    found = []
    for name, mark in ((".env", "PREFECT_"), ("prefect.toml", ""), ("pyproject.toml", "[tool.prefect.api")):
        try:
            with open(name, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib is not imported before a command needs it
                found += [name] if mark in file.read(1 << 20) else []
        except OSError:
            continue
    return found
