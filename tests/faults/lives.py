"""Many worlds lived side by side, each worker with a sandbox and a foreign platform of its own, and the tables of what came of them."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from deployments.sandbox import running
from tests.faults.axes import axes
from tests.faults.cell import Double
from tests.faults.foreign_platform import foreign_platform
from tests.faults.server import PrefectServer
from tests.faults.walk import walk
from tests.faults.world import Step, World

DOUBLES = ("sandbox", "foreign")


@dataclass
class Life:
    """A world to be lived: its name, the double that it meets, its steps; and what came of it."""

    group: str
    name: str
    double: str
    steps: Sequence[Step]
    codes: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def kills_prefect(self) -> bool:
        """True if it kills Prefect's server, so that no other can be lived meanwhile."""
        return any(step.outage for step in self.steps)

    @property
    def line(self) -> str:
        """The life in one line."""
        return f"{'FAILS' if self.problems else 'ok':5} {self.group}: {self.name} ({self.double}): {self.codes}"


def lives_of_axes() -> list[Life]:
    """Every case of every axis, with each double."""
    return [Life(case.axis, case.where, double, case.steps) for case in axes() for double in DOUBLES]


def lives_of_walks(seed: int, count: int) -> list[Life]:
    """Scenarios ``seed`` to ``seed + count - 1``; the even ones meet the sandbox, the odd ones the foreign platform."""
    return [Life("scenario", str(each), DOUBLES[each % 2], walk(each)) for each in range(seed, seed + count)]


def live_all(lives: Sequence[Life], place: Path, workers: int, seconds: float, server: PrefectServer) -> list[Life]:
    """Live them, those that kill the ``server`` one by one and last; those not begun after ``seconds`` are left out."""
    end = time.monotonic() + seconds
    calm = [life for life in lives if not life.kills_prefect]
    done = _side_by_side(calm, place / "calm", workers, end, server)
    return done + _side_by_side([life for life in lives if life.kills_prefect], place / "outages", 1, end, server)


def _side_by_side(lives: Sequence[Life], place: Path, workers: int, end: float, server: PrefectServer) -> list[Life]:
    place.mkdir(parents=True)
    free: SimpleQueue[dict[str, Double]] = SimpleQueue()

    def one(number: int, life: Life) -> Life | None:
        if time.monotonic() > end:
            return None
        doubles = free.get()
        world = World(place / str(number), doubles[life.double], server)
        try:
            world.live(life.steps)
        except Exception as error:  # noqa: BLE001 - a life that cannot be lived has failed, and is not the end of the others
            world.problems.append(f"{type(error).__name__}: {error}")
        finally:
            free.put(doubles)
        life.codes, life.problems = world.codes, world.problems
        details = [*life.problems, *(f"({words})" for words in world.said)]
        print(life.line, *(f"      {each}" for each in details), sep="\n", file=sys.stderr, flush=True)
        return life

    with ExitStack() as stack, ThreadPoolExecutor(workers) as pool:
        for _ in range(workers):
            sandbox = stack.enter_context(running(queued_seconds=0.01, processing_seconds=0.03))
            free.put({"sandbox": sandbox, "foreign": stack.enter_context(foreign_platform(seconds=0.04))})
        return [life for life in pool.map(one, range(len(lives)), lives) if life is not None]


def as_axes_table(lives: Sequence[Life]) -> str:
    """Axes and where they strike down, doubles across; a cell shows how the runs ended."""
    found = {(life.group, life.name, life.double): life for life in lives}
    lines = ["| axis | where | sandbox | foreign platform |", "|---|---|---|---|"]
    for group, name in dict.fromkeys((life.group, life.name) for life in lives):
        cells = [_shown(found.get((group, name, double))) for double in DOUBLES]
        lines.append(f"| {group} | {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _sum(lives)])


def as_walks_summary(lives: Sequence[Life]) -> str:
    """How many scenarios hold, and which seeds do not, with the command that lives one again."""
    failed = [f"- seed {life.name}: `python -m tests.faults scenarios --count 1 --seed {life.name}`" for life in lives if life.problems]
    codes = Counter(code for life in lives for code in life.codes)
    ends = ", ".join(f"{count} x {code}" for code, count in sorted(codes.items()))
    return "\n".join([_sum(lives), f"Runs by exit code (100: nothing new): {ends}.", *failed])


def _shown(life: Life | None) -> str:
    if life is None:
        return ""
    return "FAILS" if life.problems else " ".join(map(str, life.codes))


def _sum(lives: Sequence[Life]) -> str:
    good = sum(not life.problems for life in lives)
    return f"{good} of {len(lives)} hold, {sum(len(life.codes) for life in lives)} runs."
