"""The gate beside its yardsticks, over the same deals: ``python -m tests.benchmarks gate`` (``N=`` deals, 1 000 000 by default)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.benchmarks.contend import Outcome, contend
from tests.benchmarks.deals import write_deals

ROUNDS = 3
"""Contenders take turns, so that a busy machine is busy for all of them."""

TURNS = 3
"""Timed runs in each round; stock Great Expectations, which takes half a minute, gets one in all."""

OURS = "gate"
YARDSTICKS = {"polars_by_hand": 1.2, "pandera_on_pandas": 0.4, "stock_great_expectations": 1 / 12}
"""Our time may be at most so many times theirs."""

WORST = 1.5
"""A file with many nulls, or a fault in every row, may take at most so many times as long."""

MEMORY = 1e9
CHECKED = 100_000
BAD_OF_CHECKED = 0.1
WORST_OF_CHECKED = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: who, over which deals, the median, the peak, and how our time compares to it."""

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
    """Measure, print, and return whether every limit is kept."""
    rows = int(os.environ.get("N", "1000000"))
    with TemporaryDirectory(prefix="dealcast-bench-") as place:
        lines = [*_against_yardsticks(Path(place), rows), *_bad_rows_cost_little(Path(place))]
    _print(lines, rows)
    return all(line.kept for line in lines)


def _against_yardsticks(place: Path, rows: int) -> list[Line]:
    one_percent = write_deals(place / "one.arrow", rows, bad=0.01)
    nulls = write_deals(place / "nulls.arrow", rows, bad=0.01, nulls=0.2)
    every = write_deals(place / "every.arrow", rows, bad=1)
    turns = [(OURS, one_percent), (OURS, nulls), (OURS, every), ("polars_by_hand", one_percent), ("pandera_on_pandas", one_percent)]
    found = _take_turns(turns)
    ours = found[OURS, one_percent]
    stock = contend("stock_great_expectations", one_percent, 1)
    theirs = {name: found[name, one_percent] for name in YARDSTICKS if (name, one_percent) in found}
    assert {outcome.refused for outcome in theirs.values()} == {ours.refused}, "the contenders disagree"
    lines = [Line(OURS, "1 % bad", ours, ours.peak / MEMORY, 1.0)]
    for name, outcome in (theirs | {"stock_great_expectations": stock}).items():
        lines.append(Line(name, "1 % bad", outcome, ours.seconds / outcome.seconds, YARDSTICKS[name]))
    for deals, file in (("20 % nulls", nulls), ("a fault in every row", every)):
        outcome = found[OURS, file]
        lines.append(Line(OURS, deals, outcome, outcome.seconds / ours.seconds, WORST))
    return lines


def _bad_rows_cost_little(place: Path) -> list[Line]:
    clean = write_deals(place / "clean.arrow", CHECKED)
    bad = write_deals(place / "bad.arrow", CHECKED, bad=BAD_OF_CHECKED)
    found = _take_turns([(OURS, clean), (OURS, bad)])
    ratio = found[OURS, bad].seconds / found[OURS, clean].seconds
    return [
        Line(OURS, f"{CHECKED:,} clean", found[OURS, clean]),
        Line(OURS, f"{CHECKED:,}, 10 % bad", found[OURS, bad], ratio, WORST_OF_CHECKED),
    ]


def _take_turns(turns: Sequence[tuple[str, Path]]) -> dict[tuple[str, Path], Outcome]:
    outcomes: dict[tuple[str, Path], list[Outcome]] = {turn: [] for turn in turns}
    for _ in range(ROUNDS):
        for turn in turns:
            outcomes[turn].append(contend(*turn, TURNS))
    return {
        turn: Outcome(median(each.seconds for each in every), every[0].refused, max(each.peak for each in every))
        for turn, every in outcomes.items()
    }


def _print(lines: Sequence[Line], rows: int) -> None:
    table = Table(title=f"gate: {rows:,} deals, medians of {ROUNDS} x {TURNS} runs")
    for heading in ("who", "deals", "seconds", "peak MB", "refused", "ratio", "limit"):
        table.add_column(heading, justify="left" if heading in {"who", "deals"} else "right")
    for line in lines:
        found = line.outcome
        ratio = "" if line.ratio is None else f"{line.ratio:.3f}"
        limit = "" if line.limit is None else f"{'' if line.kept else 'NOT '}<= {line.limit:.3f}"
        table.add_row(line.who, line.deals, f"{found.seconds:.2f}", f"{found.peak / 1e6:.0f}", f"{found.refused:,}", ratio, limit)
    Console().print(table)
    Console().print(
        "ratio: our seconds to the yardstick's; first line: our peak memory to 1 GB; below: to our own time at 1 % bad, or clean"
    )
