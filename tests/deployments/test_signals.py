"""A signal ends a command, whatever it is in the middle of and whatever catches what the signal raises."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import HANG, sampled, wait_for

DEALCAST = str(Path(sys.executable).with_name("dealcast"))

STUBBORN = """
import sys, time
from pathlib import Path
from deployments.command_line import signals
from flows.runtime.staging_area import staging_folder
signals.UNWINDING_SECONDS = 0.2
signals.end_on_signals()
with staging_folder(Path(sys.argv[1])) as folder:
    (folder / "deals.csv").write_text("people's data")
    while True:
        try:
            print("ready", flush=True)
            time.sleep(600)
        except BaseException:
            pass
"""
"""A process that catches everything, as an engine that waits for a server that is gone does for minutes."""

SERVER_GONE = """
import atexit, sys, time
import httpx
from deployments.command_line import signals
from deployments.cli import main
from deployments.commands import sync
signals.UNWINDING_SECONDS = 0.2
def gone(*_, **__):
    raise httpx.ConnectError("All connection attempts failed")
sync.sync_deals, sync.temporary_server, sync.require_server = gone, lambda: None, lambda: None
atexit.register(time.sleep, 600)
main(sys.argv[1:])
"""
"""A sync whose Prefect server is gone when the run is to end, and whose exit waits for it, as Prefect's events do."""

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_what_catches_all_is_ended_all_the_same(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """It leaves nothing of an export, and says how to go on."""
    command = [sys.executable, "-c", STUBBORN, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        _, said = child.communicate(timeout=HANG)
    assert child.returncode == code
    assert f"ended by {'Ctrl-C' if number == signal.SIGINT else number.name} in the middle of its work. Run the same again" in said
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize(("number", "code"), sampled(SIGNALS[:2]))
def test_a_sync_is_ended_while_prefect_does_not_answer(number: signal.Signals, code: int, tmp_path: Path) -> None:
    export = tmp_path / "deals.csv"
    export.write_text("id\n1\n")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        prefect = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        environment = {**os.environ, "DEALCAST_HOME": str(tmp_path / "home"), "PREFECT_API_URL": prefect, "TMPDIR": str(temporary)}
        command = [DEALCAST, "sync", str(export), "--crm", "canonical", "--collection", "acme"]
        silent.settimeout(HANG)
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
            connection, _ = silent.accept()
            with connection:
                child.send_signal(number)
                assert child.wait(HANG) == code
                assert child.stderr is not None
                assert "Traceback" not in child.stderr.read()
    wait_for(lambda: not list(temporary.iterdir()), "its folders to be removed")


def test_a_run_that_ended_as_its_server_went_away_is_one_sentence_and_its_exit_is_not_waited_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER_GONE, "sync", str(tmp_path / "deals.csv"), "--crm", "canonical", "--collection", "acme"]
    environment = {**os.environ, "DEALCAST_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG, check=False)
    (line,) = (each for each in done.stderr.splitlines() if each.startswith("dealcast:"))
    assert "Traceback" not in done.stderr
    assert line.startswith("dealcast: Prefect's server went away in the middle of the run (ConnectError)")
    assert "run the same again" in line
    assert done.returncode == 6
