"""``python -m tests.faults PART``: what goes wrong, as a table; the exit code says whether all of it holds.

``matrix``: every kill point with every fault. ``axes``: pauses, clocks, foreign and slow answers, a full disk, with both doubles.
``scenarios``: random sequences of them, ``--count`` from ``--seed`` on; one that fails is lived again with ``--count 1`` and its seed.
``contest``: six faults against a plain script, dlt and drt; 0 where dealcast is ahead or level in all.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.server import PrefectServer, mortal_prefect_server


def main() -> int:
    """Run one part and print it as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", nargs="?", choices=_RUN, default="matrix")
    parser.add_argument("--sample", type=int, help="that many cells of the matrix, drawn with --seed")
    parser.add_argument("--only", default="", help="the cases whose axis or place has this in its name")
    parser.add_argument("--count", type=int, default=300, help="scenarios")
    parser.add_argument("--seed", type=int, default=0, help="of the sample, or of the first scenario")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into README.md beside this file")
    parser.add_argument("--minutes", type=float, default=90.0, help="nothing is begun after that")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dealcast-faults-") as place, mortal_prefect_server(Path(place) / "prefect") as server:
        os.environ["PREFECT_API_URL"] = server.url
        text, holds = _RUN[asked.part](Path(place) / "cells", asked, server)
    print(text)
    if asked.write:
        from tests.make_docs import with_parts  # noqa: PLC0415 - prefect reads its API's URL when imported

        page, dated = Path(__file__).with_name("README.md"), f"{text}\n\nRun on {datetime.now(UTC):%Y-%m-%d}."
        page.write_text(with_parts(page.read_text(encoding="utf-8"), {asked.part: lambda: dated}), encoding="utf-8")
    return 0 if holds else 1


def _matrix(place: Path, asked: argparse.Namespace, _: PrefectServer) -> tuple[str, bool]:
    from tests.faults.matrix import as_table, plan, run_all  # noqa: PLC0415 - prefect reads its API's URL when imported

    cells = plan(place, sample=asked.sample, seed=asked.seed)
    done = run_all(cells, asked.workers, asked.minutes * 60)
    for cell in done:
        for problem in cell.problems:
            print(f"- {cell.kill} x {cell.fault} ({cell.story}, exits {cell.codes}): {problem}", file=sys.stderr)
    return as_table(done), len(done) == len(cells) and all(cell.passed for cell in done)


def _worlds(place: Path, asked: argparse.Namespace, server: PrefectServer) -> tuple[str, bool]:
    from tests.faults import lives  # noqa: PLC0415 - as above

    if asked.part == "axes":
        wanted = [life for life in lives.lives_of_axes() if asked.only in f"{life.group}: {life.name} ({life.double})"]
    else:
        wanted = lives.lives_of_walks(asked.seed, asked.count)
    done = lives.live_all(wanted, place, asked.workers, asked.minutes * 60, server)
    table = lives.as_axes_table(done) if asked.part == "axes" else lives.as_walks_summary(done)
    return table, len(done) == len(wanted) and not any(life.problems for life in done)


def _contest(place: Path, *_: object) -> tuple[str, bool]:
    from tests.faults.contest import as_table, contest  # noqa: PLC0415 - as above

    return as_table(contest(place))


_RUN: dict[str, Callable[[Path, argparse.Namespace, PrefectServer], tuple[str, bool]]] = {
    "matrix": _matrix,
    "axes": _worlds,
    "scenarios": _worlds,
    "contest": _contest,
}


if __name__ == "__main__":
    sys.exit(main())
