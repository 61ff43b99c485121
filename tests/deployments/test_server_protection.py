"""A Prefect server that dealcast starts answers nobody but the command that started it, and who has its secret."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments.command_line.temporary_server import server_protection
from deployments.sandbox import running
from flows.nostradamus import Nostradamus
from tests.conftest import HANG, PATIENT_START, wait_for
from tests.deployments.conftest import CALLS, INTRUDER, Intruder, made_by_an_intruder
from tests.prefect_database import home_with_database

DEALCAST = str(Path(sys.executable).with_name("dealcast"))
EXPORT = Path(__file__).resolve().parents[2] / "deployments/commands/demo/hubspot-crm-exports-all-deals-2026-11-02.csv"


@dataclass(frozen=True)
class Server:
    """A Prefect API, its secret, and the status of the first answer that it gave to somebody without it."""

    api: str
    secret: str
    first: int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The temporary one of a sync that is under way, which was asked from its first moment on."""
    place = tmp_path_factory.mktemp("sync")
    with running() as sandbox:
        sandbox.control("POST", "faults", {"kind": "stuck", "path": "*/append"})
        with Nostradamus(sandbox.url, sandbox.token) as platform:
            collection = platform.create_collection("protected", "Europe/Rome").id
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "DEALCAST_"))} | {
            "DEALCAST_HOME": str(place / "home"),
            "DEALCAST_PLATFORM_URL": sandbox.url,
            "DEALCAST_TOKEN": sandbox.token,
            "PREFECT_HOME": str(home_with_database(place / "prefect")),
            **PATIENT_START,
        }
        command = [DEALCAST, "sync", str(EXPORT), "--crm", "hubspot", "--crm-timezone", "Europe/Rome", "--collection", collection]
        with (place / "said").open("wb") as said, subprocess.Popen(command, env=environment, stdout=said, stderr=said) as child:
            settings = wait_for(lambda: _settings_of_server(child), "the server's process")
            api = f"{settings['PREFECT_SERVER_CORS_ALLOWED_ORIGINS']}/api"
            first = httpx.post(f"{api}/flow_runs/filter", json={}, trust_env=False, timeout=HANG).status_code
            wait_for(lambda: sandbox.control("GET", "requests?method=GET&path=*/append/*"), "the sync to wait for its append")
            try:
                yield Server(api, settings["PREFECT_SERVER_API_AUTH_STRING"], first)
            finally:
                child.terminate()


def _settings_of_server(child: subprocess.Popen[bytes]) -> dict[str, str] | None:
    assert child.poll() is None
    for each in psutil.Process(child.pid).children():
        try:
            if "PREFECT_SERVER_API_AUTH_STRING" in (found := dict(each.environ())):
                return found
        except psutil.Error:
            continue  # it has just begun, or ended
    return None


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_nobody_without_the_secret_is_answered(server: Server, method: str, path: str, body: dict[str, Any]) -> None:
    """Nor was before the server had started; who has it is."""
    assert server.first == 401
    user, _, password = server.secret.partition(":")
    own = body | ({"name": "own"} if body else {})
    with httpx.Client(base_url=server.api, trust_env=False, timeout=HANG) as client:
        assert client.request(method, f"/{path}", json=body).status_code == 401
        assert client.request(method, f"/{path}", json=body, auth=("dealcast", "guess")).status_code == 401
        assert client.request(method, f"/{path}", json=own, auth=(user, password)).is_success
    assert made_by_an_intruder(server.api, server.secret) == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH")
def test_another_user_of_the_machine_is_not_answered(server: Server) -> None:
    """As `nobody`, where the suite may become another user."""
    command = ["curl", "--silent", "--noproxy", "*", "--write-out", "%{http_code}", "--output", os.devnull, f"{server.api}/admin/version"]
    nobody = "nobody" if os.getuid() == 0 else None
    assert subprocess.run(command, user=nobody, cwd=os.sep, capture_output=True, text=True, check=True).stdout == "401"


def test_a_page_of_another_origin_reads_and_starts_nothing(server: Server, intruder: Intruder) -> None:
    """It is not shown even the refusal."""
    assert intruder(server.api) == []
    assert made_by_an_intruder(server.api, server.secret) == []


def test_the_secret_is_another_at_each_start() -> None:
    first, second = server_protection("http://127.0.0.1:1"), server_protection("http://127.0.0.1:1")
    assert first["PREFECT_SERVER_API_AUTH_STRING"] != second["PREFECT_SERVER_API_AUTH_STRING"]
    assert len(first["PREFECT_SERVER_API_AUTH_STRING"]) > 32


def test_the_search_finds_what_an_intruder_makes(server: Server) -> None:
    """With the secret it could."""
    user, _, password = server.secret.partition(":")
    made = httpx.post(f"{server.api}/flows/", json={"name": INTRUDER}, auth=(user, password), trust_env=False, timeout=HANG)
    try:
        assert [each["id"] for each in made_by_an_intruder(server.api, server.secret)] == [made.json()["id"]]
    finally:
        httpx.delete(f"{server.api}/flows/{made.json()['id']}", auth=(user, password), trust_env=False, timeout=HANG)
