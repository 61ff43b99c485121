"""One collection at a double, a CRM whose exports change, and two machines that share a ledger and the forecasts' folder.

Every invariant is told as a sentence in ``problems``; none is left out of any story:

* nothing is lost and nothing doubled: in the end the platform holds exactly the export's deals, in their newest version
* a forecast is never invoked while any upload of the collection is open
* a run that was paused while another took its lock posts nothing any more
* exit 0, and "nothing new", mean that the platform holds the export; any other code is one that what happened explains
* nothing is posted again whose acceptance was recorded, and the platform saw as many POSTs as runs meant to send
* the forecast downloaded in the end is that of the newest data; one more sync finds nothing new, and posts nothing
* nothing is left in a staging folder, no half of a file in the ledger, no name in a lock
"""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from deployments.sandbox import Sandbox
from flows.ledger.store import Ledger
from flows.nostradamus import Nostradamus
from tests.conftest import HANG, wait_for
from tests.faults import child
from tests.faults.cell import Double, read_journal, start_planned, write_deals
from tests.faults.foreign_platform import ForeignPlatform
from tests.faults.server import PrefectServer

DONE = (0, child.NOTHING_NEW)
_MOST_RUNS = 8
_TRUSTED = {"accept_shrink": True}
"""Options of every sync: exports go back to smaller values, which the guard would stop; it is tested elsewhere."""

_EXPLAINED = {None: set(), "kill": {-9}, "pause": set(), "term": {143, -15}, "int": {130, -2}, "full": {1}}
"""Exit codes that an act explains, besides those of a platform that fares badly: refused, and not reached or in time."""


@dataclass(frozen=True, slots=True)
class Step:
    """One launch: the export as it is then, the faults set before it, and what happens to the run."""

    deals: Mapping[str, str]
    faults: tuple[Mapping[str, Any], ...] = ()
    machine: str = "a"
    at: str | None = None
    act: child.Act = "kill"
    days: float = 0.0
    resume: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    meanwhile: Mapping[str, str] | None = None
    """The export that another machine syncs while the run is paused, beyond its lease."""
    late: Mapping[str, str] | None = None
    """The deals of an upload whose answer was lost, which the platform takes in before this launch."""
    outage: bool = False
    """True if Prefect's server is killed while the run is paused, and runs again once the run has ended."""


@dataclass
class World:
    """A collection's world; :meth:`live` runs steps, lets the platform recover, and judges."""

    folder: Path
    double: Double
    server: PrefectServer | None = None
    collection: str = ""
    codes: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """The words with which runs ended that a platform in trouble stopped."""
    runs: int = 0
    late: int = 0
    """Uploads that the platform took in late, which no run meant to send by then."""
    dead: set[str] = field(default_factory=set)
    """The machines whose last run was killed: what it left there goes with the next one there."""

    def live(self, steps: Sequence[Step]) -> World:
        """Run the steps, then syncs of the last export until one finds nothing new; any problem is in ``problems``."""
        self.folder.mkdir(parents=True)
        with Nostradamus(self.double.url, self.double.token) as platform:
            self.collection = platform.create_collection(self.folder.name, "Europe/Rome").id
        self.double.control("DELETE", "faults")
        self.double.control("DELETE", "requests")
        for step in steps:
            if step.late is not None:
                self.take_in_late(step.late)
            self.take(step)
        newest = steps[-1].meanwhile or steps[-1].deals
        self._settle(Step(newest, machine=steps[-1].machine))
        self.problems += self.about_data(newest)
        self.problems += self.about_posts()
        self.problems += self.about_repeats()
        self.problems += self.about_invocations()
        self.problems += self.about_forecast()
        self.problems += self.about_traces()
        return self

    def take(self, step: Step) -> int:
        """Launch one run, let happen what is planned, and judge its exit code."""
        for fault in step.faults:
            self.double.control("POST", "faults", fault)
        process = self._start(step)
        mine, met = self.runs, False
        if step.at is not None and step.act == "pause":
            met = self._pause(process, step, mine)
        process.join(2 * HANG)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"run {mine} took more than {2 * HANG:.0f} s")
        code = process.exitcode
        self.codes.append(code)
        (self.dead.add if code == -signal.SIGKILL else self.dead.discard)(step.machine)
        if step.outage and met and self.server:
            self.server.start()
        if code in (5, 6):
            self.said.append(f"run {mine} ended with {code}: {self._last_words(mine)}")
        explained = _EXPLAINED[step.act if step.at else None] | ({2} if step.resume else set())
        if code not in {*DONE, 5, 6, *explained}:
            self.problems.append(f"run {mine} ended with {code}: {self._last_words(mine)}")
        if code in DONE and not step.resume and not met:
            self.problems += (f"run {mine} ended with {code}, but {problem}" for problem in self.about_data(step.deals))
        return code

    def take_in_late(self, deals: Mapping[str, str]) -> None:
        """Let the platform take in an upload now of which it kept the answer to itself."""
        lost = self.folder / "lost.csv"
        write_deals(lost, dict(deals))
        with Nostradamus(self.double.url, self.double.token) as platform:
            request = platform.upload(self.collection, lost).id
            wait_for(lambda: platform.upload_status(self.collection, request).status == "completed", "the platform to take it in")
        self.late += 1

    def _start(self, step: Step) -> BaseProcess:
        self.runs += 1
        machine = self.folder / step.machine
        machine.mkdir(exist_ok=True)
        write_deals(machine / "deals.csv", dict(step.deals))
        sandbox = self.double.url if isinstance(self.double, Sandbox) else None
        plan = child.Plan(step.at, step.act, step.days, step.resume, self.runs, sandbox)
        settings = {"LEDGER": str(self.folder / "ledger"), **step.settings}
        options = {**_TRUSTED, "out": str(self.folder / "out")}
        return start_planned(machine, self.double, self.collection, plan, "../journal", options, settings)

    def _pause(self, process: BaseProcess, step: Step, run: int) -> bool:
        """Wait until the run stops, if it ever does; let its lease end, and another machine sync; then let it go on."""
        watched = psutil.Process(process.pid)

        def stopped_or_ended() -> bool:
            with suppress(psutil.NoSuchProcess):
                return watched.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
            return True

        wait_for(stopped_or_ended, "the run to stop or end")
        if not any(line["point"] == "paused" for line in self._journal(run)):
            return False
        taken = False
        if step.outage and self.server:
            self.server.kill()
        if step.meanwhile is not None:
            self.end_lease()
            taken = self.take(Step(step.meanwhile, machine="b" if step.machine == "a" else "a")) in DONE
        before = len(self._journal(run))
        watched.resume()
        process.join(2 * HANG)
        after = [line["point"] for line in self._journal(run)[before:]]
        posts = [point for point in after if point in ("before POST append", "before POST invocation", "before DELETE deals")]
        if taken and posts:
            self.problems.append(f"run {run} lost its lock and went on: {posts}")
        if taken and process.exitcode in DONE and step.meanwhile != step.deals:  # else the other did what this one says is done
            self.problems.append(f"run {run} lost its lock and ended with {process.exitcode}")
        return True

    def end_lease(self) -> None:
        """End the lock's lease now, as its server does a minute after the last renewal."""
        with get_client(sync_client=True) as client, suppress(ObjectNotFound):
            client.delete_global_concurrency_limit_by_name(f"dealcast-{self.collection}")

    def _settle(self, last: Step) -> None:
        """No fault any more, and syncs of the last export until one finds nothing new, on whichever machine gets the lock."""
        self.double.control("DELETE", "faults")
        codes: list[int] = []
        while len(codes) < _MOST_RUNS and codes[-1:] != [child.NOTHING_NEW]:
            before = self._posts()
            other = codes.count(6) % 2 == 1  # a lock that the dead hold is taken over at once on their machine alone
            codes.append(self.take(Step(last.deals, machine="b" if (last.machine == "b") != other else "a")))
        if codes[-1] != child.NOTHING_NEW:
            self.problems.append(f"it never came to an end: {self.codes}: {self._last_words(self.runs)}")
        elif self._posts() != before:
            self.problems.append("a run that found nothing new posted")

    def _posts(self) -> int:
        appends = self.double.control("GET", f"requests?method=POST&path=*/collection/{self.collection}/*")
        return len(appends) + len(self.double.control("GET", "requests?method=POST&path=/api/invocation"))

    def _journal(self, run: int | None = None) -> list[dict[str, Any]]:
        return [line for line in read_journal(self.folder / "journal") if run in (None, line["run"])]

    def _last_words(self, run: int) -> str:
        return str(next((line.get("said") for line in self._journal(run) if line["point"] == "ended"), "no word"))

    def about_data(self, deals: Mapping[str, str]) -> Iterator[str]:
        """The platform holds exactly ``deals``, each once and in its newest version."""
        dump = self.folder / "dump.csv"
        with Nostradamus(self.double.url, self.double.token) as platform:
            platform.dump(self.collection, dump)
        with dump.open(newline="", encoding="utf-8") as source:
            rows = [(row["id"], f"{float(row['value']):.2f}") for row in csv.DictReader(source)]
        if sorted(rows) != sorted(deals.items()):
            yield f"the platform holds {sorted(rows)}, the export {sorted(deals.items())}"

    def about_posts(self) -> Iterator[str]:
        """The platform saw the POSTs that the runs meant to send, but those that a signal may have come before."""
        points = self._journal()
        meant = sum(line["point"] in ("before POST append", "before POST invocation") for line in points)
        killed = sum(
            here["point"].startswith("before POST") and after["point"] in ("killed", "term", "int") for here, after in pairwise(points)
        )
        posts = self._posts() - self.late
        if not meant - killed <= posts <= meant:
            yield f"the platform saw {posts} POSTs, the runs meant {meant}, {killed} of which may not have gone out"

    def about_repeats(self) -> Iterator[str]:
        """Nothing is intended again after it was accepted, within one send of the ledger."""
        last: dict[tuple[Any, ...], str | None] = {}
        for line in self._journal():
            for what in ("upload", "forecast") if line["point"].startswith("after write") else ():
                key = (line["fingerprint"], line["number"], what)
                if line[what] == "intended" and last.get(key) in {"accepted", "completed"}:
                    yield f"run {line['run']}: the intent of the {what} again after {last[key]}"
                last[key] = line[what]

    def about_invocations(self) -> Iterator[str]:
        """No invocation while an upload of the collection was open."""
        if isinstance(self.double, ForeignPlatform):
            asked = [each.open for each in self.double.requests if (each.method, each.path) == ("POST", "/api/invocation")]
        else:
            asked = [line["open"] for line in self._journal() if line["point"] == "before POST invocation"]
        if early := [uploads for uploads in asked if uploads]:
            yield f"invoked while uploads were open: {early}"

    def about_forecast(self) -> Iterator[str]:
        """The newest completed sync has its forecast, and a certificate of it."""
        last = Ledger(str(self.folder / "ledger")).last_completed(self.collection)
        if last is None or last.forecast is None or not last.certified:
            yield f"the newest sync has no forecast: {last}"
            return
        certified = json.loads((self.folder / "out" / "certificate.json").read_text())["forecast"]["invocation_id"]
        if last.forecast.id != certified:
            yield f"the certificate is of {certified}, the newest forecast is {last.forecast.id}"
        with Nostradamus(self.double.url, self.double.token) as platform:
            if platform.result(last.forecast.id or "", "json") != (self.folder / "out" / "forecast.json").read_bytes():
                yield "the forecast downloaded is another than the newest"
        if isinstance(self.double, ForeignPlatform):
            predicted = (self.double.job(last.forecast.id or "") or {}).get("predicted", [{}])[0].get("expectedWon")
            total = sum(float(deal["value"]) for deal in self.double.deals[self.collection].values())
            if predicted != total:
                yield f"the newest forecast is of {predicted}, the deals held are worth {total}"

    def about_traces(self) -> Iterator[str]:
        """Nothing is left of any run."""
        clean = (self.folder / machine / "home" / "staging" for machine in ("a", "b") if machine not in self.dead)
        if left := [str(path) for folder in clean for path in folder.glob("*")]:
            yield f"left in staging: {left}"
        if left := [str(path) for place in ("ledger", "out") for path in (self.folder / place).rglob("*.tmp")]:
            yield f"half written: {left}"
