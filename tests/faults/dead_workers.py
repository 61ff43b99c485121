"""Two workers of a pool, PostgreSQL behind Prefect, and one worker's machine dies: every run that was handed out ends all the same.

``python -m tests.faults.dead_workers``: five times in each of three states of a handed out run, SIGKILL to the worker that has it, with
all its children. Asked is that `collections sync --deployment` ends by itself, and that each collection has been sent and forecast once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from deployments.sandbox import Sandbox
from tests.benchmarks.postgres import postgres, programs
from tests.benchmarks.servers import TOKEN, is_right, servers
from tests.benchmarks.workers import DEALS, DEPLOYMENT, ROOT, WORKERS, begun_workers, deploy, prepare, runs_of

_COURSE = ("Pending", "Submitting", "InfrastructurePending", "Running")

STATES = {"Pending": _COURSE, "Submitting": _COURSE[1:], "Running": _COURSE[3:]}
"""When a worker dies: as soon as its run is seen in one of these states. They pass quickly: the table says where the run was left."""

IN_TIME = 300.0
"""Seconds from the kill to the end of all."""

_AT_MOST = 4 * IN_TIME

_HOLDS, _FAILS = "ok |", "FAILS |"
"""How a line of the table ends."""


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that died at ``state``: what became of it all."""

    state: str
    left_at: str
    code: int
    seconds: float
    uploads: list[int]
    invocations: int
    right: int
    begun: list[int]

    @property
    def holds(self) -> bool:
        """True if every collection was sent once, has its forecast, and all ended in time."""
        return (self.code, self.uploads, self.invocations, self.right) == (0, [1, 1], 2, 2) and self.seconds < IN_TIME


def run(state: str, times: int) -> list[Death]:
    """Let a worker die ``times`` times in one state."""
    with tempfile.TemporaryDirectory() as place, postgres() as database, servers(Path(place), database) as url:
        deploy(url, Path(place))
        deaths = []
        for number in range(times):
            folder = Path(place) / f"{state}-{number}"
            folder.mkdir()
            deaths.append(_die(folder, url, state))
            print(as_row(deaths[-1]), file=sys.stderr, flush=True)
        return deaths


def side_by_side(times: int) -> list[str]:
    """The rows of every state, each with servers of its own: a death is minutes of waiting."""

    def rows(state: str) -> list[str]:
        command = [sys.executable, "-m", "tests.faults.dead_workers", "--state", state, "--times", str(times)]
        said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False).stdout.splitlines()
        found = [line for line in said if line.startswith(f"| {state} |")]
        return [*found, *[f"| {state} | was not lived | {_FAILS}"] * (times - len(found))]

    with ThreadPoolExecutor(len(STATES)) as pool:
        return [row for found in pool.map(rows, STATES) for row in found]


def _die(place: Path, url: str, state: str) -> Death:
    known = {each["id"] for each in runs_of()}
    sandbox = Sandbox(url, TOKEN)
    sandbox.control("DELETE", "requests")
    table, collections = prepare(place, url, 2)
    command = [sys.executable, "-m", "deployments.cli", "collections", "sync", str(table), "--deployment", DEPLOYMENT]
    with (
        begun_workers(place, 1) as workers,
        (place / "sync.log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as parent,
    ):
        while (found := _owner(place, known, STATES[state])) is None:
            assert parent.poll() is None, (place / "sync.log").read_text()
        run_id, victim = found
        for process in [*psutil.Process(workers[victim]).children(recursive=True), psutil.Process(workers[victim])]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        begun = time.monotonic()
        left_at = next(each["state_name"] for each in runs_of() if each["id"] == run_id)
        code = parent.wait(_AT_MOST)
        seconds = time.monotonic() - begun
    uploads = [sum(each["collectionId"] == collection for each in sandbox.control("GET", "uploads")) for collection in collections]
    homes = {folder.name: folder for name in WORKERS for folder in (place / name).glob("forecasts/*")}
    right = sum(collection in homes and is_right(homes[collection], url, collection, DEALS) for collection in collections)
    invocations = len(sandbox.control("GET", "requests?method=POST&path=/api/invocation"))
    return Death(
        state, left_at, code, seconds, uploads, invocations, right, [each["run_count"] for each in runs_of() if each["id"] not in known]
    )


def _owner(place: Path, known: set[str], names: tuple[str, ...]) -> tuple[str, str] | None:
    """A new run in a state of one of these ``names``, and the worker that has it by its log."""
    for each in runs_of():
        if each["id"] not in known and each["state_name"] in names:
            for name in WORKERS:
                if each["id"] in (place / f"{name}.log").read_text(errors="replace"):
                    return each["id"], name
    return None


def as_row(death: Death) -> str:
    """A line of the table."""
    return (
        f"| {death.state} | {death.left_at} | {death.code} | {death.seconds:.0f} s | {death.uploads} | {death.invocations} "
        f"| {death.right} of 2 | {death.begun} | {_HOLDS if death.holds else _FAILS}"
    )


def main() -> int:
    """Print the table; 0 where all hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.dead_workers", description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--state", choices=STATES, help="that state alone; else all, side by side")
    asked = parser.parse_args()
    if programs() is None:
        print("PostgreSQL is not installed, so that no worker died.")
        return 0
    rows = side_by_side(asked.times) if asked.state is None else [as_row(death) for death in run(asked.state, asked.times)]
    print("| killed at | the run was left | exit | ended after | uploads | invocations | certificates right | begun | |")
    print("|---|---|---|---|---|---|---|---|---|")
    print(*rows, sep="\n")
    good = sum(row.endswith(_HOLDS) for row in rows)
    print(f"\n{good} of {len(rows)} hold.")
    return 0 if good == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
