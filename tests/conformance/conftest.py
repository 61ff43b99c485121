"""The conformance suite: does a platform do what dealcast takes it to do?

Against any platform, reading only, or all of it on throw-away collections (the platform has no way to remove them)::

    pytest tests/conformance --base-url https://... [--token T | DEALCAST_TOKEN] [--full]

Without ``--base-url`` it runs in full against a ``dealcast sandbox`` started as a process of its own, and by ``make faults`` twice, and
once more after a restart. Each test names a fact of `facts.toml`; a failure says which one is wrong, and where to correct it.
"""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from expectations.deals_schema import COLUMN_NAMES, COLUMNS
from flows.nostradamus import Collection, Invocation, Nostradamus, RequestMode, UploadMode, UploadRequest
from tests.conftest import HANG

FACTS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))
DEAL = {column.name: column.example for column in COLUMNS}
"""The specification's example."""

COMPARISON = "test_the_document_has_what_dealcast_assumes"
"""The test of `--openapi`."""

LONGEST_WAIT = 900.0
"""Seconds that the platform may take for a few deals, or for a forecast of them."""

Cells = Mapping[str, str | None]
Answer = TypeVar("Answer", UploadRequest, Invocation)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--base-url", metavar="URL", help="the platform to check; default: a sandbox")
    group.addoption("--token", metavar="T", help="its API token; default: DEALCAST_TOKEN")
    group.addoption("--full", action="store_true", help="also send data, to throw-away collections")
    group.addoption("--openapi", metavar="FILE|URL", help="compare this OpenAPI document; without --base-url that is all")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fact(key): the fact of tests/conformance/facts.toml that the test checks")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Three passes over a sandbox of our own, the later two by ``make faults`` alone; one over a platform that is given."""
    if "platform" in metafunc.fixturenames and metafunc.config.getoption("--base-url", None) is None:
        passes = ["first", *(pytest.param(later, marks=pytest.mark.slow) for later in ("again", "restarted"))]
        metafunc.parametrize("platform", passes, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a document and no platform, the comparison alone."""
    if config.getoption("--openapi", None) and not config.getoption("--base-url"):
        others = [item for item in items if item.name != COMPARISON]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.name == COMPARISON]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of `--openapi`."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties:
            if name == "openapi":
                terminalreporter.section("the OpenAPI document and what dealcast assumes")
                terminalreporter.write_line(text)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Head a failure with the fact that is wrong."""
    try:
        return (yield)
    except Exception as error:
        marker = pyfuncitem.get_closest_marker("fact")
        if marker is None:
            raise
        fact = FACTS[marker.args[0]]
        raise AssertionError(
            f"Wrong: [{fact['source']}] {marker.args[0]}: {fact['fact']}. If the platform means it, correct {fact['correct']}.\n{error}"
        ) from error


class Platform:
    """A platform over raw HTTP, with our own models for what it answers."""

    def __init__(self, url: str, token: str, *, full: bool, patience: float) -> None:
        self.client = Nostradamus(url, token)
        self.url, self.full, self._patience = url.rstrip("/"), full, patience
        self.http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Token {token}"},
            timeout=HANG,
            trust_env=url.startswith("https"),
            follow_redirects=False,
        )

    def new_collection(self) -> str:
        """The id of a new, throw-away collection; skips the test where nothing may be written."""
        if not self.full:
            pytest.skip("sends data: needs --full")
        name = f"dealcast-conformance-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        body = {"name": name, "product": "SalesForecasting", "timezone": "Europe/Rome", "tag": {}, "properties": {}}
        answer = self.http.post("/api/collection", json=body)
        assert answer.status_code in (200, 201), _said(answer)
        return Collection.model_validate_json(answer.content).id

    @staticmethod
    def csv(*deals: Cells, separator: str = ",", quoted: bool = False) -> bytes:
        """Deals as CSV: each the cells in which it differs from the example; None in any leaves the column out."""
        left_out = {name for deal in deals for name, text in deal.items() if text is None}
        added = [name for deal in deals for name in deal if name not in COLUMN_NAMES]
        columns: Sequence[str] = [*(name for name in COLUMN_NAMES if name not in left_out), *dict.fromkeys(added)]
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
        writer.writerow(columns)
        writer.writerows([{**DEAL, **deal}.get(name) or "" for name in columns] for deal in deals)
        return text.getvalue().encode()

    def post(self, collection: str, content: bytes, *, separator: str = ",", mode: str = "append") -> httpx.Response:
        """Send a file of deals."""
        path = f"/api/collection/{collection}/data/deals/{mode}"
        return self.http.post(path, files={"file": ("deals.csv", content, "text/csv")}, data={"separator": separator})

    def upload(self, collection: str, *deals: Cells, separator: str = ",", mode: UploadMode = "append") -> UploadRequest:
        """Send deals, and wait until the request has ended."""
        return self.ended(
            collection, self.send(collection, self.csv(*deals, separator=separator), separator=separator, mode=mode), mode=mode
        )

    def send(self, collection: str, content: bytes, *, separator: str = ",", mode: UploadMode = "append") -> str:
        """Send a file of deals that must be accepted, and return the request's id."""
        answer = self.post(collection, content, separator=separator, mode=mode)
        assert answer.status_code == 202, _said(answer)
        return UploadRequest.model_validate_json(answer.content).id

    def deleted(self, collection: str, **args: object) -> UploadRequest:
        """Delete deals, and wait until the request has ended."""
        answer = self.http.request("DELETE", f"/api/collection/{collection}/data/deals/delete", json={"args": args})
        assert answer.status_code == 202, _said(answer)
        return self.ended(collection, UploadRequest.model_validate_json(answer.content).id, mode="delete")

    def ended(self, collection: str, request: str, *, mode: RequestMode = "append") -> UploadRequest:
        """Look at a request until it has ended."""
        return self._wait(f"/api/collection/{collection}/data/deals/{mode}/{request}", UploadRequest)

    def forecast(self, collection: str, **args: object) -> Invocation:
        """Invoke a forecast, and wait until it has ended."""
        answer = self.invoke(collection, **args)
        assert answer.status_code == 202, _said(answer)
        return self._wait(f"/api/invocation/{Invocation.model_validate_json(answer.content).id}", Invocation)

    def invoke(self, collection: str, **args: object) -> httpx.Response:
        """Ask for a forecast."""
        return self.http.post("/api/invocation", json={"collectionId": collection, "invocationType": "sales-forecasting", "args": args})

    def held(self, collection: str) -> dict[str, dict[str, str]]:
        """The deals that a collection holds, by id."""
        answer = self.http.get(f"/api/collection/{collection}/data/deals/dump")
        assert answer.status_code == 200, _said(answer)
        return {row["id"]: row for row in csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))}

    def _wait(self, path: str, model: type[Answer]) -> Answer:
        end, delay = time.monotonic() + self._patience, 0.01
        while True:
            answer = self.http.get(path)
            assert answer.status_code == 200, _said(answer)
            found = model.model_validate_json(answer.content)
            assert found.status in ("queued", "in_progress", "completed", "error"), f"{path}: status {found.status!r}"
            if found.status in ("completed", "error"):
                return found
            assert time.monotonic() < end, f"{path} is still {found.status} after {self._patience:.0f} s"
            time.sleep(delay)
            delay = min(delay * 1.3, 5.0)


def _said(answer: httpx.Response) -> str:
    return f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {answer.text[:300]}"


class OwnSandbox:
    """A `dealcast sandbox` as a process of its own, which keeps its data across a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.token = "conformance"
        self.url = self._start()

    def restart(self) -> None:
        """End it as Ctrl-C does, and start it on the same folder."""
        self.stop()
        self.url = self._start()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(HANG)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _start(self) -> str:
        command = [str(Path(sys.executable).with_name("dealcast")), "sandbox", "--port", "0", "--token", self.token]
        self._process = subprocess.Popen([*command, "--data", str(self._folder)], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        found = re.search(r"http://\S+", self._process.stdout.readline())
        assert found is not None, "the sandbox did not start: its standard error says why"
        at_once, headers = {"queued_seconds": 0, "processing_seconds": 0}, {"Authorization": f"Token {self.token}"}
        httpx.put(f"{found[0]}/_sandbox/speed", json=at_once, headers=headers, trust_env=False, timeout=HANG).raise_for_status()
        return found[0]


@pytest.fixture(scope="session")
def own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnSandbox]:
    sandbox = OwnSandbox(tmp_path_factory.mktemp("sandbox"))
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """The platform under test: the one given by the options, or a sandbox of our own."""
    url = request.config.getoption("--base-url", None)
    if url is None:
        sandbox: OwnSandbox = request.getfixturevalue("own_sandbox")
        if request.param == "restarted":
            sandbox.restart()
        found = Platform(sandbox.url, sandbox.token, full=True, patience=HANG)
    else:
        token = request.config.getoption("--token") or os.environ.get("DEALCAST_TOKEN", "")
        found = Platform(url, token, full=request.config.getoption("--full"), patience=LONGEST_WAIT)
    with found.client, found.http:
        yield found


@pytest.fixture
def collection(platform: Platform) -> str:
    """A new, empty collection of the test's own."""
    return platform.new_collection()
