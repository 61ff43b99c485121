"""`dealcast up`, as on a fresh clone: a first scheduled run completes, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import base64
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from contextlib import ExitStack
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import ClassVar

import httpx
import psutil
import pytest
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.commands.up import Laptop, deployments, own_sync, schedule, serves
from flows.errors import DealcastError, ExportNotFound, UsageError
from flows.options import SyncOptions
from tests.conftest import HANG, free_port, wait_for
from tests.deployments.conftest import Intruder, made_by_an_intruder

SYNCED = SyncOptions(export="/exports/deals.csv", crm="hubspot", collection="acme")


@pytest.mark.slow
def test_up_runs_a_scheduled_sync_and_one_ctrl_c_ends_it_all(tmp_path: Path, hostile: Path, intruder: Intruder) -> None:
    """Meanwhile its server answers nobody without the secret, from its first moment on."""
    port = str(free_port())
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DEALCAST_", "PREFECT_"))}
    environment |= {"DEALCAST_HOME": str(tmp_path / "home"), "DEALCAST_TOKEN": "real-token-4711"}
    command = [str(Path(sys.executable).with_name("dealcast")), "up", "--port", port, "--every", "1"]
    with subprocess.Popen(command, env=environment, cwd=hostile, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        lines: list[str] = []
        answers: list[int | None] = []
        reader = threading.Thread(target=lambda: lines.extend(iter(child.stdout.readline, "")) if child.stdout else None, daemon=True)
        reader.start()
        try:

            def deployed() -> bool:
                answers.append(answered(port))
                return any(line.split()[:1] == ["deployed"] for line in lines)

            wait_for(deployed, "the deployments", lines)
            assert {*answers} - {None} == {401}, "as soon as it answers at all"
            run = wait_for(lambda: next((line for line in lines if line.split()[:1] == ["run"]), None), "the first scheduled run", lines)
            assert "480 sent" in run
            assert "Completed" in run
            found = re.search(r"(http://127\.0\.0\.1:\d+)/v2/runs/flow-run/(\S+)", run)
            assert found is not None
            api, run_id = f"{found[1]}/api/flow_runs/{found[2]}", found[2]
            assert httpx.get(api, trust_env=False, timeout=HANG).status_code == 401, "nobody reads a run without the secret"
            secret = next(line.split()[1] for line in lines if line.split()[:1] == ["secret"])
            basic = {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}
            answer = httpx.get(api, headers=basic, trust_env=False, timeout=HANG).json()
            assert answer["id"] == run_id
            assert (answer["auto_scheduled"], answer["state_type"]) == (True, "COMPLETED")
            assert intruder(f"{found[1]}/api") == []
            assert made_by_an_intruder(f"{found[1]}/api", secret) == []
            assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700, "forecasts and Prefect's database are the owner's alone"
            assert httpx.get(found[1], trust_env=False, follow_redirects=True, timeout=HANG).is_success, "the UI answers"
            family = psutil.Process(child.pid).children(recursive=True)
            assert len(family) >= 2, "server and worker"
            tokens = {"real-token-4711", next(line.split()[1] for line in lines if line.split()[:1] == ["token"])}
            assert [process for process in family if tokens & {*process.environ().values()}] == [], "they read the sandbox's in a file"
        finally:
            child.send_signal(signal.SIGINT)
            code = child.wait(HANG)
        reader.join()
    assert code == 0, "".join(lines)
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def answered(port: str) -> int | None:
    """The status that somebody without the secret gets from the API; None where nothing answers yet."""
    try:
        return httpx.post(f"http://127.0.0.1:{port}/api/flow_runs/filter", json={}, trust_env=False, timeout=HANG).status_code
    except httpx.TransportError:
        return None


def test_the_secret_is_given_to_no_server_but_its_own(tmp_path: Path) -> None:
    """Another user of the machine may take the port first, and would give the worker commands to run."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "health").write_text("true")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as other, ended, ExitStack() as stack:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}"
        assert httpx.get(f"{url}/api/health", trust_env=False, timeout=HANG).is_success
        laptop = Laptop(tmp_path, threading.Event(), stack)
        laptop.children["server"] = ended
        with pytest.raises(DealcastError, match="server did not run as it should"):
            laptop.until("server", lambda: serves(ended, url))
        other.shutdown()


def test_of_the_shipped_schedules_only_the_weekly_one_stays() -> None:
    """The table of pipelines is the team's own: a scheduled run without it could only fail."""
    document = deployments(SYNCED)
    scheduled = {each["name"]: each["schedules"] for each in document["deployments"] if each["schedules"]}
    assert set(scheduled) == {"weekly-resync"}


def test_each_shipped_deployment_gets_only_parameters_that_its_flow_has() -> None:
    for each in deployments(SYNCED)["deployments"]:
        module, _, name = each["entrypoint"].rpartition(".")
        parameters = signature(getattr(import_module(module), name).fn).parameters
        assert set(each["parameters"]) <= set(parameters), each["name"]


def test_an_export_of_ones_own_goes_to_a_collection_of_its_name(tmp_path: Path) -> None:
    """Only what was said is in the form: the rest are the options' own defaults."""
    export = tmp_path / "All deals (2026).csv"
    export.write_text("Record ID\n1\n")
    synced = own_sync(
        {"export": str(export), "crm": "hubspot", "pipeline": None, "assume_open": False, "default": (), "date_order": "day-first"}
    )
    assert synced is not None
    own = {"export": str(export), "crm": "hubspot", "date_order": "day-first", "collection": "All-deals-2026"}
    form = next(each for each in deployments(synced)["deployments"] if each["name"] == "incremental")["parameters"]["options"]
    assert form == {**own, "max_age": None}
    assert own_sync({"export": None, "crm": None, "assume_open": False, "default": ()}) is None


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"export": "nowhere.csv", "crm": "hubspot"}, ExportNotFound, "nowhere.csv"),
        ({"export": __file__}, UsageError, "--crm NAME"),
        ({"date_order": "day-first"}, UsageError, "--date-order: of which export"),
    ],
)
def test_what_up_cannot_sync_is_told(options: dict[str, str], kind: type[DealcastError], said: str) -> None:
    with pytest.raises(kind, match=said):
        own_sync(options)


class _Starting(BaseHTTPRequestHandler):
    """A server that answers 503 twice, and then that it has no such deployment."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(503 if len(self.asked) < 3 else 404)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_server_that_is_just_starting_is_asked_again() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Starting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{server.server_port}/api"}), pytest.raises(ObjectNotFound):
            schedule(15)
    finally:
        server.shutdown()
    assert _Starting.asked == ["/api/deployments/name/sync-deals/incremental"] * 3
