"""Hundreds of collections in one process: one export, a pipeline for each, and a platform that takes five seconds for every job.

``COLLECTIONS=`` of them (200), 500 deals each, all to be brought to the platform and their forecasts home, by ``dealcast sync
--pipelines``. The same one after another is measured on ten of them, since nobody would wait for two hundred, and counted as many times.
``python -m tests.benchmarks collections``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from deployments.sandbox import Sandbox
from flows.nostradamus import Nostradamus
from tests.benchmarks.result import Row, ratio
from tests.benchmarks.servers import TOKEN, is_right, servers
from tests.make_demo_export import as_csv, demo_rows

DEALS = 500
SECONDS = 5.0
IN_TURN = 10
AT_LEAST = 8.0

_ONE_AFTER_ANOTHER = """
import sys
from prefect.task_runners import ThreadPoolTaskRunner
from flows.options import SyncOptions
from flows.sync_pipelines import sync_pipelines
export, table, first_month = sys.argv[1:]
in_turn = sync_pipelines.with_options(task_runner=ThreadPoolTaskRunner(max_workers=1))
in_turn(SyncOptions(export=export, crm="hubspot", collection="all", first_month=first_month), table)
"""


def run() -> list[Row]:
    """Both times and their ratio, and whether every certificate is right."""
    count = int(os.environ.get("COLLECTIONS", "200"))
    now = f"{datetime.now(UTC):%Y-%m}"  # said, since the newest deals of a slice may be too old to forecast from
    with tempfile.TemporaryDirectory() as place, servers(Path(place)) as url:
        Sandbox(url, TOKEN).control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": SECONDS})
        few, _ = _prepare(Path(place), url, "few", min(IN_TURN, count))
        in_turn = _timed(["-c", _ONE_AFTER_ANOTHER, *few, now]) / min(IN_TURN, count) * count
        (export, table), collections = _prepare(Path(place), url, "many", count)
        together = _timed(
            ["-m", "deployments.cli", "sync", export, "--crm", "hubspot", "--pipelines", table, "--first-month", now, "--quiet"]
        )
        right = [is_right(Path(place) / "home" / "forecasts" / collection, url, collection, DEALS) for collection in collections]
    return [
        Row(f"{count} collections of {DEALS} deals, {SECONDS:.0f} s for a job: one after another, {IN_TURN} measured", f"{in_turn:.0f} s"),
        Row("in one process at once", f"{together:.0f} s"),
        ratio("times as fast", in_turn / together, at_least=AT_LEAST),
        Row("certificates right", f"{sum(right)}", f"= {count}", sum(right) == count),
    ]


def _prepare(place: Path, url: str, name: str, count: int) -> tuple[tuple[str, str], list[str]]:
    """An export with a pipeline for each of ``count`` new collections, and the table of them."""
    export, table = place / f"{name}.csv", place / f"{name}-table.csv"
    rows = demo_rows(count * DEALS)
    labelled = ({**row, "Pipeline": f"Pipeline {number}"} for number in range(count) for row in islice(rows, DEALS))
    export.write_text(as_csv(labelled), encoding="utf-8", newline="")
    with Nostradamus(url, TOKEN) as platform:
        collections = [platform.create_collection(f"{name} {number}", "Europe/Rome").id for number in range(count)]
    lines = [f"Pipeline {number},{collection}\n" for number, collection in enumerate(collections)]
    table.write_text("pipeline,collection\n" + "".join(lines))
    return (str(export), str(table)), collections


def _timed(command: list[str]) -> float:
    begun = time.monotonic()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return time.monotonic() - begun
