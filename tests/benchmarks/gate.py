"""The gate beside its yardsticks, over the same deals: ``python -m tests.benchmarks gate`` (``N=`` deals, 1 000 000 by default)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.contend import Outcome, take_turns
from tests.benchmarks.deals import write_deals
from tests.benchmarks.result import Row, ratio

ROUNDS = 7
"""Turns of each; stock Great Expectations, which takes half a minute, gets one."""

OURS = "gate"
YARDSTICKS = {"polars_by_hand": 1.2, "pandera_on_pandas": 0.4, "stock_great_expectations": 1 / 12}
"""Our time may be at most so many times theirs."""

SLOW = "stock_great_expectations"

WORST = 1.5
"""A file with many nulls, or a fault in every row, may take at most so many times as long."""

MEMORY = 1.0
"""GB."""

JUDGED = 500_000
"""The limits are meant for a million deals; of much fewer, fixed costs are most."""

CHECKED = 100_000
BAD_OF_CHECKED = 0.1
WORST_OF_CHECKED = 2.0


def run() -> list[Row]:
    """Measure; the limits are held to if there are deals enough."""
    rows = int(os.environ.get("N", "1000000"))
    with TemporaryDirectory(prefix="dealcast-bench-") as place:
        found = [*_against_yardsticks(Path(place), rows), *_bad_rows_cost_little(Path(place))]
    return found if rows >= JUDGED else [replace(row, kept=True) for row in found]


def _against_yardsticks(place: Path, rows: int) -> list[Row]:
    one_percent = write_deals(place / "one.arrow", rows, bad=0.01)
    found = []
    for name, limit in YARDSTICKS.items():
        ours, theirs = take_turns([(OURS, one_percent), (name, one_percent)], 1 if name == SLOW else ROUNDS)
        assert ours.refused == theirs.refused, f"{name} refuses {theirs.refused} rows, the gate {ours.refused}"
        who = name.replace("_", " ")
        found += [_row(f"{rows:,} deals, 1 % bad: {who}", theirs), ratio(f"gate / {who}", ours.ratio_to(theirs), at_most=limit)]
    nulls = write_deals(place / "nulls.arrow", rows, bad=0.01, nulls=0.2)
    every = write_deals(place / "every.arrow", rows, bad=1)
    ours, with_nulls, with_faults = take_turns([(OURS, one_percent), (OURS, nulls), (OURS, every)], ROUNDS)
    peak = max(ours.peak, with_nulls.peak, with_faults.peak)
    return [
        *found,
        _row(f"{rows:,} deals, 1 % bad: gate", ours),
        _row("with 20 % nulls: gate", with_nulls),
        ratio("20 % nulls / 1 % bad", with_nulls.ratio_to(ours), at_most=WORST),
        _row("with a fault in every row: gate", with_faults),
        ratio("a fault in every row / 1 % bad", with_faults.ratio_to(ours), at_most=WORST),
        ratio("gate's peak memory, GB", peak / 1e9, at_most=MEMORY),
    ]


def _bad_rows_cost_little(place: Path) -> list[Row]:
    clean = write_deals(place / "clean.arrow", CHECKED)
    bad = write_deals(place / "bad.arrow", CHECKED, bad=BAD_OF_CHECKED)
    without, with_bad = take_turns([(OURS, clean), (OURS, bad)], ROUNDS)
    return [
        _row(f"{CHECKED:,} clean deals: gate", without),
        _row(f"{CHECKED:,} deals, 10 % bad: gate", with_bad),
        ratio("10 % bad / clean", with_bad.ratio_to(without), at_most=WORST_OF_CHECKED),
    ]


def _row(what: str, found: Outcome) -> Row:
    return Row(what, f"{found.seconds:.2f} s, {found.peak / 1e6:.0f} MB peak, {found.refused:,} refused")
