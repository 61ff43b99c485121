"""`dealcast doctor` of Prefect: its server, and what is deployed there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import proxy_bypass

import httpx
import pytest

from deployments.sandbox import Sandbox
from flows.runtime.prefect_settings import keep_loopback_direct
from tests.conftest import HANG
from tests.deployments.commands.conftest import CLOSED, Examine

if TYPE_CHECKING:
    from tests.conftest import Dealcast, WriteDeals
    from tests.deployments.conftest import Stage


def test_a_prefect_server_that_is_away(examine: Examine, prefect_url: Callable[[str], None]) -> None:
    prefect_url(CLOSED)
    found = examine(code=2)["prefect"]
    assert CLOSED in found["message"]
    assert "profile" in found["message"]
    assert "PREFECT_API_URL" in found["remedy"]


def test_a_prefect_server_that_wants_credentials(examine: Examine, prefect_url: Callable[[str], None]) -> None:
    """The sandbox refuses what has no token with 401, as a Prefect server behind a password does."""
    prefect_url(f"{os.environ['DEALCAST_PLATFORM_URL']}/api/collection")
    assert "PREFECT_API_AUTH_STRING" in examine(code=2)["prefect"]["remedy"]


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_between_this_machine_and_itself(
    examine: Examine, prefect_url: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    prefect_url(CLOSED)
    monkeypatch.setenv(proxy, "http://proxy.example:3128")
    assert proxy in examine(code=2)["proxy"]["message"]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "no server answers" in examine(code=2)["prefect"]["message"]


def test_loopback_goes_through_no_proxy(no_proxy: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - it sets the environment
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    monkeypatch.setenv("no_proxy", "intranet.example")
    keep_loopback_direct()
    keep_loopback_direct()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "intranet.example,127.0.0.1,localhost,::1"
    assert all(proxy_bypass(host) for host in ("127.0.0.1", "localhost", "intranet.example"))
    assert not proxy_bypass("crm.example")


def test_a_profile_that_is_not_there(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_PROFILE", "production")
    found = examine()["profile"]
    assert "no profile production" in found["message"]
    assert "prefect profile use" in found["remedy"]


@pytest.fixture
def lonely(stage: Stage) -> Iterator[Stage]:
    """The stage with a deployment, whose work pool no worker polls."""
    stage.ask("work_pools/", {"name": "lonely", "type": "process"})
    flow = stage.ask("flows/", {"name": "sync-deals"})["id"]
    body = {"name": "lonely", "flow_id": flow, "work_pool_name": "lonely", "tags": ["dealcast"], "paused": True}
    made = stage.ask("deployments/", body)["id"]
    yield stage
    for path in (f"deployments/{made}", "work_pools/lonely"):
        httpx.delete(f"{stage.url}/api/{path}", trust_env=False, timeout=HANG).raise_for_status()


def test_a_deployment_without_a_worker(lonely: Stage, examine: Examine, prefect_url: Callable[[str], None]) -> None:
    prefect_url(f"{lonely.url}/api")
    found = examine(code=2)
    assert found["prefect"]["status"] == "ok"
    assert found["deployments"]["message"] == "paused: lonely."
    assert found["work pool"]["message"] == "lonely, of type process."
    assert found["worker"]["remedy"] == "Run `prefect worker start --pool lonely`."
    assert {"leases", "automations"} <= set(found)


@pytest.fixture
def outdated(lonely: Stage, tmp_path: Path) -> Iterator[Stage]:
    """The stage with a deployment as a version that is gone wrote it; its folder has moved, and somebody has switched off its schedule."""
    flow = lonely.ask("flows/", {"name": "sync-deals"})["id"]
    body = {
        "name": "acme-incremental",
        "flow_id": flow,
        "work_pool_name": "lonely",
        "tags": ["dealcast"],
        "version": "0.0.9",
        "entrypoint": "flows.hourly.sync_hourly",
        "job_variables": {"env": {"DEALCAST_FOLDER": str(tmp_path / "moved")}},
        "schedules": [{"active": False, "schedule": {"cron": "0 * * * *", "timezone": "UTC"}}],
    }
    made = lonely.ask("deployments/", body)["id"]
    yield lonely
    httpx.delete(f"{lonely.url}/api/deployments/{made}", trust_env=False, timeout=HANG).raise_for_status()


def test_a_deployment_of_another_version_is_told_with_all_that_it_lacks(
    outdated: Stage, examine: Examine, prefect_url: Callable[[str], None], tmp_path: Path
) -> None:
    prefect_url(f"{outdated.url}/api")
    found = examine(code=2)
    assert found["flow"]["message"] == "the flow of acme-incremental is not in this version of dealcast."
    assert found["version"]["message"].startswith("acme-incremental: deployed by another version than ")
    assert found["folder"]["message"] == f"acme-incremental: its relative paths start from {tmp_path / 'moved'}, which is not there."
    assert {found[each]["remedy"] for each in ("flow", "version", "folder")} == {
        "Run `dealcast deploy` again, where its dealcast.toml lies."
    }
    assert (found["schedule"]["status"], found["schedule"]["message"]) == ("warning", "switched off: acme-incremental.")


def test_a_worker_of_another_pool_is_named(lonely: Stage, examine: Examine, prefect_url: Callable[[str], None]) -> None:
    lonely.ask("work_pools/", {"name": "other", "type": "process"})
    lonely.ask("work_pools/other/workers/heartbeat", {"name": "one"})
    prefect_url(f"{lonely.url}/api")
    try:
        message = examine(code=2)["worker"]["message"]
    finally:
        httpx.delete(f"{lonely.url}/api/work_pools/other", trust_env=False, timeout=HANG).raise_for_status()
    assert message.startswith("none polls lonely; one polls ")
    assert "other" in message


def test_heartbeats_that_a_deployment_has_are_not_missed_here(
    lonely: Stage, examine: Examine, prefect_url: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dealcast deploy` gives each of its deployments the variable; the shell of a doctor needs none."""
    monkeypatch.delenv("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", raising=False)
    prefect_url(f"{lonely.url}/api")
    assert "lonely" in examine(code=2)["heartbeats"]["message"]
    made = lonely.deployment("sync-deals/lonely")["id"]
    lonely.change(f"deployments/{made}", {"job_variables": {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}}})
    assert "lonely" not in examine(code=2).get("heartbeats", {}).get("message", "")


def test_a_work_pool_that_is_paused(lonely: Stage, examine: Examine, prefect_url: Callable[[str], None]) -> None:
    prefect_url(f"{lonely.url}/api")
    lonely.change("work_pools/lonely", {"is_paused": True})
    assert examine(code=2)["work pool"]["remedy"] == "Run `prefect work-pool resume lonely`."


def test_two_workers_on_sqlite_and_a_server_without_a_secret(lonely: Stage, examine: Examine, prefect_url: Callable[[str], None]) -> None:
    prefect_url(f"{lonely.url}/api")
    for name in ("one", "two"):
        lonely.ask("work_pools/lonely/workers/heartbeat", {"name": name})
    lonely.change("work_pools/lonely", {"is_paused": True})  # the code is its, whether or not another test has a worker at the other pool
    found = examine(code=2)
    assert set(found["worker"]["message"].strip(".").split(", ")) == {"one", "two"}
    assert "SQLite" in found["database"]["message"]
    assert "PostgreSQL" in found["database"]["remedy"]
    assert "PREFECT_SERVER_API_AUTH_STRING" in found["secret"]["remedy"]


def test_leases_that_a_restart_forgets(
    lonely: Stage, examine: Examine, prefect_url: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage's server keeps them on disk; that is taken for the storage in memory here."""
    kept = lonely.ask("admin/settings")["server"]["concurrency"]["lease_storage"]
    monkeypatch.setattr(import_module("deployments.commands.doctor.prefect_findings"), "_IN_MEMORY", kept)
    prefect_url(f"{lonely.url}/api")
    assert "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE" in examine(code=2)["leases"]["remedy"]


@pytest.mark.parametrize(
    ("environment", "profiles", "said"),
    [
        ({"PREFECT_API_REQUEST_TIMEOUT": "s3cret"}, "", "PREFECT_API_REQUEST_TIMEOUT: Input should be a valid number"),
        ({}, "[profiles.default\n", "/profiles.toml: TOMLDecodeError: Expected ']'"),
    ],
    ids=["variable", "profiles"],
)
def test_settings_of_prefect_that_cannot_be_read_are_named(tmp_path: Path, environment: dict[str, str], profiles: str, said: str) -> None:
    """In one sentence and one object, by whichever command imports Prefect; no value is shown, which may be a secret."""
    (tmp_path / "profiles.toml").write_text(profiles)
    command = [str(Path(sys.executable).with_name("dealcast")), "doctor", "--json"]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DEALCAST_", "PREFECT_"))}
    own |= {"PREFECT_HOME": str(tmp_path), "DEALCAST_HOME": str(tmp_path), **environment}
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    found = json.loads(done.stdout)
    assert (found["error"], found["exit_code"]) == ("UsageError", 2)
    assert said in found["message"]
    assert "Traceback" not in done.stderr
    assert "s3cret" not in found["message"]


@pytest.mark.parametrize("path", ["", "/api/collection"], ids=["away", "wants credentials"])
def test_a_sync_says_in_one_sentence_that_prefect_cannot_be_used(
    dealcast: Dealcast, prefect_url: Callable[[str], None], write_deals: WriteDeals, collection: str, sandbox: Sandbox, path: str
) -> None:
    """URL, profile, remedy, exit code, and one object for a script; nothing is sent, and nobody's traceback is shown."""
    url = f"{sandbox.url}{path}" if path else CLOSED
    prefect_url(url)
    done = dealcast("sync", write_deals(), "--crm", "canonical", "--collection", collection, "--json", code=2)
    said = json.loads(done.stdout)
    assert (said["error"], said["exit_code"]) == ("UsageError", 2)
    assert all(part in said["message"] for part in (url, "profile", "PREFECT_API_AUTH_STRING" if path else "PREFECT_API_URL"))
    assert len(done.stderr.strip().splitlines()) == 1
    assert sandbox.control("GET", "uploads") == []
