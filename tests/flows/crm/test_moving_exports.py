"""An export that is written to while it is read stops the sync, and nothing of a fetched one outlives its command."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from expectations.deals_schema import COLUMN_NAMES
from flows.crm import fit, open_export
from flows.deals.staged_file import stage
from flows.errors import ExportUnreadable
from flows.options import SyncOptions
from tests.conftest import HANG, sampled

if TYPE_CHECKING:
    from tests.conftest import Dealcast

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


LAST = {
    "cut within an amount": ("681234.13\n", "68123", "99999"),
    "a text": ("Ann Lee\n", "Ann L", "Aaa A"),
    "in quotes": ('"681,234.13"\n', '"681,234.13"', "999,999.99"),
    "after a row of two lines": ('"a\nb"\n', "68123", "99999"),
}


def _ending(path: Path, first: str, last: str) -> Path:
    """An export of two deals, of which the last column, Amount, ends so."""
    header = "Record ID,Deal Name,Deal Stage,Create Date,Close Date,Last Modified Date,Amount\n"
    deal = "Ann Lee,Closed won,2026-01-01,2026-02-01,2026-02-02,"
    path.write_text(f"{header}1,{deal}{first}2,{deal}{last}")
    return path


@pytest.mark.parametrize(("first", "last", "form"), LAST.values(), ids=LAST)
@pytest.mark.parametrize("kind", ["plain", "gzip", "utf-16", "old Mac"])
def test_a_last_line_without_line_end_is_a_warning_with_its_form(kind: str, first: str, last: str, form: str, tmp_path: Path) -> None:
    path = _ending(tmp_path / "deals.csv", first, last)
    text = path.read_bytes()
    forms = {"plain": text, "gzip": gzip.compress(text), "utf-16": text.decode().encode("utf-16"), "old Mac": text.replace(b"\n", b"\r")}
    path.write_bytes(forms[kind])
    options = SyncOptions(export=str(path), crm="hubspot", collection="c")
    line = 3 + first.strip().count("\n")
    warning = f"line {line}, the last, has no line end, where the lines before it have one, and may be cut short"
    told = f"{warning}: its last cell, in column 'Amount', has the form {form}"
    assert [remark for remark in stage(options, tmp_path, "UTC").remarks if "line end" in remark] == [told]
    assert fit(str(path)).warnings == (told,)


@pytest.mark.parametrize("end", ["68123\n", "68123\r\n", "68123\n\n", "68123\r", "68123\n  "])
def test_a_last_line_that_ends_is_no_warning(end: str, tmp_path: Path) -> None:
    path = _ending(tmp_path / "deals.csv", "1\r\n" if "\r" in end else "1\n", end)
    assert "line end" not in " ".join(stage(SyncOptions(export=str(path), crm="hubspot", collection="c"), tmp_path, "UTC").remarks)
    assert not fit(str(path)).warnings


def test_check_and_crms_say_that_the_last_line_may_be_cut_short(dealcast: Dealcast, tmp_path: Path) -> None:
    path = _ending(tmp_path / "deals.csv", "681234.13\n", "68123")
    for command in (["check", path, "--crm", "hubspot"], ["crms", path]):
        shown, listed = (dealcast(*command, *more).output for more in ([], ["--json"]))
        assert "line 3, the last, has no line end" in shown
        assert any("99999" in remark for remark in json.loads(listed)["remarks"])
        assert "68123" not in shown + listed


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
            end.wait(HANG)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/deals.csv", half
        end.set()
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("command", sampled([["check", "--crm", "hubspot"], ["crms"]]))
@pytest.mark.parametrize(
    ("number", "code"), sampled([(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
)
def test_nothing_of_a_fetched_export_is_left(
    command: list[str], number: signal.Signals, code: int, slow_server: tuple[str, threading.Event], tmp_path: Path
) -> None:
    """Whatever ends it, after the next command of its home; `test_killed_syncs.py` has more moments."""
    url, half = slow_server
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "DEALCAST_HOME": str(tmp_path / "home"), "TMPDIR": str(temporary)}
    with subprocess.Popen([DEALCAST, command[0], url, *command[1:]], env=environment, stderr=subprocess.PIPE, text=True) as child:
        assert half.wait(HANG)
        child.send_signal(number)
        assert child.wait(HANG) == code
    left = written(tmp_path / "deals.csv")
    subprocess.run([DEALCAST, "check", str(left), "--crm", "canonical"], env=environment, capture_output=True, check=False)
    assert list(temporary.iterdir()) == []
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file() and b"canary" in path.read_bytes()] == []
