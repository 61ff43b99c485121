"""The specification's own lines against `dealcast sandbox`: run as printed, but for host, token, ids and the file's path."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.nostradamus import Nostradamus
from tests.conftest import HANG, WriteDeals, wait_for
from tests.deployments.conftest import ROOT

LINES: dict[str, dict[str, str]] = tomllib.loads((ROOT / "tests/conformance/specification.toml").read_text(encoding="utf-8"))
TOKEN = "my-token"
Run = Callable[[str, str, str], tuple[int, dict[str, Any]]]

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@dataclass(frozen=True)
class Target:
    """A running `dealcast sandbox` and a collection in it."""

    url: str
    collection: str

    def asked(self) -> dict[str, Any]:
        """The last product request, as the sandbox saw and answered it."""
        requests = httpx.get(f"{self.url}/_sandbox/requests", headers={"Authorization": f"Token {TOKEN}"}, trust_env=False, timeout=HANG)
        last: dict[str, Any] = requests.raise_for_status().json()[-1]
        return last


@pytest.fixture(scope="module")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`dealcast sandbox` on a free port; yields its URL."""
    command = [sys.executable, "-m", "deployments.cli", "sandbox", "--port", "0", "--data", str(tmp_path_factory.mktemp("sandbox"))]
    with subprocess.Popen([*command, "--token", TOKEN], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        ready = re.search(r"http://127\.0\.0\.1:\d+", running.stdout.readline())
        assert ready
        yield ready[0]
        running.send_signal(signal.SIGTERM)
        assert running.wait(HANG) == 0


@pytest.fixture
def target(sandbox_process: str) -> Target:
    with Nostradamus(sandbox_process, TOKEN) as platform:
        return Target(sandbox_process, platform.create_collection("lines", "UTC").id)


@pytest.fixture
def run(target: Target, write_deals: WriteDeals, tmp_path: Path) -> Run:
    """Run one printed line, show it and what it was answered, and return the answer's status and body."""
    folder = tmp_path / "my-data-path"
    folder.mkdir()
    write_deals(3).rename(folder / "my-deals.csv")
    (tmp_path / ".curlrc").write_text("silent\nshow-error\n")

    def run(what: str, language: str, request: str = "") -> tuple[int, dict[str, Any]]:
        line = LINES[what][language].strip()
        for printed, ours in {
            "https://nostradamus.u-hopper.com": target.url,
            "my-collection-id": target.collection,
            "my-secret-token": TOKEN,
            "my-upload-request-id": request,
        }.items():
            line = line.replace(printed, ours)
        command = ["sh", "-c", line] if language == "curl" else [sys.executable, "-c", line]
        environment = {**os.environ, "CURL_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        status = target.asked()["status"]
        print(f"{line}\n-> {status} {ended.stdout}")
        return status, json.loads(ended.stdout)

    return run


@pytest.mark.parametrize("language", [pytest.param("curl", marks=needs_curl), "python"])
def test_an_append_and_its_status_as_the_specification_prints_them(target: Target, run: Run, language: str) -> None:
    """S: 202 with an UploadRequest, then 200 with the same object until it ends."""
    status, accepted = run("append", language, "")
    assert status == 202
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", accepted["dumpDatetime"])
    documented = {"collectionId": target.collection, "dataType": "deals", "separator": ",", "status": "queued"}
    assert accepted == documented | {"message": None, "validationErrors": None} | {key: accepted[key] for key in ("id", "dumpDatetime")}

    def ended() -> dict[str, Any] | None:
        status, seen = run("status", language, accepted["id"])
        assert status == 200
        assert list(seen) == list(accepted)
        return seen if seen["status"] not in ("queued", "in_progress") else None

    assert wait_for(ended, "the request's end") == {**accepted, "status": "completed"}


@needs_curl
def test_an_override_is_the_append_s_line_at_its_own_path(target: Target, run: Run) -> None:
    """D: the line itself is printed for the append alone."""
    status, accepted = run("override", "curl", "")
    assert status == 202
    assert accepted["collectionId"] == target.collection


@needs_curl
def test_the_lines_need_no_more_than_is_printed(target: Target, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a type, of JSON or of a method was added to the line."""
    monkeypatch.setitem(LINES["append"], "curl", LINES["append"]["curl"].replace("my-secret-token", "wrong"))
    assert run("append", "curl", "")[0] == 401
    assert not {"-X", "-H", "-F", "--request", ";type="} & set(re.findall(r"-X|-H|-F|--request|;type=", str(LINES)))
    assert target.asked()["method"] == "POST"
