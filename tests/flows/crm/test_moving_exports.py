"""An export that is written to while it is read stops the sync, and nothing of a fetched one outlives its command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from expectations.schema import COLUMN_NAMES
from flows.crm import open_export
from flows.errors import ExportUnreadable

DEALCAST = str(Path(sys.executable).with_name("dealcast"))
HEADER = ",".join(COLUMN_NAMES)


def written(path: Path, rows: int = 3) -> Path:
    row = dict.fromkeys(COLUMN_NAMES, "") | {"id": "canary-of-a-deal", "status": "open", "value": "1"}
    path.write_text("\n".join([HEADER, *([",".join(row.values())] * rows)]) + "\n")
    return path


def _append(path: Path) -> None:
    last = path.read_text().splitlines()[-1]
    with path.open("a") as sink:
        sink.write(f"{last}\n")


def _replace(path: Path) -> None:
    written(path.with_name("new.csv"), 2).replace(path)


def _rewrite_in_place(path: Path) -> None:
    before = path.stat()
    written(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [_append, _replace, _rewrite_in_place])
def test_a_file_that_changes_while_it_is_read_stops(change: Callable[[Path], None], tmp_path: Path) -> None:
    path = written(tmp_path / "deals.csv")
    extraction = open_export(str(path), crm="canonical", timezone="UTC")
    change(path)
    with pytest.raises(ExportUnreadable, match="changed while it was read"):
        list(extraction)


def test_a_file_that_lies_still_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "deals.csv")
    assert sum(len(frame) for frame in open_export(str(path), crm="canonical", timezone="UTC")) >= 1


@pytest.fixture
def slow_server() -> Iterator[tuple[str, threading.Event]]:
    """An HTTP server that sends half of an export and then waits; the event says that the half is out."""
    half, end = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000000")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write((HEADER + "\n" + "canary-of-a-deal\n" * 100_000).encode())
            self.wfile.flush()
            half.set()
            end.wait(100)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/deals.csv", half
        end.set()
        server.shutdown()


@pytest.mark.parametrize("command", [["check", "--crm", "hubspot"], ["crms"]])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_nothing_of_a_fetched_export_is_left(
    command: list[str], number: signal.Signals, code: int, slow_server: tuple[str, threading.Event], tmp_path: Path
) -> None:
    """Whatever ends it, after the next command of its home."""
    url, half = slow_server
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "DEALCAST_HOME": str(tmp_path / "home"), "TMPDIR": str(temporary)}
    with subprocess.Popen([DEALCAST, command[0], url, *command[1:]], env=environment, stderr=subprocess.PIPE, text=True) as child:
        assert half.wait(100)
        child.send_signal(number)
        assert child.wait(100) == code
    left = written(tmp_path / "deals.csv")
    subprocess.run([DEALCAST, "check", str(left), "--crm", "canonical"], env=environment, capture_output=True, check=False)
    assert list(temporary.iterdir()) == []
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file() and b"canary" in path.read_bytes()] == []
