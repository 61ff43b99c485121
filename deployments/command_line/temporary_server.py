"""Prefect's temporary server, started before anything else is imported: it comes up while this process imports the rest.

Prefect starts one itself where its settings name no server, but only at its first call: it imports all of the server here as well, and
then waits, idle. This file is also the server's program, so it imports nothing of dealcast's before it needs it.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from flows.errors import DealcastError


_UNWRITABLE = ("unable to open database file", "readonly database", "Permission denied", "Read-only file system", "Not a directory")


@dataclass(frozen=True, slots=True)
class TemporaryServer:
    """A server on loopback that ends with this process, however that ends."""

    process: subprocess.Popen[bytes]
    url: str
    said: TextIO
    """A file of what it writes to stderr: where it does not start, one sentence says why; else it is shown at the end."""

    def await_start(self) -> None:
        """Wait until it answers: its port takes the request before it does.

        Raises:
            DealcastError: it ended, or took longer than Prefect's settings give it.
        """
        import httpx  # noqa: PLC0415 - the server's program needs none of these
        from prefect.settings import get_current_settings  # noqa: PLC0415 - as above

        from flows.errors import DealcastError  # noqa: PLC0415 - as above

        seconds = get_current_settings().server.ephemeral.startup_timeout_seconds
        try:
            httpx.get(f"{self.url}/health", timeout=seconds).raise_for_status()
        except httpx.HTTPError as error:
            if not isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
                how = f"gave no good answer in {seconds} s ({error})"
                raise DealcastError(f"Prefect's temporary server {how}. Run it again, or set PREFECT_API_URL to a server.") from error
            self.process.wait()
            self.said.seek(0)
            text = self.said.read()
            self.said.truncate(0)
            raise _why_it_ended(text, str(get_current_settings().home)) from error

    def stop(self) -> None:
        """End it: with its input, as when this process dies."""
        try:
            self.process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.seek(0)
        sys.stderr.write(self.said.read())


def _why_it_ended(said: str, home: str) -> DealcastError:
    """The error of a server that wrote ``said`` and ended, in one sentence with its remedy; ``home`` is Prefect's."""
    from flows.errors import DealcastError, UsageError  # noqa: PLC0415 - the server's program needs none of these

    elsewhere = "or PREFECT_API_URL to a server that runs. Nothing was begun."
    if "Can't locate revision" in said:
        return UsageError(f"Prefect's database in {home} is of a newer version of Prefect. Set PREFECT_HOME to another folder, {elsewhere}")
    if any(words in said for words in _UNWRITABLE):
        where = f"in {home}, unless PREFECT_SERVER_DATABASE_CONNECTION_URL says otherwise"
        return UsageError(f"Prefect cannot write its database ({where}). Set PREFECT_HOME to a folder that it may write to, {elsewhere}")
    errors = [line for line in said.splitlines() if re.match(r"[\w.]+(Error|Exception|Exit): ", line)]
    why = f" ({errors[-1]})" if errors else ""
    return DealcastError(f"Prefect's temporary server ended{why}. Run it again, or set PREFECT_API_URL to a server that runs.")


def server_protection(origin: str) -> dict[str, str]:
    """The environment of a Prefect server at ``origin`` that takes calls only with a secret of this start, and from its own pages.

    Prefect's API runs commands: without a secret any page in a browser on this machine, and any of its users, could run some.
    """
    secret = f"dealcast:{secrets.token_urlsafe(24)}"
    return {
        "PREFECT_SERVER_API_AUTH_STRING": secret,
        "PREFECT_API_AUTH_STRING": secret,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": origin,
    }


def without_tokens(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` without the platform's tokens: a process that does not send needs none."""
    return {name: value for name, value in environment.items() if not (name.startswith("DEALCAST_") and name.endswith("TOKEN"))}


@cache
def temporary_server() -> TemporaryServer | None:
    """Start one and make it this process's Prefect API; none where Prefect's settings name a server, or want no temporary one."""
    from flows.runtime.prefect_settings import (  # noqa: PLC0415 - the server's program does not find it
        SERVER_SETTINGS,
        keep_loopback_direct,
        load_prefect,
        refresh_prefect,
        unread_settings,
    )

    if unread := unread_settings():
        what = f"dealcast: {' and '.join(unread)} of this folder are not read as Prefect's settings; use its profile or the environment."
        print(what, file=sys.stderr)
    keep_loopback_direct()
    load_prefect()
    from prefect.settings import get_current_settings  # noqa: PLC0415 - prefect takes a second to import

    settings = get_current_settings()
    if settings.api.url or not settings.server.ephemeral.enabled:
        return None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        protection = server_protection(origin)
        said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - it lives as long as the server
        process = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-P", __file__, str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=[listener.fileno()],
            process_group=0,  # a Ctrl-C is for this process, which then ends the server
            cwd=os.sep,  # a `.env` or `prefect.toml` where the command runs is nobody's settings
            env={**SERVER_SETTINGS, **without_tokens(os.environ), **protection},
        )
        server = TemporaryServer(process, f"{origin}/api", said)
    atexit.register(server.stop)
    os.environ.update({"PREFECT_API_URL": server.url, "PREFECT_API_AUTH_STRING": protection["PREFECT_API_AUTH_STRING"]})
    refresh_prefect()
    return server


def _serve(descriptor: int) -> None:
    """Be the server until the input ends."""

    def end_with_the_input() -> None:
        os.read(sys.stdin.fileno(), 1)
        # Prefect logs a write that the end cuts short as an error with its traceback, and then writes it after all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_the_input, daemon=True).start()
    gc.set_threshold(100_000)  # as in the command line: imports make objects that stay
    import uvicorn  # noqa: PLC0415 - only the server's own process needs it
    from prefect.server.api.server import create_app  # noqa: PLC0415 - as above

    uvicorn.run(create_app(ephemeral=True, final=True), fd=descriptor, log_level="error", lifespan="on")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
