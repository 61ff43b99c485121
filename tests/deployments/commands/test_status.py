"""``dealcast status``: the ledger's state, without Prefect and, unless asked, without the platform."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flows.ledger.store import Entry, Ledger, Sending

if TYPE_CHECKING:
    from flows.nostradamus import Nostradamus
    from tests.conftest import Dealcast

NOW = datetime.now(UTC)


def remember(home: Path, collection: str, *, age: timedelta = timedelta(hours=1), **changes: Any) -> Ledger:
    """A completed sync with its forecast, of an export that is ``age`` old."""
    ledger, then = Ledger(str(home / "ledger")), NOW - age
    done = Sending(state="completed", intended_at=then, id="request-1", accepted_at=then, completed_at=then)
    values: dict[str, Any] = {
        "fingerprint": "0" * 32,
        "collection": collection,
        "mode": "append",
        "created_at": then,
        "export": {},
        "csv_sha256": "",
        "rows": 480,
        "quarantined": 2,
        "totals": {},
        "upload": done,
        "indexed": True,
        "held": 475,
        "forecast": done.model_copy(update={"id": "invocation-1"}),
        "predicted": ["2026-12", "2027-01"],
        "certified": True,
    }
    ledger.write(Entry(**(values | changes)))
    export = {"path": "deals.csv", "modified": then.isoformat(), "newest_update": None, "vanished": 5, "quarantined": 2, "deals": 480}
    ledger.put(collection, "_export.json", json.dumps(export).encode())
    return ledger


def test_status_tells_all_that_the_ledger_knows(dealcast: Dealcast, home: Path) -> None:
    remember(home, "acme")
    (found,) = json.loads(dealcast("status", "--json").stdout)["collections"]
    assert (found["collection"], found["held"], found["gone"], found["quarantined"], found["in_doubt"]) == ("acme", 475, 5, 2, 0)
    assert found["last_sync"]["request_id"] == "request-1"
    assert found["last_forecast"]["months"] == ["2026-12", "2027-01"]
    assert (found["in_flight"], found["lock"], found["stale"]) == ([], None, None)
    shown = dealcast("status", "acme").stdout
    assert all(words in shown for words in ("deals.csv", "475 held, 5 gone, 2 quarantined", "2026-12 to 2027-01"))


def test_what_is_under_way_is_shown(dealcast: Dealcast, home: Path) -> None:
    at_work = Sending(state="accepted", intended_at=NOW, id="request-2", accepted_at=NOW)
    ledger = remember(home, "acme", upload=at_work, forecast=None, indexed=False, held=None, certified=False)
    ledger.put("acme", "_holder.json", b'{"pid": "77", "host": "worker-1", "since": "2026-11-27T00:00:00"}')
    shown = dealcast("status").stdout
    assert "under way  append request-2 accepted" in shown
    assert "locked by  process 77 on worker-1" in shown


def test_a_lock_whose_holder_died_is_not_told_as_held(dealcast: Dealcast, home: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    holder = {"pid": str(ended.pid), "host": socket.gethostname(), "since": "2026-11-27T00:00:00"}
    remember(home, "acme").put("acme", "_holder.json", json.dumps(holder).encode())
    assert json.loads(dealcast("status", "--json").stdout)["collections"][0]["lock"] == holder | {"died": True}
    shown = dealcast("status").stdout
    assert "which is no more" in shown
    assert "locked by" not in shown


@pytest.mark.parametrize(("age", "code"), [(timedelta(hours=35), 0), (timedelta(hours=37), 7)])
def test_an_old_collection_is_an_exit_code(dealcast: Dealcast, home: Path, age: timedelta, code: int) -> None:
    remember(home, "acme", age=age)
    shown = dealcast("status", "--max-age", "36h", code=code).stdout
    assert ("OLD" in shown) == bool(code)


@pytest.mark.parametrize(("days", "code"), [(1, 0), (3, 7)])
@pytest.mark.parametrize("came", [True, False])
def test_a_forecast_that_has_not_come_for_long_is_an_exit_code(dealcast: Dealcast, home: Path, days: int, code: int, came: bool) -> None:
    """Each sync may send its deals, and fail at the forecast: the export alone looks fresh."""
    earlier = NOW - timedelta(days=days)
    done = Sending(state="completed", intended_at=earlier, id="invocation-0", completed_at=earlier)
    remember(home, "acme", fingerprint="1" * 32, created_at=earlier, forecast=done if came else None, wanted=None)
    remember(home, "acme", number=1, forecast=None, wanted={"horizon": 6}, certified=False)
    [found] = json.loads(dealcast("status", "--max-age", "2d", "--json", code=code).stdout)["collections"]
    assert found["in_flight"][0]["what"] == "forecast"
    assert bool(found["stale"]) == bool(code)
    assert not code or ("3 days ago" in found["stale"] and ("the last one" in found["stale"]) == came)
    dealcast("status", code=0)


def test_a_send_in_doubt_is_told(dealcast: Dealcast, home: Path) -> None:
    """And since nothing has completed meanwhile, the last completed export is what ages."""
    remember(home, "acme", age=timedelta(days=3))
    unknown = Sending(state="unknown", intended_at=NOW, doubt=True)
    again = {"fingerprint": "1" * 32, "number": 1, "upload": unknown, "forecast": None, "indexed": False, "held": None, "certified": False}
    Ledger(str(home / "ledger")).write(Ledger(str(home / "ledger")).entries("acme")[0].model_copy(update=again))
    [found] = json.loads(dealcast("status", "--max-age", "2d", "--json", code=7).stdout)["collections"]
    assert (found["in_doubt"], found["held"], found["in_flight"][0]["state"]) == (1, 475, "unknown")
    assert "1 uploads in doubt" in dealcast("status", "--max-age", "7d").stdout


def test_a_run_that_failed_before_it_sent_leaves_the_last_success_to_age(dealcast: Dealcast, home: Path, collection: str) -> None:
    """Of the gate, the guard or a broken export the ledger knows nothing: a check asks for an age."""
    remember(home, collection, age=timedelta(days=3))
    kept = (home / "ledger" / collection / "_export.json").read_bytes()
    dealcast("sync", "nowhere.csv", "--crm", "canonical", "--collection", collection, code=3)
    assert (home / "ledger" / collection / "_export.json").read_bytes() == kept
    assert "OLD" in dealcast("status", collection, "--max-age", "2d", code=7).stdout
    dealcast("status", collection, code=0)


def test_a_collection_without_a_completed_sync_is_old(dealcast: Dealcast, home: Path) -> None:
    remember(home, "acme").delete("acme", "_export.json")
    assert "no sync of a whole export has completed" in dealcast("status", "--max-age", "7d", code=7).stdout


def test_asking_tells_a_collection_that_is_gone(dealcast: Dealcast, home: Path, platform: Nostradamus) -> None:
    held = platform.create_collection("Acme", "Europe/Rome").id
    remember(home, held)
    assert "platform   known" in dealcast("status", "--ask").stdout
    remember(home, "lost")
    assert "lost" in dealcast("status", "--ask", code=5).output


def test_asking_a_platform_that_is_away_is_exit_6(dealcast: Dealcast, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(home, "acme")
    monkeypatch.setenv("DEALCAST_PLATFORM_URL", "http://127.0.0.1:9")
    dealcast("status", code=0)
    dealcast("status", "--ask", code=6)


def test_an_unknown_collection_and_a_wrong_age_are_usage_errors(dealcast: Dealcast, home: Path) -> None:
    remember(home, "acme")
    assert "It has: acme" in dealcast("status", "other", code=2).output
    assert "36h or 7d" in dealcast("status", "--max-age", "soon", code=2).output


def test_an_empty_ledger_is_no_error(dealcast: Dealcast) -> None:
    assert "no collection yet" in dealcast("status").stdout
    assert json.loads(dealcast("status", "--json").stdout) == {"collections": []}


def test_an_empty_ledger_is_not_fresh(dealcast: Dealcast) -> None:
    """A health check that looks at another ledger than is meant is not green."""
    assert "no collection yet" in dealcast("status", "--max-age", "7d", code=7).stdout
    assert json.loads(dealcast("status", "--max-age", "7d", "--json", code=7).stdout) == {"collections": []}


def test_status_imports_neither_prefect_nor_pandas() -> None:
    """What makes it fast enough for a health check, whatever the machine."""
    program = "import sys, deployments.commands.status; print([name for name in ('prefect', 'pandas', 'pyarrow') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_damaged_collection_is_told_among_the_others(dealcast: Dealcast, home: Path) -> None:
    """It hides none of them; asked for by itself it is an error."""
    for name in ("acme", "broken"):
        remember(home, name)
    (home / "ledger" / "broken" / "_export.json").write_bytes(b"\xff")
    sound, broken = json.loads(dealcast("status", "--json", code=2).stdout)["collections"]
    assert sound["last_sync"]
    assert broken["collection"] == "broken"
    assert "_export.json is damaged" in broken["damaged"]
    assert "broken: DAMAGED, " in dealcast("status", code=2).stdout
    assert "is damaged" in dealcast("status", "broken", code=2).output


@pytest.mark.parametrize("folder", ["x.json", "_export.json"])
def test_a_folder_in_a_file_s_place_hides_no_other_collection(dealcast: Dealcast, home: Path, folder: str) -> None:
    remember(home, "acme")
    (home / "ledger" / "broken" / folder).mkdir(parents=True)
    sound, broken = json.loads(dealcast("status", "--json", code=2).stdout)["collections"]
    assert sound["last_sync"]
    assert f"{folder}: Is a directory" in broken["damaged"]


_COUNTED = """
import sys
from collections import Counter
opened, root = Counter(), sys.argv[1]
def note(event, args):
    if event in ("open", "os.scandir", "os.listdir") and str(args[0]).startswith(root):
        opened[str(args[0])] += 1
sys.addaudithook(note)
from deployments.cli import main
sys.argv[1:] = ["status", "--json"]
try:
    main()
finally:
    print(max(opened.values()), len(opened), file=sys.stderr)
"""


def test_many_collections_are_told_in_one_object_and_each_file_is_read_once(home: Path) -> None:
    """Whatever the index and the history have grown to: neither is opened."""
    for number in range(200):
        ledger = remember(home, f"customer-{number:03d}")
    ledger.put("customer-199", "_index.parquet", b"not read")
    ledger.put("customer-199", "_forecasts.parquet", b"not read")
    command = [sys.executable, "-c", _COUNTED, str(home / "ledger")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"DEALCAST_HOME": str(home)})
    assert len(json.loads(done.stdout)["collections"]) == 200
    most, files = map(int, done.stderr.splitlines()[-1].split())
    assert most == 1
    assert files <= 1 + 200 * 6, "the ledger's list, and of each collection its list, a sync, the baseline, name, zone and holder"
