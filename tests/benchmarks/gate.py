"""The gate beside its yardsticks, over the same deals: ``python -m tests.benchmarks gate`` (``N=`` deals, 1 000 000 by default)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.benchmarks.contend import Outcome, take_turns
from tests.benchmarks.deals import write_deals

ROUNDS = 7
"""Turns of each; stock Great Expectations, which takes half a minute, gets one."""

OURS = "gate"
YARDSTICKS = {"polars_by_hand": 1.2, "pandera_on_pandas": 0.4, "stock_great_expectations": 1 / 12}
"""Our time may be at most so many times theirs."""

SLOW = "stock_great_expectations"

WORST = 1.5
"""A file with many nulls, or a fault in every row, may take at most so many times as long."""

NOTE = "ratio: our seconds to theirs, turn by turn; of the gate at 1 % bad: our peak memory to 1 GB; below it: to its own seconds"

MEMORY = 1e9
JUDGED = 500_000
"""The limits are meant for a million deals; of much fewer, fixed costs are most."""

CHECKED = 100_000
BAD_OF_CHECKED = 0.1
WORST_OF_CHECKED = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: who, over which deals, what it took, and how that compares."""

    who: str
    deals: str
    outcome: Outcome
    ratio: float | None = None
    limit: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the limit, if there is one, is kept."""
        return self.limit is None or self.ratio is None or self.ratio <= self.limit


def run() -> bool:
    """Measure, print, and return whether every limit is kept, if there are deals enough."""
    rows = int(os.environ.get("N", "1000000"))
    with TemporaryDirectory(prefix="dealcast-bench-") as place:
        lines = [*_against_yardsticks(Path(place), rows), *_bad_rows_cost_little(Path(place))]
    _print(lines, rows)
    return rows < JUDGED or all(line.kept for line in lines)


def _against_yardsticks(place: Path, rows: int) -> list[Line]:
    one_percent = write_deals(place / "one.arrow", rows, bad=0.01)
    lines = []
    for name, limit in YARDSTICKS.items():
        ours, theirs = take_turns([(OURS, one_percent), (name, one_percent)], 1 if name == SLOW else ROUNDS)
        assert ours.refused == theirs.refused, f"{name} refuses {theirs.refused} rows, the gate {ours.refused}"
        lines.append(Line(name, "1 % bad", theirs, ours.ratio_to(theirs), limit))
    nulls = write_deals(place / "nulls.arrow", rows, bad=0.01, nulls=0.2)
    every = write_deals(place / "every.arrow", rows, bad=1)
    ours, with_nulls, with_faults = take_turns([(OURS, one_percent), (OURS, nulls), (OURS, every)], ROUNDS)
    peak = max(ours.peak, with_nulls.peak, with_faults.peak)
    lines.append(Line(OURS, "1 % bad", ours, peak / MEMORY, 1.0))
    lines.append(Line(OURS, "20 % nulls", with_nulls, with_nulls.ratio_to(ours), WORST))
    lines.append(Line(OURS, "a fault in every row", with_faults, with_faults.ratio_to(ours), WORST))
    return lines


def _bad_rows_cost_little(place: Path) -> list[Line]:
    clean = write_deals(place / "clean.arrow", CHECKED)
    bad = write_deals(place / "bad.arrow", CHECKED, bad=BAD_OF_CHECKED)
    without, with_bad = take_turns([(OURS, clean), (OURS, bad)], ROUNDS)
    return [
        Line(OURS, f"{CHECKED:,} clean", without),
        Line(OURS, f"{CHECKED:,}, 10 % bad", with_bad, with_bad.ratio_to(without), WORST_OF_CHECKED),
    ]


def _print(lines: Sequence[Line], rows: int) -> None:
    table = Table(title=f"gate: {rows:,} deals, medians of {ROUNDS} turns", caption=NOTE, caption_justify="left")
    for heading in ("who", "deals", "seconds", "peak MB", "refused", "ratio", "limit"):
        table.add_column(heading, justify="left" if heading in {"who", "deals"} else "right", no_wrap=True)
    for line in lines:
        found = line.outcome
        ratio = "" if line.ratio is None else f"{line.ratio:.3f}"
        limit = "" if line.limit is None else f"{'' if line.kept else 'NOT '}<= {line.limit:.3f}"
        who = line.who.replace("_", " ")
        table.add_row(who, line.deals, f"{found.seconds:.2f}", f"{found.peak / 1e6:.0f}", f"{found.refused:,}", ratio, limit)
    Console(width=110).print(table)
