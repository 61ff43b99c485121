"""Prefect's settings as the user and the environment have them, never as the working directory says."""

from __future__ import annotations

import os
import sys
from contextlib import chdir
from pathlib import Path

from flows.errors import UsageError

SERVER_SETTINGS = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}
"""Environment of a Prefect server: by default it forgets at a restart which locks are held and until when. `pyproject.toml` says the same
to one that is started in the repository."""


def load_prefect() -> None:
    """Import Prefect from the root folder.

    Prefect reads ``.env``, ``prefect.toml`` and ``pyproject.toml`` of the working directory, which may be anybody's, as settings:
    such a file can name a server that sees every run, or code that is imported.

    Raises:
        UsageError: a variable, or the file of profiles, is not as Prefect wants it.
    """
    if "prefect.main" not in sys.modules:
        try:
            with chdir(os.sep):
                import prefect.main  # noqa: F401, PLC0415 - the point is when it is imported
        except (ValueError, OSError) as error:  # pydantic's, TOML's and Unicode's are ValueErrors
            raise _unreadable(error) from error


def _unreadable(error: ValueError | OSError) -> UsageError:
    """The error in words: the variables that it may be about, else the file of profiles; no value, which may be a secret."""
    from pydantic import ValidationError  # noqa: PLC0415 - only this path needs it

    profiles = os.environ.get("PREFECT_PROFILES_PATH") or Path(os.environ.get("PREFECT_HOME") or "~/.prefect", "profiles.toml")
    where, what = f"{Path(profiles).expanduser()}", f"{type(error).__name__}: {error}"
    if isinstance(error, ValidationError):
        wrong = error.errors(include_input=False, include_url=False)[0]
        setting = "_".join(map(str, wrong["loc"])).upper()
        variables = sorted(name for name in os.environ if name.startswith("PREFECT_") and name.endswith(f"_{setting}"))
        where, what = " or ".join(variables) or f"{setting} in {where}", wrong["msg"]
    return UsageError(f"Prefect's settings cannot be read: {where}: {what}. Correct that, or take it out. Nothing was begun.")


def keep_leases_on_disk() -> None:
    """Let the Prefect server that this process is keep its leases over a restart, unless its own settings say where they lie."""
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415 - prefect takes a second to import
    from prefect.settings import get_current_settings  # noqa: PLC0415 - as above

    settings = get_current_settings().server.concurrency
    if "lease_storage" not in settings.model_fields_set:
        os.environ.update(SERVER_SETTINGS)
        refresh_global_settings_context()
        [settings.lease_storage] = SERVER_SETTINGS.values()  # `prefect server start` has entered a context, which stays as it is


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
