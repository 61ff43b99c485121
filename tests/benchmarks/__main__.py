"""``python -m tests.benchmarks [PART ...] [--write]``: all benchmarks, or some, as one table; ends 1 where a limit is not kept."""

from __future__ import annotations

import argparse
import importlib
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.result import Row, as_table, machine

PARTS = ("gate", "extract", "sync", "memory", "polling", "start", "collections", "workers")
RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    """Run the parts asked for, and print their table as it grows on stderr and whole on stdout."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULTS.name} too")
    asked = parser.parse_args()
    found: list[tuple[str, list[Row]]] = []
    for part in asked.part or PARTS:
        sys.stderr.write(f"{part} ...\n")
        rows = importlib.import_module(f"tests.benchmarks.{part}").run()
        found.append((part, rows))
        sys.stderr.write(as_table(found[-1:]) + "\n")
    table = as_table(found)
    print(table)
    if asked.write:
        RESULTS.write_text(f"# Benchmarks\n\n`make bench` on {datetime.now(UTC):%Y-%m-%d}. {machine()}\n\n{table}\n", encoding="utf-8")
    return 0 if all(row.kept for _, rows in found for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
