"""A table of collections handed out to a deployment's workers: none lost, none twice, and what failed there is told here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.nostradamus import Nostradamus
from tests.benchmarks.postgres import programs
from tests.conftest import HANG

if TYPE_CHECKING:
    from tests.conftest import WriteDeals
    from tests.deployments.conftest import Stage

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_what_fails_at_a_worker_is_told_with_its_reason_and_exit_code(
    stage: Stage,
    worker: None,  # noqa: ARG001 - it does the work
    write_deals: WriteDeals,
    tmp_path: Path,
) -> None:
    with Nostradamus(stage.sandbox.url, stage.sandbox.token) as platform:
        good, bad = (platform.create_collection(name, "Europe/Rome").id for name in ("good", "bad"))
    exports = {good: write_deals(3), bad: write_deals(2, {"value": "lots"}, name="bad.csv")}
    table = tmp_path / "collections.csv"
    table.write_text("collection,export,crm\n" + "".join(f"{name},{export},canonical\n" for name, export in exports.items()))
    before = {run["id"] for run in stage.ask("flow_runs/filter", {"limit": 200})}
    done = stage.dealcast("collections", "sync", str(table), "--deployment", "sync-deals/one-of-many")
    assert done.returncode == 4, done.stderr
    assert f"1 of 2 collections failed, the others are synced. {bad}: Stopped by gate. 1 of 3 deals" in done.stderr
    assert (stage.home / "dealcast" / "forecasts" / good / "certificate.json").exists()
    table.write_text(f"collection,export,crm\n{good},{exports[good]},canonical\n")
    again = stage.dealcast("collections", "sync", str(table), "--deployment", "sync-deals/one-of-many", "--json")
    (outcome,) = json.loads(again.stdout)["outcomes"]
    assert outcome | {"message": ""} == {"outcome": "done-elsewhere", "collection": good, "message": ""}
    assert outcome["message"].startswith("Nothing new since the last completed sync")
    one_of_many = stage.deployment("sync-deals/one-of-many")["id"]
    new = [run for run in stage.ask("flow_runs/filter", {"limit": 200}) if run["id"] not in before]
    handed_out = [run for run in new if run["deployment_id"] == one_of_many]
    assert sorted(run["parameters"]["options"]["collection"] for run in handed_out) == sorted([good, *exports])
    assert all("handed-out" in run["tags"] for run in handed_out), "who handed them out tells people of their failures"
    assert all(run["parent_task_run_id"] for run in handed_out), "the UI shows them below the run that handed them out"


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")
@pytest.mark.slow
def test_two_workers_on_postgresql_share_the_runs_and_none_is_lost_or_done_twice() -> None:
    """The benchmark with a few collections; it ends 1 where a run is lost, done twice or not right."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DEALCAST_", "PREFECT_"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "workers"],
        env={**environment, "COLLECTIONS": "4"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| kept |") == 4
