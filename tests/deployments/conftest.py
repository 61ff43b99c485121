"""A real Prefect server in a process of its own, a process worker, a sandbox: what the deployment tests share."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments.sandbox import Sandbox, running
from tests.chromium import open_page
from tests.conftest import HANG, answers, free_port, wait_for
from tests.prefect_database import home_with_database

ROOT = Path(__file__).resolve().parents[2]
"""The project's root, where entrypoints and the shipped files are relative to."""


@dataclass(frozen=True)
class Stage:
    """A Prefect server, and the sandbox that its runs talk to."""

    url: str
    sandbox: Sandbox
    home: Path
    environment: dict[str, str]

    def prefect(self, *command: str) -> str:
        """Run a prefect command to its end and return what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *command],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def dealcast(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a dealcast command to its end."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("dealcast")), *command],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET, or with a body POST, a path of Prefect's API."""
        answer = self._send("GET" if body is None else "POST", path, body)
        return answer.json() if answer.content else None

    def change(self, path: str, body: dict[str, Any]) -> None:
        """PATCH a path of Prefect's API."""
        self._send("PATCH", path, body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        answer = httpx.request(method, f"{self.url}/api/{path}", json=body, trust_env=False, timeout=HANG)
        answer.raise_for_status()
        return answer

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment by ``flow/name``."""
        found: dict[str, Any] = self.ask(f"deployments/name/{name}")
        return found

    def ended(self, run_id: str) -> dict[str, Any]:
        """The run once it has ended."""

        def look() -> dict[str, Any] | None:
            run: dict[str, Any] = self.ask(f"flow_runs/{run_id}")
            return run if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

        return wait_for(look, f"run {run_id} to end")

    def start(self, deployment: str, **parameters: Any) -> dict[str, Any]:
        """Ask for a run of a deployment, as the UI's button does, and wait for its end."""
        found = self.deployment(deployment)
        run = self.ask(f"deployments/{found['id']}/create_flow_run", {"parameters": parameters or found["parameters"]})
        return self.ended(run["id"])

    def artifacts(self, run_id: str) -> dict[str, dict[str, Any]]:
        """A run's artifacts by kind, the first word of their key."""
        found = self.ask("artifacts/filter", {"flow_runs": {"id": {"any_": [run_id]}}, "limit": 100})
        return {artifact["key"].split("-")[0]: artifact for artifact in found}


@contextmanager
def process(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that goes at the end with all that it started."""
    with log.open("wb") as sink, subprocess.Popen(command, env=environment, cwd=ROOT, stdout=sink, stderr=sink) as child:
        try:
            yield child
        finally:
            family = [*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)] if child.poll() is None else []
            for member in family:
                if member.is_running():
                    member.send_signal(signal.SIGKILL)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server without a deployment, which takes half a minute more: see `deployed`."""
    home = tmp_path_factory.mktemp("stage")
    with running(queued_seconds=0.1, processing_seconds=0.1) as sandbox:
        url = f"http://127.0.0.1:{free_port()}"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DEALCAST_", "PREFECT_"))},
            "PREFECT_HOME": str(home_with_database(home / "prefect")),
            "PREFECT_API_URL": f"{url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "DEALCAST_HOME": str(home / "dealcast"),
            "DEALCAST_PLATFORM_URL": sandbox.url,
            "DEALCAST_TOKEN": sandbox.token,
            "DEALCAST_POLL_DELAY": "0.2",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
        }
        server = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", url.rsplit(":", 1)[1]]
        with process(server, environment, home / "server.log"):
            wait_for(lambda: answers(f"{url}/api/health"), "the Prefect server")
            yield Stage(url, sandbox, home, environment)


@pytest.fixture(scope="session")
def deployed(stage: Stage) -> Stage:
    """Everything but a worker, with `prefect deploy --all` done as the README says."""
    stage.prefect("work-pool", "create", "dealcast", "--type", "process")
    stage.prefect("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
    return stage


@pytest.fixture(scope="session")
def worker(deployed: Stage) -> Iterator[None]:
    """A process worker on the pool."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "dealcast", "--type", "process"]
    with process(command, deployed.environment, deployed.home / "worker.log"):
        yield


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder whose every file would write ``ran`` if it were imported, and whose settings name code and a server of its own."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'a').write(__name__ + '\\n')\n"
    for name in ("httpx.py", "sitecustomize.py", "pandas.py", "hostile_lease.py"):
        (folder / name).write_text(code)
    for package in ("flows", "expectations", "deployments", "prefect"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(code)
    (folder / ".env").write_text(
        "PREFECT_API_URL=http://127.0.0.1:9/api\nPREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=hostile_lease\nDEALCAST_PLATFORM_URL=http://127.0.0.1:9\n"
    )
    (folder / "prefect.toml").write_text('[api]\nurl = "http://127.0.0.1:9/api"\n[logging]\nconfig_path = "hostile.yml"\n')
    (folder / "hostile.yml").write_text("version: 1\nhandlers: {x: {class: hostile_lease.X}}\n")
    return folder


INTRUDER = "intruder"
"""The name of what nobody may make."""

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "admin/version", {}),
    ("POST", "flow_runs/filter", {}),
    ("POST", "block_documents/filter", {}),
    ("POST", "flows/", {"name": INTRUDER}),
    ("POST", "work_pools/", {"name": INTRUDER, "type": "process"}),
]
"""Reading, listing secrets, and what a run of any command begins with."""

SOCKETS = ("events/in", "events/out", "logs/out", "work_pools/dealcast/workers/connect")
"""Where a browser asks for no other origin's permission: events start automations, a worker gets the commands of runs."""

_CALL = """async ([method, url, kind, body]) => {
    try { const answer = await fetch(url, {method, body: method === "GET" ? undefined : body, credentials: "include",
                                           headers: {"Content-Type": kind}});
          return `read ${answer.status} of ${url}`; }
    catch (error) { return null; }
}"""

_CONNECT = """url => new Promise(ended => {
    const socket = new WebSocket(url, "prefect");
    socket.onopen = () => socket.send(JSON.stringify({type: "auth", token: "guess"}));
    socket.onmessage = message => ended(`told ${message.data} at ${url}`);
    socket.onclose = () => ended(null);
})"""

Intruder = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def intruder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intruder]:
    """Ask the Prefect API at a URL from a page of another origin, in a real browser; returns all that the page was told.

    With a preflight, with requests so simple that a browser sends them unasked, and by sockets, for which it never asks.
    """
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<title>elsewhere</title>")
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, open_page() as page:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")

        def ask(api: str) -> list[str]:
            calls = [(each, kind) for each in CALLS for kind in ("application/json", "text/plain")]
            told = [page.evaluate(_CALL, [method, f"{api}/{path}", kind, json.dumps(body)]) for (method, path, body), kind in calls]
            told += [page.evaluate(_CONNECT, f"{api.replace('http', 'ws', 1)}/{path}") for path in SOCKETS]
            return [each for each in told if each is not None]

        yield ask
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def made_by_an_intruder(api: str, secret: str) -> list[dict[str, Any]]:
    """The flows and work pools at a Prefect API that have the intruder's name."""
    user, _, password = secret.partition(":")
    with httpx.Client(base_url=api, auth=(user, password), trust_env=False, timeout=HANG) as client:
        return [
            found
            for kind in ("flows", "work_pools")
            for found in client.post(f"/{kind}/filter", json={}).raise_for_status().json()
            if found["name"] == INTRUDER
        ]
