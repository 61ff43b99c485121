"""``python -m tests.benchmarks [PART ...] [--write]``: all benchmarks, or some, as one table; ends 1 where a limit is not kept."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks.result import Row, as_table, machine, rows_of
from tests.make_docs import with_parts

PARTS = ("gate", "extract", "sync", "memory", "polling", "start", "collections", "workers", "stall")
RESULTS = Path(__file__).with_name("RESULTS.md")


def _write(found: list[tuple[str, list[Row]]]) -> None:
    """Write the table; the parts that were not run keep what stands there."""
    page = RESULTS.read_text(encoding="utf-8")
    old = page.splitlines()
    rows = {part: [line for line in old if line.startswith(f"| {part} |")] for part in PARTS}
    head, rule, *_ = as_table([]).splitlines()
    rows |= {part: as_table([(part, each)]).splitlines()[2:] for part, each in found}
    lines = [head, rule, *(line for part in PARTS for line in rows[part])]
    parts = [part for part, _ in found]
    others = f"{', '.join(parts)}; others as they were before, perhaps on another machine"
    which = "all parts in one run" if set(parts) == set(PARTS) else others
    intro = f"`make bench PART=--write` on {datetime.now(UTC):%Y-%m-%d} ({which}). {machine()}"
    text = "\n".join([intro, "", *lines])
    RESULTS.write_text(with_parts(page, {"results": lambda: text}), encoding="utf-8")


def main() -> int:
    """Run the parts asked for, and print their table as it grows on stderr and whole on stdout."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {RESULTS.name} too")
    asked = parser.parse_args()
    found: list[tuple[str, list[Row]]] = []
    for part in asked.part or PARTS:
        sys.stderr.write(f"{part} ...\n")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as afresh:  # a peak counts what the parent held when it forked
            found.append((part, afresh.submit(rows_of, part).result()))
        sys.stderr.write(as_table(found[-1:]) + "\n")
        if asked.write:  # at once: a later part may fail
            _write(found)
    table = as_table(found)
    print(table)
    return 0 if all(row.kept for _, rows in found for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
