"""`dealcast doctor` names what is broken, each with its remedy; the exit code is that of the first failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import proxy_bypass

import httpx
import pytest

from deployments.sandbox import Sandbox
from flows.nostradamus import Nostradamus
from flows.runtime.prefect_settings import keep_loopback_direct

if TYPE_CHECKING:
    from tests.conftest import Dealcast, WriteDeals
    from tests.deployments.conftest import Stage

Examined = dict[str, dict[str, Any]]
Examine = Callable[..., Examined]

CLOSED = "http://127.0.0.1:9/api"
"""The discard port: nothing answers there."""


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def prefect_url(no_proxy: None) -> Iterator[Callable[[str | None], None]]:  # noqa: ARG001 - it sets the environment
    """Prefect's settings name no server, or the one that a test then names."""
    from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415 - prefect takes a second to import

    opened = []

    def name(url: str | None) -> None:
        settings = temporary_settings(restore_defaults={PREFECT_API_URL}) if url is None else temporary_settings({PREFECT_API_URL: url})
        settings.__enter__()
        opened.append(settings)

    name(None)
    yield name
    for settings in reversed(opened):
        settings.__exit__(None, None, None)


@pytest.fixture
def examine(dealcast: Dealcast, prefect_url: object) -> Examine:  # noqa: ARG001 - it sets Prefect's settings
    def run(*arguments: object, code: int = 0) -> Examined:
        found = json.loads(dealcast("doctor", "--json", *arguments, code=code).stdout)
        assert (found["exit_code"], found["outcome"]) == (code, "failed" if code else "ok")
        return {each["check"]: each for each in found["checks"]}

    return run


def test_all_is_well(examine: Examine, dealcast: Dealcast, collection: str, write_deals: WriteDeals) -> None:
    found = examine(write_deals(), "--collection", collection)
    assert {check: each["status"] for check, each in found.items()} == dict.fromkeys(
        ("settings", "home", "ledger", "last sync", "platform", "clock", "collection", "prefect", "export"), "ok"
    )
    assert "Europe/Rome" in found["collection"]["message"]
    lines = dealcast("doctor").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", check] for check in ("settings", "home", "ledger", "platform", "clock", "prefect")
    ]


def test_it_changes_nothing(examine: Examine, home: Path, sandbox: Sandbox) -> None:
    examine()
    assert not home.exists()
    assert {request["method"] for request in sandbox.control("GET", "requests")} == {"GET"}


def test_a_wrong_token(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_TOKEN", "wrong")
    assert examine(code=5)["platform"]["remedy"].startswith("Check DEALCAST_TOKEN: ")


def test_no_token(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEALCAST_TOKEN")
    assert "DEALCAST_TOKEN is not set" in examine(code=2)["platform"]["message"]


def test_a_platform_that_is_away(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_PLATFORM_URL", "http://127.0.0.1:9")
    found = examine(code=6)
    assert "cannot be reached" in found["platform"]["message"]
    assert "clock" not in found


def test_a_setting_that_is_wrong(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_DEADLINE", "soon")
    found = examine(code=2)
    assert set(found) == {"settings"}
    assert "DEALCAST_DEADLINE" in found["settings"]["message"]


def test_a_setting_that_is_misspelt(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_TOKN", "secret")
    found = examine()["settings"]
    assert (found["status"], found["message"]) == ("warning", "DEALCAST_TOKN: no such setting.")


def test_a_home_that_cannot_be_made(examine: Examine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEALCAST_HOME", str(tmp_path / "file" / "home"))
    assert str(tmp_path / "file") in examine(code=1)["home"]["message"]


def test_a_home_that_others_can_read(examine: Examine, home: Path) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    assert examine()["home"]["remedy"] == f"Run `chmod 700 {home}`."


def test_a_ledger_on_a_store_that_is_not_known(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_LEDGER", "nosuch://bucket/ledger")
    assert "DEALCAST_LEDGER" in examine(code=2)["ledger"]["remedy"]


def test_a_ledger_on_a_store_that_works(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_LEDGER", "memory://doctor/ledger")
    assert examine()["ledger"]["message"] == "DEALCAST_LEDGER can be written and read."


def test_a_collection_that_the_token_does_not_see(examine: Examine) -> None:
    assert "no collection nowhere" in examine("--collection", "nowhere", code=5)["collection"]["message"]


def test_two_collections_of_one_name(examine: Examine, platform: Nostradamus) -> None:
    for _ in range(2):
        platform.create_collection("twins", "Europe/Rome")
    assert "2 collections are named twins" in examine("--collection", "twins")["collection"]["message"]


def test_an_export_that_is_not_there(examine: Examine, tmp_path: Path) -> None:
    assert str(tmp_path / "deals-*.csv") in examine(tmp_path / "deals-*.csv", code=3)["export"]["message"]


def test_an_export_that_is_old(examine: Examine, write_deals: WriteDeals) -> None:
    export = write_deals()
    written = export.stat().st_mtime
    os.utime(export, (written, written - 49 * 3600))
    assert "49 hours old" in examine(export, code=7)["export"]["message"]
    assert examine(export, "--max-age", 72)["export"]["status"] == "ok"


def test_a_prefect_server_that_is_away(examine: Examine, prefect_url: Callable[[str], None]) -> None:
    prefect_url(CLOSED)
    found = examine(code=2)["prefect"]
    assert CLOSED in found["message"]
    assert "profile" in found["message"]
    assert "PREFECT_API_URL" in found["remedy"]


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_between_this_machine_and_itself(
    examine: Examine, prefect_url: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    prefect_url(CLOSED)
    monkeypatch.setenv(proxy, "http://proxy.example:3128")
    assert proxy in examine(code=2)["proxy"]["message"]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "no server answers" in examine(code=2)["prefect"]["message"]


@pytest.fixture
def lonely(stage: Stage) -> Iterator[Stage]:
    """The stage with a deployment, whose work pool no worker polls."""
    stage.ask("work_pools/", {"name": "lonely", "type": "process"})
    flow = stage.ask("flows/", {"name": "sync-deals"})["id"]
    body = {"name": "lonely", "flow_id": flow, "work_pool_name": "lonely", "tags": ["dealcast"], "paused": True}
    made = stage.ask("deployments/", body)["id"]
    yield stage
    for path in (f"deployments/{made}", "work_pools/lonely"):
        httpx.delete(f"{stage.url}/api/{path}", trust_env=False).raise_for_status()


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
    httpx.delete(f"{lonely.url}/api/deployments/{made}", trust_env=False).raise_for_status()


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
        httpx.delete(f"{lonely.url}/api/work_pools/other", trust_env=False).raise_for_status()
    assert message.startswith("none polls lonely; one polls ")
    assert "other" in message


def test_a_profile_that_is_not_there(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_PROFILE", "production")
    found = examine()["profile"]
    assert "no profile production" in found["message"]
    assert "prefect profile use" in found["remedy"]


def test_another_command_of_the_name(examine: Examine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "dealcast"
    other.write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{tmp_path}")
    assert "installed" not in examine(), "it cannot be run"
    other.chmod(0o755)
    assert str(other) in examine()["installed"]["message"]


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


def test_a_clock_that_is_off(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """No clock is set here: a difference of nothing is too much instead."""
    monkeypatch.setattr("deployments.commands.doctor._CLOCK", timedelta(seconds=-1))
    found = examine(code=1)["clock"]
    assert (found["status"], found["remedy"]) == ("failed", "Set it by NTP: deadlines and leases count on it.")


BROKEN: dict[str, tuple[dict[str, str], tuple[str, ...], int, str, str]] = {
    "wrong token": ({"DEALCAST_TOKEN": "wrong"}, (), 5, "platform", "DEALCAST_TOKEN"),
    "no token": ({"DEALCAST_TOKEN": ""}, (), 2, "platform", "DEALCAST_TOKEN"),
    "token's file": ({"DEALCAST_TOKEN_FILE": "/nowhere/token"}, (), 2, "platform", "/nowhere/token"),
    "platform down": ({"DEALCAST_PLATFORM_URL": "http://127.0.0.1:9"}, (), 6, "platform", "127.0.0.1:9"),
    "token in clear": ({"DEALCAST_PLATFORM_URL": "http://platform.example"}, (), 2, "platform", "DEALCAST_ALLOW_HTTP"),
    "token's file empty": ({"DEALCAST_TOKEN_FILE": os.devnull}, (), 2, "platform", f"{os.devnull} holds 0 words"),
    "URL of no platform": ({"DEALCAST_PLATFORM_URL": "platform"}, (), 2, "platform", "It must be a URL such as"),
    "platform behind a proxy": (
        {"DEALCAST_PLATFORM_URL": "https://127.0.0.2:9", "HTTPS_PROXY": "http://u:s3cret@127.0.0.1:9"},
        (),
        6,
        "platform",
        "127.0.0.2:9 cannot be reached through the proxy of HTTPS_PROXY",
    ),
    "extra suite": ({"DEALCAST_EXTRA_SUITE": "/nowhere/suite.json"}, (), 2, "suite", "DEALCAST_EXTRA_SUITE"),
    "wrong setting": ({"DEALCAST_DEADLINE": "soon"}, (), 2, "settings", "DEALCAST_DEADLINE"),
    "misspelt setting": ({"DEALCAST_TOKN": "x"}, (), 0, "settings", "DEALCAST_TOKN"),
    "home": ({"DEALCAST_HOME": "/proc/version/home"}, (), 1, "home", "/proc/version"),
    "ledger": ({"DEALCAST_LEDGER": "nosuch://bucket/ledger"}, (), 2, "ledger", "DEALCAST_LEDGER"),
    "export missing": ({}, ("/nowhere/*.csv",), 3, "export", "/nowhere/*.csv"),
    "folder in place of an export": ({}, ("/",), 3, "export", "Name a file in it"),
    "server without scheme": ({"PREFECT": "127.0.0.1:4200/api"}, (), 2, "prefect", "begin with http://"),
    "collection gone": ({}, ("--collection", "gone"), 5, "collection", "dealcast collections list"),
    "server down": ({"PREFECT": CLOSED}, (), 2, "prefect", "PREFECT_API_URL"),
    "proxy": ({"PREFECT": CLOSED, "ALL_PROXY": "http://proxy.example:3128"}, (), 2, "proxy", "NO_PROXY"),
}
"""Set-up -> environment (``PREFECT`` is its API's URL), arguments, exit code, the check that fails, a part of its line."""


@pytest.mark.parametrize("setup", BROKEN)
def test_a_broken_set_up_is_one_line_that_names_what_is_wrong(
    dealcast: Dealcast, prefect_url: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch, setup: str
) -> None:
    environment, arguments, code, check, part = BROKEN[setup]
    for name, value in environment.items():
        if name == "PREFECT":
            prefect_url(value)
        else:
            monkeypatch.setenv(name, value)
    lines = [line.split(maxsplit=2) for line in dealcast("doctor", *arguments, code=code).stdout.splitlines()]
    (line,) = [rest for status, name, rest in lines if status != "ok" and name == check]
    assert part in line
    found = json.loads(dealcast("doctor", "--json", *arguments, code=code).stdout)
    failed = [each["check"] for each in found["checks"] if each["status"] == "failed"]
    assert failed[:1] == ([check] if code else []), "the exit code is the first one's"
    assert all(each["remedy"] for each in found["checks"] if each["status"] != "ok"), found["checks"]


def test_without_arguments_all_of_the_file_is_examined(
    examine: Examine,  # noqa: ARG001 - it sets Prefect's settings
    dealcast: Dealcast,
    collection: str,
    write_deals: WriteDeals,
    tmp_path: Path,
) -> None:
    """Of two collections the second is gone, and its export is missing."""
    said = '[collections.{}]\nexport = "{}"\ncrm = "canonical"\nmax_age = "{}"\n'
    file = tmp_path / "dealcast.toml"
    file.write_text(said.format(collection, write_deals(), "2h") + said.format("globex", "nowhere.csv", "4d"))
    lines = dealcast("doctor", "--config", file, code=5).stdout.splitlines()
    assert [line.split()[0] for line in lines if f"of {collection}: found" in line] == ["ok"]
    assert [line.split()[0] for line in lines if "the token sees no collection globex" in line] == ["failed"]
    assert [line.split()[0] for line in lines if f"{tmp_path}/nowhere.csv" in line] == ["failed"]
    assert len([line for line in lines if "last sync" in line]) == 2
    assert [line.split()[0] for line in lines if "canonical can be read" in line] == ["ok", "ok"]
    alone = dealcast("doctor", "--config", file, "--collection", collection).stdout
    assert "globex" not in alone
    assert "found" in alone


@pytest.mark.parametrize(("crm", "part"), [("own.toml", "own.toml"), ("hubspott", "Did you mean 'hubspot'?")])
def test_a_dialect_that_is_not_there(
    examine: Examine,  # noqa: ARG001 - it sets Prefect's settings
    dealcast: Dealcast,
    collection: str,
    write_deals: WriteDeals,
    tmp_path: Path,
    crm: str,
    part: str,
) -> None:
    file = tmp_path / "dealcast.toml"
    file.write_text(f'[collections.{collection}]\nexport = "{write_deals()}"\ncrm = "{crm}"\n')
    found = json.loads(dealcast("doctor", "--config", file, "--json", code=2).stdout)["checks"]
    (wrong,) = [each for each in found if each["check"] == "dialect"]
    assert wrong["status"] == "failed"
    assert part in wrong["message"] + wrong["remedy"]
    assert wrong["remedy"]


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


def test_loopback_goes_through_no_proxy(no_proxy: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - it sets the environment
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    monkeypatch.setenv("no_proxy", "intranet.example")
    keep_loopback_direct()
    keep_loopback_direct()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "intranet.example,127.0.0.1,localhost,::1"
    assert all(proxy_bypass(host) for host in ("127.0.0.1", "localhost", "intranet.example"))
    assert not proxy_bypass("crm.example")


def test_a_prefect_server_that_wants_credentials(examine: Examine, prefect_url: Callable[[str], None]) -> None:
    """The sandbox refuses what has no token with 401, as a Prefect server behind a password does."""
    prefect_url(f"{os.environ['DEALCAST_PLATFORM_URL']}/api/collection")
    assert "PREFECT_API_AUTH_STRING" in examine(code=2)["prefect"]["remedy"]
