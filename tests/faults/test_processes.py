"""Syncs as processes: started together, killed, told to end."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.sandbox import Sandbox
from flows.ledger.store import Ledger
from flows.nostradamus import Nostradamus
from tests.conftest import HANG, UNHURRIED, sampled, wait_for
from tests.faults.cell import LATER, NOW, read_journal, start_planned, start_sync, write_deals
from tests.faults.child import Plan
from tests.faults.server import prefect_server


@pytest.fixture
def collection(sandbox: Sandbox) -> str:
    with Nostradamus(sandbox.url, sandbox.token) as platform:
        return platform.create_collection("test", "Europe/Rome").id


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_deals(tmp_path / "deals.csv", NOW)
    return tmp_path


@pytest.fixture
def server_that_ends_leases(tmp_path: Path) -> Iterator[None]:
    """The session's is Prefect's test harness, which does not."""
    with prefect_server(tmp_path / "prefect") as url, temporary_settings({PREFECT_API_URL: url}):
        yield


def slow(sandbox: Sandbox, seconds: float) -> None:
    sandbox.control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": seconds})


def posts(sandbox: Sandbox) -> int:
    return len(sandbox.control("GET", "requests?method=POST&path=*/append"))


def ended(process: BaseProcess) -> int | None:
    process.join(HANG)
    return process.exitcode


def accepted(folder: Path) -> bool:
    return any(line["point"] == "after write accepted" for line in read_journal(folder / "journal"))


def runs_of(collection: str) -> list[FlowRun]:
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(limit=200, sort=FlowRunSort.EXPECTED_START_TIME_DESC)
    return [run for run in found if collection in str(run.parameters)]


def test_of_two_syncs_at_once_one_posts_and_the_other_names_it(sandbox: Sandbox, folder: Path, collection: str) -> None:
    slow(sandbox, 600.0)
    both = [start_sync(folder, sandbox, collection, journal=name) for name in ("one", "two")]
    wait_for(lambda: any(process.exitcode is not None for process in both), "one to end")
    slow(sandbox, 0.0)
    assert sorted([ended(both[0]), ended(both[1])], key=str) == [0, 6]
    assert posts(sandbox) == 1
    said = {line["code"]: line["said"] for name in ("one", "two") for line in read_journal(folder / name) if line["point"] == "ended"}
    winner = next(process for process in both if process.exitcode == 0)
    assert said[6].startswith("CollectionBusy")
    assert f"process {winner.pid} on " in said[6]


def test_a_killed_holder_s_claim_is_taken_over_at_once_and_its_run_closed(sandbox: Sandbox, folder: Path, collection: str) -> None:
    """On the same machine nobody waits for the lease, which never ends at the session's server."""
    assert ended(start_sync(folder, sandbox, collection, kill="after write accepted")) == -signal.SIGKILL
    assert [run.state_name for run in runs_of(collection)] == ["Running"]
    assert ended(start_sync(folder, sandbox, collection)) == 0
    assert posts(sandbox) == 1
    killed, done = sorted(runs_of(collection), key=lambda run: str(run.start_time))
    assert (killed.state_name, done.state_type and done.state_type.value) == ("Crashed", "COMPLETED")
    assert killed.state is not None
    assert "died without a word" in str(killed.state.message)


@pytest.mark.usefixtures("server_that_ends_leases")
@pytest.mark.skipif(os.environ.get("DEALCAST_FAULTS") != "full", reason="a lease takes a minute to end; DEALCAST_FAULTS=full runs it")
def test_a_holder_killed_on_another_machine_loses_its_claim_with_the_lease(sandbox: Sandbox, folder: Path, collection: str) -> None:
    ledger = {"LEDGER": str(folder / "shared")}
    assert ended(start_sync(folder, sandbox, collection, kill="after write accepted", **ledger)) == -signal.SIGKILL
    elsewhere = {**ledger, "HOME": str(folder / "elsewhere")}
    assert ended(start_sync(folder, sandbox, collection, **elsewhere)) == 6
    wait_for(lambda: ended(start_sync(folder, sandbox, collection, **elsewhere)) == 0, "the lease to end")
    assert posts(sandbox) == 1


@pytest.mark.usefixtures("server_that_ends_leases")
@pytest.mark.skipif(os.environ.get("DEALCAST_FAULTS") != "full", reason="a lease takes a minute to end; DEALCAST_FAULTS=full runs it")
def test_a_sync_that_sleeps_beyond_its_lease_sends_nothing_over_a_newer_one(sandbox: Sandbox, folder: Path, collection: str) -> None:
    """A laptop's lid, a paused machine: nobody ends the lease but its server."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    write_deals(elsewhere / "deals.csv", LATER)
    ledger = {"LEDGER": str(folder / "shared")}
    sleeper = start_planned(folder, sandbox, collection, Plan("after write intended", "pause"), "journal", {}, ledger)
    watched = psutil.Process(sleeper.pid)
    wait_for(lambda: watched.status() == psutil.STATUS_STOPPED, "the sync to fall asleep before its POST")
    wait_for(lambda: ended(start_sync(elsewhere, sandbox, collection, **ledger)) == 0, "the lease to end, and a newer sync")
    watched.resume()
    assert ended(sleeper) == 6
    assert read_journal(folder / "journal")[-1]["said"].startswith("LockLost")
    assert posts(sandbox) == 1
    with Nostradamus(sandbox.url, sandbox.token) as platform:
        platform.dump(collection, folder / "dump.csv")
    with (folder / "dump.csv").open(newline="", encoding="utf-8") as source:
        assert {row["id"]: f"{float(row['value']):.2f}" for row in csv.DictReader(source)} == LATER


@pytest.mark.parametrize("number", sampled([signal.SIGTERM, signal.SIGINT]))
def test_a_run_told_to_end_says_how_to_go_on_and_leaves_nothing_held(
    sandbox: Sandbox, folder: Path, collection: str, prefect_api: str, number: signal.Signals
) -> None:
    slow(sandbox, 600.0)
    home = folder / "home"
    settings = {"HOME": str(home), "PLATFORM_URL": sandbox.url, "TOKEN": sandbox.token, "POLL_DELAY": "0.05"}
    environment = {**os.environ, "PREFECT_API_URL": prefect_api, **{f"DEALCAST_{name}": value for name, value in settings.items()}}
    command = [sys.executable, "-c", UNHURRIED, "sync", str(folder / "deals.csv"), "--crm", "canonical", "--collection", collection]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ledger = Ledger(str(home / "ledger"))
    wait_for(lambda: any(entry.upload.state == "accepted" for entry in ledger.entries(collection)), "the acceptance")
    process.send_signal(number)
    said = process.communicate(timeout=HANG)[0]
    assert process.returncode in (128 + number, -number)  # a shell shows both as the first
    assert f"dealcast resume --collection {collection}" in said
    assert "Traceback" not in said
    assert list((home / "staging").iterdir()) == []
    assert (home / "locks" / f"{collection}.lock").read_text() == ""
    assert [run.state_name for run in runs_of(collection)] == ["Crashed"]
    slow(sandbox, 0.01)
    sandbox.control("DELETE", "faults")
    assert ended(start_sync(folder, sandbox, collection)) == 0
    assert posts(sandbox) == 1
