"""A sync that deletes gone deals, killed at each step while the platform misbehaves: no deal of the export is ever lost.

A sample runs with every test run, all of it with ``DEALCAST_FAULTS=full``.
"""

from __future__ import annotations

import csv
import os
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox import Sandbox
from flows.nostradamus import Nostradamus
from tests.conftest import sampled
from tests.faults import child
from tests.faults.cell import read_journal, start_sync, write_deals

KILLS = (
    "before write intended",
    "after write intended",
    "before DELETE deals",
    "after DELETE deals",
    "after write accepted",
    "before write completed",
    "after write completed",
    "before write indexed",
    "after write indexed",
)
_DELETE = "/api/collection/*/deals/delete"
FAULTS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "delete dropped": [{"kind": "drop", "method": "DELETE", "path": _DELETE}],
    "delete done, answer lost": [{"kind": "drop_after_commit", "method": "DELETE", "path": _DELETE}],
    "delete 502": [{"kind": "status", "method": "DELETE", "path": _DELETE, "status": 502}],
    "404 on poll": [{"kind": "status", "method": "GET", "path": f"{_DELETE}/*", "status": 404, "count": 2}],
}
CELLS = list(product(KILLS, FAULTS))
SAMPLE = sampled([("after DELETE deals", "delete done, answer lost"), ("before write indexed", "delete 502")])
EXPORT = {str(number): "100.00" for number in range(1, 481)}
LEFT = {name: value for name, value in EXPORT.items() if int(name) <= 475}
_MOST_RUNS, _SECONDS = 6, 90.0


def held(sandbox: Sandbox, collection: str, folder: Path) -> set[str]:
    """The ids held; asked on a connection of its own, since one that is idle during a run may be closed just as it is used."""
    with Nostradamus(sandbox.url, sandbox.token) as platform:
        platform.dump(collection, folder / "dump.csv")
    with (folder / "dump.csv").open(newline="", encoding="utf-8") as source:
        return {row["id"] for row in csv.DictReader(source)}


def sync(folder: Path, sandbox: Sandbox, collection: str, kill: str | None, journal: str) -> int:
    process = start_sync(folder, sandbox, collection, kill, journal, missing="delete")
    process.join(_SECONDS)
    assert process.exitcode is not None, "a run took too long"
    return process.exitcode


@pytest.mark.parametrize(("kill", "fault"), CELLS if os.environ.get("DEALCAST_FAULTS") == "full" else SAMPLE)
def test_a_killed_delete_ends_well_and_takes_no_deal_of_the_export(kill: str, fault: str, sandbox: Sandbox, tmp_path: Path) -> None:
    with Nostradamus(sandbox.url, sandbox.token) as platform:
        collection = platform.create_collection("test", "Europe/Rome").id
        write_deals(tmp_path / "deals.csv", EXPORT)
        assert sync(tmp_path, sandbox, collection, None, "baseline") == 0
        write_deals(tmp_path / "deals.csv", LEFT)
        for each in FAULTS[fault]:
            sandbox.control("POST", "faults", each)
        codes: list[int] = []
        while not codes or (codes[-1] not in (0, child.NOTHING_NEW) and len(codes) < _MOST_RUNS):
            killed = any(line["point"] == "killed" for line in read_journal(tmp_path / "journal"))
            codes.append(sync(tmp_path, sandbox, collection, None if killed else kill, "journal"))
            assert set(LEFT) <= held(sandbox, collection, tmp_path), f"a deal of the export is lost: {codes}"
        sandbox.control("DELETE", "faults")
        assert -9 in codes, "the kill point was never reached"
        assert codes[-1] in (0, child.NOTHING_NEW), codes
        assert held(sandbox, collection, tmp_path) == set(LEFT)
    wire = sandbox.control("GET", f"requests?method=DELETE&path=/api/collection/{collection}/*")
    assert {entry["ids"] for entry in wire} <= {5, None}, "a delete without ids would empty the collection"
    assert any(entry["ids"] for entry in wire), "the platform has read a delete"
    for point in read_journal(tmp_path / "journal"):
        if point["point"] == "before DELETE deals":
            assert point["ids"] == ["476", "477", "478", "479", "480"], "a delete names the gone deals and no others"
    assert sync(tmp_path, sandbox, collection, None, "again") == child.NOTHING_NEW
