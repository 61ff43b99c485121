"""Running, stopping, killing and restarting."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from deployments.sandbox import Sandbox, running
from tests.conftest import HANG, free_port, sampled, wait_for

if TYPE_CHECKING:
    from tests.deployments.sandbox.conftest import Client

DealsCsv = Callable[..., bytes]

PROGRAM = """
import sys
from pathlib import Path
from deployments.sandbox import serve
data, port, queued, processing = sys.argv[1:]
serve(Path(data), "a-token", port=int(port), queued_seconds=float(queued), processing_seconds=float(processing),
      on_ready=lambda sandbox: print(sandbox.url, flush=True))
"""


@contextmanager
def process(data: Path, *, port: int = 0, queued: float = 0.0, processing: float = 0.0) -> Iterator[tuple[Sandbox, subprocess.Popen[str]]]:
    """Run a sandbox as a process of its own; it is killed in the end, if it still lives."""
    command = [sys.executable, "-c", PROGRAM, str(data), str(port), str(queued), str(processing)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield Sandbox(server.stdout.readline().strip(), "a-token"), server
        finally:
            server.kill()


def test_a_stop_and_a_start_keep_everything(client: Callable[..., Client], deals_csv: DealsCsv, tmp_path: Path) -> None:
    with running(tmp_path, queued_seconds=0, processing_seconds=0) as sandbox, client(sandbox) as api:
        collection = api.new_collection()
        upload, invocation = api.upload(collection, deals_csv({})), None
        before = api.settled(upload)
        invocation = api.invoke(collection)
        api.settled(invocation)
        forecast = api.get(f"{invocation}/json").json()
    with running(tmp_path) as sandbox, client(sandbox) as api:
        assert api.get("/api/collection").json()["results"][0]["id"] == collection
        assert api.get(upload).json() == before
        assert api.get(f"{invocation}/json").json() == forecast
        assert api.dump(collection) == deals_csv({})


def test_a_stopped_sandbox_frees_its_port_and_its_folder(tmp_path: Path) -> None:
    before = threading.active_count()
    with running(tmp_path) as first:
        port = int(first.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"), running(port=port):
            pass
    with running(tmp_path, port=port) as second:
        assert second.url == first.url
    assert threading.active_count() == before


def test_a_folder_takes_one_sandbox_at_a_time(tmp_path: Path) -> None:
    with running(tmp_path), pytest.raises(OSError, match="Another sandbox works in"), running(tmp_path):
        pass


def test_a_token_is_not_kept_in_the_folder(client: Callable[..., Client], tmp_path: Path) -> None:
    with running(tmp_path, token="canary-5d1f") as sandbox, client(sandbox) as api:
        api.new_collection()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canary-5d1f" in path.read_bytes()]


@pytest.mark.parametrize("number", sampled([signal.SIGTERM, signal.SIGINT]))
def test_a_signal_ends_the_process_well(client: Callable[..., Client], deals_csv: DealsCsv, tmp_path: Path, number: int) -> None:
    with process(tmp_path, queued=60) as (sandbox, server), client(sandbox) as api:
        api.upload(api.new_collection(), deals_csv({}))
        server.send_signal(number)
        assert server.wait(HANG) == 0


@pytest.mark.parametrize("state", sampled(["in_progress", "queued"]))
def test_a_killed_sandbox_goes_on_where_it_was(client: Callable[..., Client], deals_csv: DealsCsv, tmp_path: Path, state: str) -> None:
    with process(tmp_path, queued=3600 * (state == "queued"), processing=3600) as (sandbox, server), client(sandbox) as api:
        collection = api.new_collection()
        upload = api.upload(collection, deals_csv({}))
        wait_for(lambda: api.get(upload).json()["status"] == state, state)
        server.kill()
    with running(tmp_path, queued_seconds=0, processing_seconds=0) as sandbox, client(sandbox) as api:
        assert api.settled(upload)["status"] == "completed"
        assert api.dump(collection) == deals_csv({})
    assert list((tmp_path / "uploads").iterdir()) == []


SEPARATORS = ",;|~^$%&@#!?*+=<>()[]{}/\\:_abcdefghijklmnopqrstuvwxyz"
CLIENTS = 50


@pytest.mark.slow
def test_fifty_appends_at_once_and_kills_equal_a_replay_in_the_order_of_acceptance(
    client: Callable[..., Client], deals_csv: DealsCsv, tmp_path: Path
) -> None:
    """Each client's separator tells its file, even where its answer was lost and it sent the file again."""
    chance = random.Random(7)
    deals = {mark: [{"id": str(number), "name": mark} for number in chance.sample(range(80), 20)] for mark in SEPARATORS[:CLIENTS]}
    port = free_port()
    with process(tmp_path, port=port) as (sandbox, _), client(sandbox) as api:
        collection = api.new_collection()
        senders = [
            threading.Thread(target=_send_until_accepted, args=(client, sandbox, collection, deals_csv(*rows, separator=mark), mark))
            for mark, rows in deals.items()
        ]
        for sender in senders[:25]:
            sender.start()
        wait_for(lambda: len(sandbox.control("GET", "uploads")) >= 10, "some appends")
    for sender in senders[25:]:
        sender.start()
    with process(tmp_path, port=port, processing=0.02) as (sandbox, _):
        wait_for(lambda: len(sandbox.control("GET", "uploads")) >= 30, "more appends")
    with process(tmp_path, port=port) as (sandbox, _), client(sandbox) as api:
        for sender in senders:
            sender.join(HANG)
        uploads = sandbox.control("GET", "uploads")
        for upload in uploads:
            ended = api.settled(f"/api/collection/{collection}/data/deals/append/{upload['id']}")
            assert ended["status"] == "completed", ended["message"]
        replayed = {row["id"]: row for upload in uploads for row in deals[upload["separator"]]}
        assert {upload["separator"] for upload in uploads} == set(deals)
        assert api.dump(collection) == deals_csv(*replayed.values())


def _send_until_accepted(client: Callable[..., Client], sandbox: Sandbox, collection: str, content: bytes, mark: str) -> None:
    with client(sandbox) as api:
        while True:
            try:
                api.upload(collection, content, mark)
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return


def test_the_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running(folder):
        assert [oct(path.stat().st_mode & 0o777) for path in (folder, folder / "uploads", folder / "deals")] == ["0o700"] * 3


def test_the_log_names_no_token(client: Callable[..., Client], caplog: pytest.LogCaptureFixture) -> None:
    with running(token="canary-77aa") as sandbox, client(sandbox) as api:
        api.new_collection()
        log = sandbox.control("GET", "requests")
    assert not re.search("canary", caplog.text + str(log))


def test_every_sandbox_has_a_token_of_its_own() -> None:
    with running() as first, running() as second:
        assert first.token != second.token
        assert len(first.token) >= 32
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            Sandbox(first.url, second.token).control("GET", "requests")


def test_it_says_how_it_is_used() -> None:
    said = [line for line in Sandbox("http://127.0.0.1:1", "it's $HOME").usage.splitlines() if line.startswith("  export")]
    shown = subprocess.run(
        ["bash", "-c", f"{said[0]}\necho $DEALCAST_PLATFORM_URL $DEALCAST_TOKEN"], check=False, capture_output=True, text=True
    )
    assert shown.stdout == "http://127.0.0.1:1 it's $HOME\n"


def test_it_answers_under_no_name_that_somebody_pointed_here(sandbox: Sandbox) -> None:
    """A page of another origin whose name is made to mean this machine is of its origin, and would read all."""
    for path in ("/api/collection", "/_sandbox/requests"):
        answers = [
            httpx.get(
                f"{sandbox.url}{path}", headers={"Host": host, "Authorization": f"Token {sandbox.token}"}, trust_env=False, timeout=HANG
            )
            for host in ("elsewhere.example", "localhost:1", "127.0.0.1")
        ]
        assert [answer.status_code for answer in answers] == [400, 200, 200]
