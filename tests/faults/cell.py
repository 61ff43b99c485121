"""One cell of the matrix: a sync that is killed while the platform misbehaves, its re-runs, and what must hold in the end."""

from __future__ import annotations

import csv
import json
import multiprocessing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL

from expectations.deals_schema import COLUMN_NAMES
from flows.ledger.store import Ledger
from flows.nostradamus import Nostradamus
from tests.conftest import HANG
from tests.faults import child
from tests.faults.scenario import FAULTS

MOST_RUNS = 7
_EXPECTED_CODES = {0, child.NOTHING_NEW, 5, 6, -9}
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.faults.child"])

_DEAL = {
    "name": "Deal",
    "creationDatetime": "2025-01-10T09:00:00",
    "addDatetime": "2025-01-10T09:00:00",
    "closedDatetime": "2025-03-10T09:00:00",
    "status": "closed_won",
    "stage": "Won",
    "currentStageStartDatetime": "2025-03-10T09:00:00",
    "lastUpdateDatetime": "2025-03-10T09:00:00",
}
BEFORE = {str(number): "100.00" for number in range(1, 6)}
"""Deals of an export, id -> value."""
NOW = {**BEFORE, "2": "250.00", "6": "100.00"}
LATER = {**NOW, "3": "300.00", "7": "100.00"}
THEN = {"same": NOW, "changed": LATER, "reverted": {**BEFORE, "6": "100.00", "1": "100.00"}}


class Double(Protocol):
    """Something that stands for the platform: the sandbox, or the second double."""

    @property
    def url(self) -> str: ...

    @property
    def token(self) -> str: ...

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Set or clear `faults`, set the `speed`, list or forget the `requests`."""


@dataclass
class Cell:
    """A kill point, a fault, a story of the export; and what came of it."""

    kill: str
    fault: str
    story: str
    folder: Path
    codes: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    posts: int = 0

    @property
    def passed(self) -> bool:
        return not self.problems

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The points that all runs came by, in order."""
        return read_journal(self.folder / "journal")


def run_cell(cell: Cell, sandbox: Double) -> Cell:
    """Run the cell to its end and judge it; any problem is a sentence in ``problems``."""
    cell.folder.mkdir(parents=True)
    with Nostradamus(sandbox.url, sandbox.token) as platform:
        collection = platform.create_collection(f"{cell.kill} x {cell.fault}", "Europe/Rome").id
        cell.problems = list(_problems(cell, sandbox, platform, collection))
    return cell


def _problems(cell: Cell, sandbox: Double, platform: Nostradamus, collection: str) -> Iterator[str]:
    export = cell.folder / "deals.csv"
    sandbox.control("DELETE", "faults")
    if cell.story == "reverted":
        write_deals(export, THEN["reverted"])
        if (code := sync(cell, sandbox, collection, None, "baseline")) != 0:
            yield f"the sync before it ended with {code}"
            return
    sandbox.control("DELETE", "requests")
    for fault in FAULTS[cell.fault]:
        sandbox.control("POST", "faults", fault)
    write_deals(export, NOW)
    final = NOW
    for number in range(MOST_RUNS):
        killed = any(line["point"] == "killed" for line in cell.journal)
        cell.codes.append(sync(cell, sandbox, collection, None if killed else cell.kill))
        if cell.codes[-1] == -9 and number < MOST_RUNS - 1:
            final = THEN[cell.story]
            write_deals(export, final)
        if cell.codes[-1] in (0, child.NOTHING_NEW):
            break
    cell.posts = len(sandbox.control("GET", f"requests?method=POST&path=*/collection/{collection}/*"))
    meant = [line["point"] for line in cell.journal].count("before POST append") - (cell.kill == "before POST append")
    if cell.posts != meant:
        yield f"the platform saw {cell.posts} appends, the ledger's intents are {meant}"
    sandbox.control("DELETE", "faults")
    yield from _about_runs(cell)
    yield from _about_data(cell, platform, collection, final)
    yield from _about_posts(cell)
    yield from _about_forecast(cell, collection)
    yield from _about_traces(cell, collection)
    yield from _about_again(cell, sandbox, collection)


def _about_runs(cell: Cell) -> Iterator[str]:
    if -9 not in cell.codes:
        yield "the kill point was never reached"
    if cell.codes[-1] not in (0, child.NOTHING_NEW):
        yield f"it never came to an end: {cell.codes}"
    if strange := set(cell.codes) - _EXPECTED_CODES:
        yield f"exit codes {strange}"


def _about_data(cell: Cell, platform: Nostradamus, collection: str, final: dict[str, str]) -> Iterator[str]:
    """The collection holds exactly the export's rows, in their newest version (and what the baseline sent)."""
    dump = cell.folder / "dump.csv"
    platform.dump(collection, dump)
    with dump.open(newline="", encoding="utf-8") as source:
        held = {row["id"]: f"{float(row['value']):.2f}" for row in csv.DictReader(source)}
    if held != final:
        yield f"held: {held}, export: {final}"


def _about_posts(cell: Cell) -> Iterator[str]:
    """No POST goes out before the intent is written, nor again once an answer was written; what is unknown is named."""
    upload: str | None = None
    invocation: str | None = None
    for line in cell.journal:
        point = line["point"]
        if point.startswith("after write"):
            upload, invocation = line["upload"], line["forecast"]
            if upload == "unknown" and not line["reason"]:
                yield "an unknown outcome has no reason"
        elif point == "before POST append" and upload != "intended":
            yield f"a POST while the ledger says {upload}"
        elif point == "before POST invocation" and (upload != "completed" or invocation != "intended"):
            yield f"an invocation while the ledger says {upload}, {invocation}"
    for before, after in zip(cell.journal, cell.journal[1:], strict=False):
        lost = before["point"] == "failed POST append" and before["error"] == "OutcomeUnknown"
        if lost and after["point"] not in {"before write unknown", "killed"}:
            yield "a POST without an answer is not written down as unknown"
    yield from _about_repeats(cell.journal)


def _about_repeats(journal: list[dict[str, Any]]) -> Iterator[str]:
    """Between two writes of the intent to send the same rows, or to invoke on them, lies an outcome that allows it."""
    last: dict[tuple[str, str], str | None] = {}
    for line in journal:
        if not line["point"].startswith("after write"):
            continue
        for what in ("upload", "forecast"):
            key = (line["fingerprint"], what)
            if line[what] == "intended" and last.get(key) in {"accepted", "completed"}:
                yield f"the intent of the {what} again after {last[key]}"
            last[key] = line[what]


def _about_forecast(cell: Cell, collection: str) -> Iterator[str]:
    """The forecast downloaded is the one of the newest completed upload, and each upload has downloaded one at most."""
    home: dict[str, set[str]] = {}
    for line in cell.journal:
        if line["point"] == "after write certified":
            home.setdefault(line["fingerprint"], set()).add(line["invocation"])
    if any(len(ids) != 1 for ids in home.values()):
        yield f"more than one forecast for the same data: {home}"
    last = Ledger(str(cell.folder / "home" / "ledger")).last_completed(collection)
    out = cell.folder / "home" / "forecasts" / collection
    certificate = json.loads((out / "certificate.json").read_text())
    if last is None or not last.certified or certificate["forecast"]["invocation_id"] != (last.forecast and last.forecast.id):
        yield f"the certificate is of {certificate['forecast']}, the ledger's last of {last and last.forecast}"
    if missing := [form for form in ("json", "csv", "xlsx") if not (out / f"forecast.{form}").exists()]:
        yield f"no forecast in {missing}"
    if cell.story == "same" and len(home) != 1:
        yield f"{len(home)} forecasts downloaded of one export"


def _about_traces(cell: Cell, collection: str) -> Iterator[str]:
    """Nothing is left in staging, and no Prefect run looks alive."""
    if left := list((cell.folder / "home" / "staging").iterdir()):
        yield f"left in staging: {left}"
    alive = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))
    with get_client(sync_client=True) as client:
        running = [run for run in client.read_flow_runs(flow_run_filter=alive) if run.parameters["options"]["collection"] == collection]
    if running and cell.codes[-2:-1] == [-9]:
        yield f"{len(running)} Prefect runs look alive"


def _about_again(cell: Cell, sandbox: Double, collection: str) -> Iterator[str]:
    """The same sync once more says that nothing is new, posts nothing and invokes nothing."""
    sandbox.control("DELETE", "requests")
    if (code := sync(cell, sandbox, collection, None)) != child.NOTHING_NEW:
        yield f"once more ended with {code}"
    if posts := sandbox.control("GET", "requests?method=POST"):
        yield f"once more posted {posts}"


def sync(cell: Cell, sandbox: Double, collection: str, kill: str | None, journal: str = "journal") -> int:
    """Run the sync in a process of its own and return its exit code, negative where a signal ended it."""
    process = start_sync(cell.folder, sandbox, collection, kill, journal)
    process.join(HANG)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"{cell.kill} x {cell.fault}: a run took more than {HANG} s")
    return process.exitcode


def start_sync(
    folder: Path,
    sandbox: Double,
    collection: str,
    kill: str | None = None,
    journal: str = "journal",
    missing: str = "keep",
    **settings: str,
) -> BaseProcess:
    """Start a sync of ``folder``'s export; ``missing`` is its option, ``settings`` are further ``DEALCAST_...`` variables."""
    return start_planned(folder, sandbox, collection, child.Plan(kill), journal, {"missing": missing}, settings)


def start_planned(
    folder: Path,
    sandbox: Double,
    collection: str,
    plan: child.Plan,
    journal: str,
    options: Mapping[str, Any],
    settings: Mapping[str, str],
) -> BaseProcess:
    """The same with a ``plan`` of what happens to the run, and further ``options``."""
    values = {
        "HOME": str(folder / "home"),
        "PLATFORM_URL": sandbox.url,
        "TOKEN": sandbox.token,
        "POLL_DELAY": "0.02",
        "POLL_DELAY_MAX": "0.05",
        "UPLOAD_BACKOFF": "0.05",
        "DEADLINE": "600",
        "SEND_RETRIES": "1",
        **settings,
    }
    environment = {"PREFECT_API_URL": PREFECT_API_URL.value(), **{f"DEALCAST_{name}": value for name, value in values.items()}}
    asked = {
        "export": str(folder / "deals.csv"),
        "crm": "canonical",
        "collection": collection,
        "horizon": 3,
        "first_month": "2025-04",
        **options,
    }
    process = _PROCESSES.Process(target=child.run, args=(environment, asked, str(folder / journal), plan))
    process.start()
    return process


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The points that runs came by, in order."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write_deals(path: Path, deals: dict[str, str]) -> None:
    """Write a canonical export."""
    with path.open("w", newline="", encoding="utf-8") as sink:
        writer = csv.DictWriter(sink, COLUMN_NAMES, restval="")
        writer.writeheader()
        writer.writerows({**_DEAL, "id": identifier, "value": value} for identifier, value in deals.items())
