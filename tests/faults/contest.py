"""Six faults, and what a scheduler's runs of dealcast, a plain script, dlt and drt make of them.

Each tool gets a foreign platform of its own, one export, one fault, and up to four runs: a run that ends with 0 is the last, as for a
scheduler that runs what failed again. What counts, in this order: does the platform hold the deals that it can take; did no run end with 0
while they were not there; how many runs it took; how often the deals were uploaded. The table is of uploads alone, since only
dealcast goes on to a forecast.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prefect.settings import PREFECT_API_URL

from tests.conftest import HANG, wait_for
from tests.faults.cell import NOW, write_deals
from tests.faults.foreign_platform import ForeignPlatform, Recorded, foreign_platform

AWAY_SECONDS = 60.0
_MOST_RUNS = 4
_APPEND, _STATUS = "/api/collection/*/append", "/api/collection/*/append/*"
_STILL = {"queued_seconds": 0, "processing_seconds": 600}
_QUICK = {"queued_seconds": 0, "processing_seconds": 0.1}

TOOLS: dict[str, Sequence[str]] = {
    "dealcast": ["-m", "deployments.cli", "sync", "--crm", "canonical", "--no-forecast", "--quarantine-limit", "1", "--json"],
    "plain script": ["-m", "tests.benchmarks.syncing.plain_script"],
    "dlt": ["-m", "tests.benchmarks.syncing.dlt_pipeline"],
    "drt": ["-m", "tests.benchmarks.syncing.drt_sync"],
}
"""The command of each; the others' scripts stand with the benchmarks."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of the platform, or the moment to kill the first run at, or a deal that it rejects."""

    faults: tuple[Mapping[str, Any], ...] = ()
    kill_when: Callable[[Sequence[Recorded]], bool] | None = None
    away: float = 0.0
    bad: bool = False


def _accepted(requests: Sequence[Recorded]) -> bool:
    return any(each.path.endswith("/append") and each.status == 202 for each in requests)


def _polled_twice(requests: Sequence[Recorded]) -> bool:
    return sum(each.method == "GET" and "/append/" in each.path for each in requests) >= 2


TROUBLES = {
    "the answer to the upload is lost": Trouble(({"kind": "drop_after_commit", "method": "POST", "path": _APPEND},)),
    "killed once the upload is accepted": Trouble(kill_when=_accepted),
    "killed while it polls": Trouble(kill_when=_polled_twice),
    "ten polls are answered 502": Trouble(({"kind": "status", "method": "GET", "path": _STATUS, "status": 502, "count": 10},)),
    "one deal of the export is not valid": Trouble(bad=True),
    f"the platform is away for {AWAY_SECONDS:.0f} s": Trouble(away=AWAY_SECONDS),
}


@dataclass(order=True)
class Score:
    """What came of one tool and one fault: less is better, in this order."""

    missing: int
    untrue: int
    runs: int
    uploads: int
    codes: list[int] = field(default_factory=list, compare=False)

    def __str__(self) -> str:
        what = "all there" if not self.missing else f"{self.missing} missing"
        untrue = ", though it ended with 0" if self.untrue else ""
        return f"{what}{untrue}, {self.runs} run{'s' * (self.runs != 1)}, {self.uploads} upload{'s' * (self.uploads != 1)}"


def contest(place: Path) -> dict[tuple[str, str], Score | None]:
    """Every tool with every fault, the tools of one fault side by side; None for a tool that is not installed."""
    found: dict[tuple[str, str], Score | None] = {}
    with ThreadPoolExecutor(len(TOOLS)) as pool:
        for number, (name, trouble) in enumerate(TROUBLES.items()):
            folders = [place / f"{number}-{tool.replace(' ', '-')}" for tool in TOOLS]
            for tool, score in zip(TOOLS, pool.map(_meet, TOOLS, [trouble] * len(TOOLS), folders), strict=True):
                found[name, tool] = score
                print(f"{name}: {tool}: {score} {score.codes if score else ''}", file=sys.stderr, flush=True)
    return found


def as_table(found: Mapping[tuple[str, str], Score | None]) -> tuple[str, bool]:
    """The table, and whether dealcast is ahead or level in all of it."""
    lines = [f"| fault | {' | '.join(TOOLS)} | dealcast is |", f"|---|{'---|' * len(TOOLS)}---|"]
    behind = 0
    for name in TROUBLES:
        scores = [found[name, tool] for tool in TOOLS]
        ours, others = scores[0], [score for score in scores[1:] if score is not None]
        assert ours is not None
        best = min(others, default=ours)
        standing = "ahead" if ours < best else "level" if ours == best else "behind"
        behind += standing == "behind"
        lines.append(f"| {name} | {' | '.join('not installed' if score is None else str(score) for score in scores)} | {standing} |")
    return "\n".join(lines), behind == 0


def _meet(tool: str, trouble: Trouble, folder: Path) -> Score | None:
    if tool == "drt" and find_spec("drt") is None:
        return None
    folder.mkdir(parents=True)
    good = dict(NOW)
    write_deals(folder / "deals.csv", {**good, "bad": "a lot"} if trouble.bad else good)
    score = Score(len(good), 0, 0, 0)
    with foreign_platform(seconds=0.1, away=trouble.away) as platform:
        platform.deals["c-1"], platform.names["c-1"] = {}, "contest"
        for fault in trouble.faults:
            platform.control("POST", "faults", fault)
        while score.runs < _MOST_RUNS and score.codes[-1:] != [0]:
            score.codes.append(_run(tool, folder, platform, trouble.kill_when if score.runs == 0 else None))
            score.runs += 1
            platform.there.wait(HANG)  # a scheduler's next run comes long after
            platform.advance()
            score.missing = sum(identifier not in platform.deals["c-1"] for identifier in good)
            score.untrue += score.codes[-1] == 0 and score.missing > 0
        score.uploads = sum(each.method == "POST" for each in platform.requests)
    return score


def _run(tool: str, folder: Path, platform: ForeignPlatform, kill_when: Callable[[Sequence[Recorded]], bool] | None) -> int:
    """One run of the tool's command; its exit code, or -9 where it was killed."""
    given = (
        ["--collection", "c-1", str(folder / "deals.csv")]
        if tool == "dealcast"
        else [str(folder / "deals.csv"), platform.url, platform.token, "c-1"]
    )
    platform.control("PUT", "speed", _STILL if kill_when else _QUICK)
    ours = {"HOME": str(folder / "home"), "PLATFORM_URL": platform.url, "TOKEN": platform.token}
    environment = {
        **os.environ,
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        **{f"DEALCAST_{name}": value for name, value in ours.items()},
    }
    with (folder / "said").open("a") as said:
        process = subprocess.Popen(
            [sys.executable, *TOOLS[tool], *given], env=environment, stdout=said, stderr=said, start_new_session=True
        )
        if kill_when is not None:
            wait_for(lambda: process.poll() is not None or kill_when(list(platform.requests)), "the moment to kill it at")
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            platform.control("PUT", "speed", _QUICK)
            settled = threading.Event()
            settled.wait(2 * _QUICK["processing_seconds"])
        return process.wait(2 * HANG)
