"""A Prefect server that dealcast starts answers nobody but the command that started it, and who has its secret."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.prefect_database import home_with_database

CHROMIUM = shutil.which("chromium")

_PROGRAM = """
import os
from deployments.temporary_server import temporary_server
server = temporary_server()
server.await_start()
print(server.url, os.environ["PREFECT_API_AUTH_STRING"], flush=True)
input()
"""

CALLS = [
    ("GET", "admin/version"),
    ("POST", "flow_runs/filter"),
    ("POST", "block_documents/filter"),
    ("POST", "flows/"),
    ("POST", "work_pools/"),
]
"""Reading, listing secrets, and what a run of any command begins with."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL and secret of a temporary server, as each `sync` and `demo` starts one, and `up` protects its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    home = home_with_database(tmp_path_factory.mktemp("prefect"))
    environment |= {"PREFECT_HOME": str(home), "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300"}
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url, secret = child.stdout.readline().split()
        yield url, secret
        child.communicate("\n")


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_nobody_without_the_secret_is_answered(api: tuple[str, str], method: str, path: str) -> None:
    url, secret = api
    assert httpx.request(method, f"{url}/{path}", json={}, trust_env=False).status_code == 401
    assert httpx.request(method, f"{url}/{path}", json={}, auth=("dealcast", "guess"), trust_env=False).status_code == 401
    user, _, password = secret.partition(":")
    assert httpx.request(method, f"{url}/{path}", json={}, auth=(user, password), trust_env=False).status_code != 401


@pytest.fixture(scope="module")
def foreign_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of another origin on this machine, in a real browser."""
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: on Debian, apt-get install chromium")
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<title>elsewhere</title>")
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        yield page
        browser.close()
        server.shutdown()


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_page_of_another_origin_reads_and_starts_nothing(
    api: tuple[str, str], foreign_page: Page, method: str, path: str, kind: str
) -> None:
    """Neither with a preflight nor with a request so simple that a browser sends it unasked."""
    said = foreign_page.evaluate(
        """async ([method, url, kind]) => {
            const body = method === "GET" ? undefined : "{}";
            try { const answer = await fetch(url, {method, body, credentials: "include", headers: {"Content-Type": kind}});
                  return `read ${answer.status}`; }
            catch (error) { return "not read"; }
        }""",
        [method, f"{api[0]}/{path}", kind],
    )
    assert said == "not read", "another origin is not shown even the refusal"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def test_the_secret_is_another_at_each_start() -> None:
    from deployments.temporary_server import server_protection  # noqa: PLC0415 - beside the fixture's own process

    first, second = server_protection("http://127.0.0.1:1"), server_protection("http://127.0.0.1:1")
    assert first["PREFECT_SERVER_API_AUTH_STRING"] != second["PREFECT_SERVER_API_AUTH_STRING"]
    assert len(first["PREFECT_SERVER_API_AUTH_STRING"]) > 32
