"""``python -m tests.faults``: every kill point with every fault, as a table; the exit code says whether all cells hold."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.server import prefect_server


def main() -> int:
    """Run the matrix, or ``--sample`` cells of it, and print it as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--sample", type=int, help="that many cells, drawn with --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into README.md beside this file")
    parser.add_argument("--minutes", type=float, default=40.0, help="no cell is begun after that")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dealcast-faults-") as place, prefect_server(Path(place) / "prefect") as url:
        os.environ["PREFECT_API_URL"] = url
        from tests.faults.matrix import as_table, plan, run_all  # noqa: PLC0415 - prefect reads its API's URL when imported
        from tests.make_docs import with_parts  # noqa: PLC0415 - as above

        cells = plan(Path(place) / "cells", sample=asked.sample, seed=asked.seed)
        done = run_all(cells, asked.workers, asked.minutes * 60)
    print(table := as_table(done))
    if asked.write:
        page = Path(__file__).with_name("README.md")
        text = f"{table}\n\nRun on {datetime.now(UTC):%Y-%m-%d}."
        page.write_text(with_parts(page.read_text(encoding="utf-8"), {"matrix": lambda: text}), encoding="utf-8")
    for cell in done:
        for problem in cell.problems:
            print(f"- {cell.kill} x {cell.fault} ({cell.story}, exits {cell.codes}): {problem}", file=sys.stderr)
    return 0 if len(done) == len(cells) and all(cell.passed for cell in done) else 1


if __name__ == "__main__":
    sys.exit(main())
