"""`dealcast doctor` names what is broken, each with its remedy; the exit code is that of the first failure."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.sandbox import Sandbox
from flows.nostradamus import Nostradamus
from tests.deployments.commands.conftest import CLOSED, Examine

if TYPE_CHECKING:
    from tests.conftest import Dealcast, WriteDeals


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


def test_a_home_that_others_can_read(examine: Examine, home: Path) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    assert examine()["home"]["remedy"] == f"Run `chmod 700 {home}`."


def test_a_ledger_on_a_store_that_works(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_LEDGER", "memory://doctor/ledger")
    assert examine()["ledger"]["message"] == "DEALCAST_LEDGER can be written and read."


def test_two_collections_of_one_name(examine: Examine, platform: Nostradamus) -> None:
    for _ in range(2):
        platform.create_collection("twins", "Europe/Rome")
    assert "2 collections are named twins" in examine("--collection", "twins")["collection"]["message"]


def test_an_export_that_is_old(examine: Examine, write_deals: WriteDeals) -> None:
    export = write_deals()
    written = export.stat().st_mtime
    os.utime(export, (written, written - 49 * 3600))
    assert "49 hours old" in examine(export, code=7)["export"]["message"]
    assert examine(export, "--max-age", 72)["export"]["status"] == "ok"


def test_another_command_of_the_name(examine: Examine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "dealcast"
    other.write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{tmp_path}")
    assert "installed" not in examine(), "it cannot be run"
    other.chmod(0o755)
    assert str(other) in examine()["installed"]["message"]


@pytest.mark.parametrize(("hours", "said"), [(1, "behind the platform's"), (-1, "ahead of the platform's")])
def test_a_clock_that_is_off(examine: Examine, monkeypatch: pytest.MonkeyPatch, hours: int, said: str) -> None:
    """A platform's answer says what time it is there."""

    class Platform(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[]")

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + hours * 3600)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Platform) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("DEALCAST_PLATFORM_URL", f"http://127.0.0.1:{server.server_port}")
        found = examine(code=1)["clock"]
        server.shutdown()
    assert said in found["message"]
    assert (found["status"], found["remedy"]) == ("failed", "Set it by NTP: deadlines and leases count on it.")


BROKEN: dict[str, tuple[dict[str, str], tuple[str, ...], int, str, str]] = {
    "wrong token": ({"DEALCAST_TOKEN": "wrong"}, (), 5, "platform", "Check DEALCAST_TOKEN: "),
    "no token": ({"DEALCAST_TOKEN": ""}, (), 2, "platform", "DEALCAST_TOKEN is not set"),
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
    "misspelt setting": ({"DEALCAST_TOKN": "x"}, (), 0, "settings", "DEALCAST_TOKN: no such setting."),
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
